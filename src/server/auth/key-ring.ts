// The keys that ID tokens and cookies are signed with: made at the first start, kept in the store, followed by new ones in
// good time. Every process of a server has the same; they never leave it but for the public halves.

import { randomBytes } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { asDuplexityError, DuplexityError, newPrivateKey } from "../../protocol/index.ts";
import type { Store, Value } from "../store/index.ts";
import { ID_TOKEN_S, KEY_AGE_MS, KEY_AHEAD_MS, KEY_RELOAD_MS, SESSION_S } from "./lifetimes.ts";

/** Where they lie. */
const STORE_KEY = "oidc-keys";
const COOKIE_SECRET_BYTES = 32;
/** A token may be signed just before its key's time ends, by a process that has not looked since. */
const SIGNING_KEY_KEPT_MS = ID_TOKEN_S * 1_000 + 2 * KEY_RELOAD_MS;
const COOKIE_SECRET_KEPT_MS = SESSION_S * 1_000;

/** P-256 (RFC 7518 §6.2), with its private half. */
export interface SigningKey {
  readonly kid: string;
  readonly x: string;
  readonly y: string;
  readonly d: string;
}

interface Dated<T> {
  readonly createdAt: number;
  readonly item: T;
}

/** Newest first. */
interface KeySet {
  readonly signing: readonly Dated<SigningKey>[];
  readonly cookies: readonly Dated<string>[];
}

/** What signs comes first; the others are there to verify by. */
export interface Keys {
  readonly signing: readonly SigningKey[];
  readonly cookieSecrets: readonly string[];
}

export interface KeyRingOptions {
  readonly store: Store;
  /** Unix time in ms. */
  readonly now: () => number;
  /** Looking again has failed; the keys stay as they are. */
  readonly onError: (error: DuplexityError) => void;
}

export class KeyRing {
  readonly #options: KeyRingOptions;
  readonly #timer: NodeJS.Timeout;
  readonly #unwatch: () => void;
  #keys: Keys = { signing: [], cookieSecrets: [] };
  #listener: ((keys: Keys) => void) | null = null;

  /** @throws {DuplexityError} `DPX_STORE` */
  static async open(options: KeyRingOptions): Promise<KeyRing> {
    const ring = new KeyRing(options);
    try {
      await ring.refresh();
    } catch (error) {
      ring.close();
      throw error;
    }
    return ring;
  }

  private constructor(options: KeyRingOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#refreshSoon(), KEY_RELOAD_MS);
    this.#timer.unref();
    this.#unwatch = options.store.watch(STORE_KEY, () => this.#refreshSoon());
  }

  get keys(): Keys {
    return this.#keys;
  }

  /** Calls `listener` when the keys are others, or another one signs. There is one listener. */
  onChange(listener: (keys: Keys) => void): void {
    this.#listener = listener;
  }

