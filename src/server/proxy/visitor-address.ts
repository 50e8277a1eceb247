// Where a visitor comes from, in the form that OPEN and reports carry: `ip:port` or `[ip]:port`.

import { type BlockList, isIP } from "node:net";

/** An IPv4 address as itself, also when the listener is IPv6; without a zone. */
export function plainAddress(address: string): string {
  const plain = address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
  const zone = plain.indexOf("%");
  return zone === -1 ? plain : plain.slice(0, zone);
}

export function withPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/**
 * The visitor behind trusted proxies: the last address in `forwardedFor` (X-Forwarded-For, all fields of that name in
 * order) that is not one of theirs. Null if there is no such address; empty if what stands there can't be read.
 */
export function addressBehind(forwardedFor: readonly string[], trusted: BlockList): string | null {
  for (const part of forwardedFor.join(",").split(",").reverse()) {
    const text = part.trim();
    // RFC 9110 §5.6.1: empty members count for nothing.
    if (text === "") continue;
    const address = plainAddress(text);
    const version = isIP(address);
    // What stands before something unreadable was not written by a proxy that we trust.
    if (version === 0) return "";
    if (!trusted.check(address, version === 6 ? "ipv6" : "ipv4")) return address;
  }
  return null;
}
