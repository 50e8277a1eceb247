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
 * The visitor behind trusted proxies: the last address in `forwardedFor` (X-Forwarded-For) that is not one of theirs,
 * with port 0 since the field has none. `peer` if there is no such address.
 */
export function visitorBehind(forwardedFor: string | null, trusted: BlockList, peer: string): string {
  if (forwardedFor === null) return peer;
  for (const part of forwardedFor.split(",").reverse()) {
    const address = plainAddress(part.trim());
    const version = isIP(address);
    // What stands before something unreadable was not written by a proxy that we trust.
    if (version === 0) return peer;
    if (!trusted.check(address, version === 6 ? "ipv6" : "ipv4")) return withPort(address, 0);
  }
  return peer;
}
