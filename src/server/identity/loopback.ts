// Whether an address can be reached from this machine only.

import { BlockList, isIP, isIPv6 } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** `127.0.0.0/8`, `::1` (also in brackets) or `localhost` (RFC 6761 §6.3). No other name: what it resolves to may change. */
export function isLoopbackHost(host: string): boolean {
  const plain = host.startsWith("[") && host.endsWith("]") ? host.slice(1, -1) : host;
  if (isIP(plain) === 0) return plain.toLowerCase() === "localhost";
  return loopback.check(plain, isIPv6(plain) ? "ipv6" : "ipv4");
}
