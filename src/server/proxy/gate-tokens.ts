// What the gate gives to browsers and wants to recognise: signed with the server's secret and bound to one hostname. It
// keeps no list of them.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";

/** How long a sign-in at a pipe holds. */
export const VISITOR_SECONDS = 43_200;
/** How long one may take. */
export const SIGN_IN_SECONDS = 600;

const BINDING = /^[\w-]{43}$/;
/** Seconds of Unix time in base 36, the user's id in base64url, HMAC-SHA256. */
const VISITOR = /^([0-9a-z]{1,9})\.([\w-]{1,256})\.([\w-]{43})$/;
/** A nonce of 12 bytes, seconds of Unix time in base 36, HMAC-SHA256. */
const STATE = /^([\w-]{16})_([0-9a-z]{1,9})_([\w-]{43})$/;

export class GateTokens {
  readonly #secret: Buffer;
  readonly #now: () => number;

  /** @param now Unix time in ms. */
  constructor(secret: Buffer, now: () => number) {
    this.#secret = secret;
    this.#now = now;
  }

  /** For `VISITOR_COOKIE`: good at `hostname`, for `VISITOR_SECONDS`. */
  visitor(hostname: string, userId: string): string {
    const start = `${this.#after(VISITOR_SECONDS)}.${Buffer.from(userId).toString("base64url")}`;
    return `${start}.${this.#mac("visitor", hostname, start)}`;
  }

  /** Whose sign-in at `hostname` the token is, or null. */
  userOf(hostname: string, token: string): string | null {
    const [, expires = "", user = "", mac = ""] = VISITOR.exec(token) ?? [];
    const isOurs = this.#isMac(mac, "visitor", hostname, `${expires}.${user}`);
    return isOurs && this.#isAhead(expires) ? Buffer.from(user, "base64url").toString() : null;
  }

  /** For `SIGN_IN_COOKIE`: the one that this browser has (`known`), else a new one. All its tabs share it. */
  binding(known: readonly string[]): string {
    return known.find((value) => BINDING.test(value)) ?? randomBytes(32).toString("base64url");
  }

  /** For the sign-in that begins at `hostname` in the browser with `binding`. */
  state(hostname: string, binding: string): string {
    const start = `${randomBytes(12).toString("base64url")}_${this.#after(SIGN_IN_SECONDS)}`;
    return `${start}_${this.#mac("state", hostname, binding, start)}`;
  }

  /** Whether `state` is of a sign-in that began there, with one of `bindings`, and not too long ago. */
  isState(hostname: string, bindings: readonly string[], state: string): boolean {
    const [, nonce = "", expires = "", mac = ""] = STATE.exec(state) ?? [];
    if (!this.#isAhead(expires)) return false;
    return bindings.some((binding) => this.#isMac(mac, "state", hostname, binding, `${nonce}_${expires}`));
  }

  #after(seconds: number): string {
    return (Math.floor(this.#now() / 1_000) + seconds).toString(36);
  }

  #isAhead(expires: string): boolean {
    return Number.parseInt(expires, 36) * 1_000 > this.#now();
  }

  /** No part holds a NUL: their borders can't be moved. */
  #mac(...parts: readonly string[]): string {
    return createHmac("sha256", this.#secret).update(parts.join("\0")).digest("base64url");
  }

  #isMac(mac: string, ...parts: readonly string[]): boolean {
    const given = Buffer.from(mac, "base64url");
    const expected = Buffer.from(this.#mac(...parts), "base64url");
    return given.length === expected.length && timingSafeEqual(given, expected);
  }
}
