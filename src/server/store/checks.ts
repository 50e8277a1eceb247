// What may be kept, checked at the door of every store: keys, values, times to live. Keeps nothing.

import { DuplexityError } from "../../protocol/index.ts";
import { MAX_KEY_CHARS, MAX_KEYS_IN_CALL, MAX_VALUE_BYTES, type Value } from "./store.ts";

/** Longer times to live mean this one: the years after which nobody asks. */
export const MAX_TTL_MS = 3_153_600_000_000;

const KEY = /^[\x21-\x7e]+$/;

/** @throws {DuplexityError} `DPX_STORE` if `key` is empty, longer than `MAX_KEY_CHARS` or not visible ASCII. */
export function checkKey(key: string): void {
  if (key === "") throw new DuplexityError("DPX_STORE", "Cannot use an empty key in the store");
  checkPrefix(key);
}

/** @throws {DuplexityError} `DPX_STORE` if one is none, or there are too many. */
export function checkKeys(keys: readonly string[]): void {
  if (keys.length > MAX_KEYS_IN_CALL) {
    throw new DuplexityError("DPX_STORE", `Cannot read ${keys.length} entries at once: ${MAX_KEYS_IN_CALL} at most`);
  }
  for (const key of keys) checkKey(key);
}

/** The same for what keys begin with, which may be empty: all of them. */
export function checkPrefix(prefix: string): void {
  if (prefix.length > MAX_KEY_CHARS) {
    const shown = `${prefix.slice(0, 32)}…`;
    throw new DuplexityError(
      "DPX_STORE",
      `Cannot use the key "${shown}" in the store: it has ${prefix.length} characters, wanted at most ${MAX_KEY_CHARS}`,
    );
  }
  if (prefix !== "" && !KEY.test(prefix)) {
    throw new DuplexityError(
      "DPX_STORE",
      `Cannot use the key ${JSON.stringify(prefix)} in the store: wanted visible ASCII`,
    );
  }
}

/**
 * The JSON of `value`; null for null, which is how nothing is written.
 *
 * @throws {DuplexityError} `DPX_STORE` if it cannot be JSON or has more than `MAX_VALUE_BYTES`.
 */
export function jsonOf(key: string, value: Value): string | null {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    throw new DuplexityError("DPX_STORE", `Cannot keep "${key}": it cannot be written as JSON`, { cause: error });
  }
  if (json === undefined) throw new DuplexityError("DPX_STORE", `Cannot keep "${key}": it cannot be written as JSON`);
  const bytes = Buffer.byteLength(json);
  if (bytes > MAX_VALUE_BYTES) {
    throw new DuplexityError(
      "DPX_STORE",
      `Cannot keep "${key}": its JSON has ${bytes} bytes, wanted at most ${MAX_VALUE_BYTES}`,
    );
  }
  return json === "null" ? null : json;
}

/** What `jsonOf` has written. */
export function parsed(json: string): Value {
  const value: Value = JSON.parse(json);
  return value;
}

/**
 * A time to live in whole ms, at most `MAX_TTL_MS`; 0 for one that is over already.
 *
 * @throws {DuplexityError} `DPX_STORE` if it is not a number.
 */
export function checkTtl(key: string, ttlMs: number): number {
  if (Number.isNaN(ttlMs)) throw new DuplexityError("DPX_STORE", `Cannot keep "${key}": its time to live is no number`);
  return Math.max(0, Math.min(Math.ceil(ttlMs), MAX_TTL_MS));
}
