// Whether an address may be reached by strangers. The internal listener is not meant for them.

import { BlockList, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";

/**
 * What IANA's registries of special-purpose addresses (RFC 6890) call not globally reachable: loopback, private use,
 * link-local, shared, documentation, benchmarking.
 */
const PRIVATE = new BlockList();
for (const [network, prefix] of [
  ["127.0.0.0", 8],
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["169.254.0.0", 16],
  ["100.64.0.0", 10],
  ["192.0.2.0", 24],
  ["198.51.100.0", 24],
  ["203.0.113.0", 24],
  ["198.18.0.0", 15],
] as const) {
  PRIVATE.addSubnet(network, prefix, "ipv4");
}
for (const [network, prefix] of [
  ["::1", 128],
  ["fc00::", 7],
  ["fe80::", 10],
  ["2001:db8::", 32],
] as const) {
  PRIVATE.addSubnet(network, prefix, "ipv6");
}

/**
 * An address at which a listener on `address` can be reached from outside; null: there is none.
 *
 * @param own This machine's addresses, which one for all stands for. @default those that it has
 */
export function publicAddressOf(address: string, own: readonly string[] = ownAddresses()): string | null {
  const isForAll = address === "0.0.0.0" || address === "::";
  const reached = isForAll ? own.filter((one) => address === "::" || !isIPv6(one)) : [address];
  return reached.find((one) => !isPrivate(one)) ?? null;
}

function isPrivate(address: string): boolean {
  const [plain = ""] = address.replace(/^::ffff:(?=\d+\.)/i, "").split("%", 1);
  return PRIVATE.check(plain, isIPv6(plain) ? "ipv6" : "ipv4");
}

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map(({ address }) => address));
}
