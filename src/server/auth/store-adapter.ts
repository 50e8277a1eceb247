// Keeps what the OpenID provider gives out (codes, tokens, sessions) in the store, by the SHA-256 of what was given out: who
// reads the store can use none of it. Redeeming is one atomic step, whoever else tries at the same time.

import { randomBytes } from "node:crypto";
import type { Adapter, AdapterPayload } from "oidc-provider";
import { DuplexityError } from "../../protocol/index.ts";
import { digestOf } from "../digest.ts";
import type { Store, Value } from "../store/index.ts";
import { KEPT_AFTER_END_S } from "./lifetimes.ts";
import { errors } from "./oidc-provider.ts";

/**
 * What is found by something else than its id keeps its hash in place of it. The mark is this process's own, so that a
 * hash from the store is no id to anyone else.
 */
const HASH_MARK = `hash:${randomBytes(16).toString("base64url")}:`;

/**
 * A payload has some 1,000 characters. A stranger who asks for a device code may send parameters that the provider keeps
 * with it, 50,000 characters of them.
 */
const MAX_PAYLOAD_CHARS = 8_192;

interface Kept {
  readonly payload: AdapterPayload;
  /** Unix time in seconds. */
  readonly consumedAt: number | null;
}

/** Somebody else has it as well: all that came of its grant has ended. */
export class RedeemedTwice extends errors.InvalidGrant {
  /** Whether it was by this request that the grant has ended. */
  readonly hasEndedGrant: boolean;

  constructor(hasEndedGrant: boolean) {
    super("it was redeemed before");
    this.hasEndedGrant = hasEndedGrant;
  }
}

export class StoreAdapter implements Adapter {
  readonly #store: Store;
  readonly #model: string;

  constructor(store: Store, model: string) {
    this.#store = store;
    this.#model = model;
  }

  /** @throws {errors.InvalidRequest} if `payload` has more than `MAX_PAYLOAD_CHARS`. */
  async upsert(id: string, payload: AdapterPayload, expiresInS?: number): Promise<void> {
    if (JSON.stringify(payload).length > MAX_PAYLOAD_CHARS) throw new errors.InvalidRequest("it has too much in it");
    const hash = hashOf(id);
    // Whoever has saved late must not make a redeemed code good again.
    const change = (old: Value | null): Value => storedForm({ payload, consumedAt: keptOf(old)?.consumedAt ?? null });
    const options = expiresInS === undefined ? {} : { ttlMs: (expiresInS + KEPT_AFTER_END_S) * 1_000 };
    await this.#store.update(this.#key(hash), change, options);
    const { uid, userCode } = payload;
    if (this.#model === "Session" && uid !== undefined) await this.#store.put(indexKey("uid", uid), hash, options);
    if (userCode !== undefined) await this.#store.put(indexKey("user-code", userCode), hash, options);
  }

  async find(id: string): Promise<AdapterPayload | undefined> {
    const kept = keptOf(await this.#store.get(this.#key(hashOf(id))));
    if (kept === null) return undefined;
    const { payload, consumedAt } = kept;
    return { ...payload, jti: id, ...(consumedAt === null ? {} : { consumed: consumedAt }) };
  }

  async findByUserCode(userCode: string): Promise<AdapterPayload | undefined> {
    const found = await this.#findByIndex(indexKey("user-code", userCode));
    return found === undefined ? undefined : { ...found, userCode };
  }

  async findByUid(uid: string): Promise<AdapterPayload | undefined> {
    return this.#findByIndex(indexKey("uid", uid));
  }

  /** @throws {RedeemedTwice} if it was redeemed before: then all that came of its grant ends. */
  async consume(id: string): Promise<void> {
    let grantId: string | undefined;
    let wasConsumed = false;
    await this.#store.update(this.#key(hashOf(id)), (old) => {
      const kept = keptOf(old);
      wasConsumed = kept === null || kept.consumedAt !== null;
      grantId = kept?.payload.grantId;
      if (kept === null || wasConsumed) return old;
      return storedForm({ ...kept, consumedAt: Math.floor(Date.now() / 1_000) });
    });
    if (!wasConsumed) return;
    // RFC 6749 §4.1.2 and RFC 9700 §4.14.2: somebody else has it, and nobody knows who of the two is the thief.
    throw new RedeemedTwice(grantId !== undefined && (await this.endGrant(grantId)));
  }

  async destroy(id: string): Promise<void> {
    await this.#store.delete(this.#key(hashOf(id)));
  }

  async revokeByGrantId(grantId: string): Promise<void> {
    await this.endGrant(grantId);
  }

  /**
   * The provider asks for the grant whenever one of its tokens is shown: without it they are all void. Answers whether it
   * was there.
   */
  protected endGrant(grantId: string): Promise<boolean> {
    return this.#store.delete(`oidc/Grant/${hashOf(grantId)}`);
  }

  /** Keeps nothing but `fields` of what has the id with this hash. */
  protected async shorten(hash: string, fields: readonly string[]): Promise<void> {
    await this.#store.update(this.#key(hash), (old) => {
      const kept = keptOf(old);
      if (kept === null) return old;
      const payload = Object.fromEntries(fields.map((field) => [field, kept.payload[field]]));
      return storedForm({ ...kept, payload });
    });
  }

  async #findByIndex(key: string): Promise<AdapterPayload | undefined> {
    const hash = await this.#store.get(key);
    return typeof hash === "string" ? this.find(`${HASH_MARK}${hash}`) : undefined;
  }

  #key(hash: string): string {
    return `oidc/${this.#model}/${hash}`;
  }
}

/** What is kept of an id that was given out. */
export function hashOf(id: string): string {
  if (id.startsWith(HASH_MARK)) return id.slice(HASH_MARK.length);
  return digestOf(id);
}

function indexKey(kind: "uid" | "user-code", value: string): string {
  return `oidc/by-${kind}/${hashOf(value)}`;
}

function storedForm({ payload, consumedAt }: Kept): Value {
  const { jti: _jti, userCode: _userCode, consumed: _consumed, ...rest } = payload;
  return { payload: JSON.stringify(rest), consumedAt };
}

function keptOf(value: Value | null): Kept | null {
  if (value === null) return null;
  if (typeof value === "object" && "payload" in value && "consumedAt" in value) {
    const { payload, consumedAt } = value;
    if (typeof payload === "string" && (consumedAt === null || typeof consumedAt === "number")) {
      return { payload: JSON.parse(payload), consumedAt };
    }
  }
  throw new DuplexityError("DPX_STORE", "Cannot read what the sign-in keeps: it is not of its form");
}