  /** Reads what the store has, makes the next key if it is time, lets go of those whose tokens have ended. */
  async refresh(): Promise<void> {
    const { store, now } = this.#options;
    const at = now();
    let stored = parse(await store.get(STORE_KEY));
    if (isDue(stored, at)) {
      const fresh: KeySet = {
        signing: [{ createdAt: at, item: await newSigningKey() }],
        cookies: [{ createdAt: at, item: randomBytes(COOKIE_SECRET_BYTES).toString("base64url") }],
      };
      // Of processes that start at once, one writes first; the others find its keys and keep them.
      stored = parse(await store.update(STORE_KEY, (old) => storedForm(rotated(parse(old), fresh, at))));
    }
    const keys = {
      signing: inOrderOfUse(stored.signing, at),
      cookieSecrets: inOrderOfUse(stored.cookies, at),
    };
    if (JSON.stringify(keys) === JSON.stringify(this.#keys)) return;
    this.#keys = keys;
    this.#listener?.(keys);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#unwatch();
  }

  #refreshSoon(): void {
    this.refresh().catch((error: unknown) => this.#options.onError(asDuplexityError(error)));
  }
}

async function newSigningKey(): Promise<SigningKey> {
  const { x, y, d } = newPrivateKey("P-256");
  if (x === undefined || y === undefined || d === undefined) {
    throw new DuplexityError("DPX_INTERNAL", "Cannot make a signing key: it came without its numbers");
  }
  return { kid: await calculateJwkThumbprint({ kty: "EC", crv: "P-256", x, y }), x, y, d };
}

function isDue(set: KeySet, at: number): boolean {
  if (isTooOld(set.signing, at) || isTooOld(set.cookies, at)) return true;
  const { signing, cookies } = rotated(set, set, at);
  return signing.length < set.signing.length || cookies.length < set.cookies.length;
}

function rotated(set: KeySet, fresh: KeySet, at: number): KeySet {
  const signing = isTooOld(set.signing, at) ? [...fresh.signing, ...set.signing] : set.signing;
  const cookies = isTooOld(set.cookies, at) ? [...fresh.cookies, ...set.cookies] : set.cookies;
  return {
    signing: pruned(signing, at, SIGNING_KEY_KEPT_MS),
    cookies: pruned(cookies, at, COOKIE_SECRET_KEPT_MS),
  };
}

function isTooOld(items: readonly Dated<unknown>[], at: number): boolean {
  const [newest] = items;
  return newest === undefined || at - newest.createdAt >= KEY_AGE_MS;
}

/** The newest one that has been published for long enough; where none has, the first one there was. */
function usedIndex(items: readonly Dated<unknown>[], at: number): number {
  const index = items.findIndex(({ createdAt }) => createdAt + KEY_AHEAD_MS <= at);
  return index === -1 ? items.length - 1 : index;
}

/** Without those that nothing can be signed with any more: the one that is used took over long ago. */
function pruned<T>(items: readonly Dated<T>[], at: number, keptMs: number): readonly Dated<T>[] {
  const index = usedIndex(items, at);
  const used = items[index];
  const isOver = used !== undefined && used.createdAt + KEY_AHEAD_MS + keptMs <= at;
  return isOver ? items.slice(0, index + 1) : items;
}

function inOrderOfUse<T>(items: readonly Dated<T>[], at: number): readonly T[] {
  const index = usedIndex(items, at);
  const used = items[index];
  if (used === undefined) return [];
  return [used, ...items.slice(0, index), ...items.slice(index + 1)].map(({ item }) => item);
}

function storedForm({ signing, cookies }: KeySet): Value {
  return {
    signing: signing.map(({ createdAt, item: { kid, x, y, d } }) => ({ createdAt, kid, x, y, d })),
    cookies: cookies.map(({ createdAt, item }) => ({ createdAt, secret: item })),
  };
}

/** @throws {DuplexityError} `DPX_STORE` if something else lies there: keys that nobody can read must not be replaced. */
function parse(value: Value | null): KeySet {
  if (value === null) return { signing: [], cookies: [] };
  return {
    signing: listIn(value, "signing").map((entry) => ({
      createdAt: numberIn(entry, "createdAt"),
      item: { kid: textIn(entry, "kid"), x: textIn(entry, "x"), y: textIn(entry, "y"), d: textIn(entry, "d") },
    })),
    cookies: listIn(value, "cookies").map((entry) => ({
      createdAt: numberIn(entry, "createdAt"),
      item: textIn(entry, "secret"),
    })),
  };
}

function fieldIn(value: Value, field: string): Value | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  return Object.entries(value).find(([name]) => name === field)?.[1];
}

function listIn(value: Value, field: string): readonly Value[] {
  const list = fieldIn(value, field);
  if (!Array.isArray(list)) throw unreadable(field);
  return list;
}

function textIn(value: Value, field: string): string {
  const text = fieldIn(value, field);
  if (typeof text !== "string") throw unreadable(field);
  return text;
}

function numberIn(value: Value, field: string): number {
  const number = fieldIn(value, field);
  if (typeof number !== "number") throw unreadable(field);
  return number;
}

function unreadable(field: string): DuplexityError {
  return new DuplexityError("DPX_STORE", `Cannot read the signing keys: "${field}" is not what a key has`);
}
