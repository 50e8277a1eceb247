// Who may come in through a pipe, as it goes over the wire: the form and the bounds of each part. Judges no visitor and
// never holds a password.

import { isIPv4, isIPv6 } from "node:net";

/** A visitor who may come in by a password. */
export interface GateUser {
  /** RFC 7617 §2: no colon, no control characters. In Unicode's form NFC. */
  readonly user: string;
  /** `$scrypt$ln=15,r=8,p=1$SALT$KEY`, see gate-password.ts. */
  readonly hash: string;
}

/** What a visitor has to fulfil, all of it. A part that is left out asks for nothing. */
export interface PipeGate {
  /** A user and the password, by HTTP's Basic scheme (RFC 7617). At least one. */
  readonly basicAuth?: readonly GateUser[];
  /** Where the visitor may come from: `192.0.2.0/24`, `2001:db8::/32`. At least one. */
  readonly allowCidr?: readonly string[];
  /** Whether the visitor has to be a person of this server. */
  readonly login?: true;
}

export const MAX_GATE_USERS = 64;
export const MAX_GATE_CIDRS = 64;
/** Characters of a user's name. */
export const MAX_GATE_USER_CHARS = 128;

/** The only form of a hash in this version: whoever asks for a dearer one makes the server pay. 16 and 32 bytes, base64. */
const HASH = /^\$scrypt\$ln=15,r=8,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}$/;
/** Neither the separator of RFC 7617 §2, nor a control character, nor half of one. */
const USER = /^[^:\p{Cc}\p{Cs}]+$/u;

export function isGateHash(text: string): boolean {
  return HASH.test(text);
}

export function isGateUser(text: string): boolean {
  return text.length <= MAX_GATE_USER_CHARS && USER.test(text) && text.normalize() === text;
}

/** A network of one family: its first address as it was written, and how many bits of it count. */
export interface Network {
  readonly address: string;
  readonly bits: number;
  readonly family: "ipv4" | "ipv6";
}

/**
 * Reads `192.0.2.0/24`, `2001:db8::/32`, or one address. An IPv4 network in IPv6's form (`::ffff:192.0.2.0/120`) is the
 * IPv4 one. Null for anything else.
 */
export function parseCidr(text: string): Network | null {
  const [, address = "", digits] = /^([0-9A-Fa-f:.]{2,45})(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  if (isIPv4(address)) {
    const bits = digits === undefined ? 32 : Number(digits);
    return bits <= 32 ? { address, bits, family: "ipv4" } : null;
  }
  if (!isIPv6(address)) return null;
  const bits = digits === undefined ? 128 : Number(digits);
  if (bits > 128) return null;
  const [, mapped = ""] = /^::ffff:([\d.]+)$/i.exec(address) ?? [];
  if (isIPv4(mapped) && bits >= 96) return { address: mapped, bits: bits - 96, family: "ipv4" };
  return { address: address.toLowerCase(), bits, family: "ipv6" };
}

/** The one form in which a network goes over the wire. */
export function cidrText({ address, bits }: Network): string {
  return `${address}/${bits}`;
}

/** Whether both let in the same visitors; null and undefined let in all. */
export function isSameGate(one: PipeGate | undefined, other: PipeGate | undefined): boolean {
  return one === other || JSON.stringify(comparable(one)) === JSON.stringify(comparable(other));
}

function comparable(gate: PipeGate | undefined): unknown {
  const { basicAuth = [], allowCidr = [], login = false } = gate ?? {};
  return [basicAuth.map(({ user, hash }) => [user, hash]), allowCidr, login];
}
