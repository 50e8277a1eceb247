// Secrets that open something: made here at random, kept as digests only.

import { randomBytes, timingSafeEqual } from "node:crypto";

/** 256 bits: nobody guesses one, so that a digest without salt or work protects it. */
const SECRET_BYTES = 32;
const SECRET = /^[A-Za-z0-9_-]{43}$/;

/** 43 characters of base64url. */
export function newSecret(): string {
  return randomBytes(SECRET_BYTES).toString("base64url");
}

/** Whether `text` looks like something that {@link newSecret} made. */
export function isSecret(text: string): boolean {
  return SECRET.test(text);
}

/** Compares two digests in a time that does not depend on where they differ. */
export function isSameDigest(one: string, other: string): boolean {
  const [left, right] = [Buffer.from(one), Buffer.from(other)];
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Of an account, a token, an entry of the audit log. */
export type IdPrefix = "u_" | "t_" | "a_";

/** A public id: 128 random bits, 22 characters of base64url after `prefix`. */
export function newId(prefix: IdPrefix): string {
  return `${prefix}${randomBytes(16).toString("base64url")}`;
}

/** Whether `text` looks like something that {@link newId} made. */
export function isId(prefix: IdPrefix, text: string): boolean {
  return text.startsWith(prefix) && /^[A-Za-z0-9_-]{22}$/.test(text.slice(prefix.length));
}
