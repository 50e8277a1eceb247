// The public keys of this server's own provider, as they were when it was last asked. Asks at most once a minute for a
// key that it does not know, however many tokens name one.

import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTHeaderParameters } from "jose";
import { DuplexityError } from "../../protocol/index.ts";

/** Between two asks because of an unknown key. */
export const ASK_EVERY_MS = 60_000;
/** Keys that were taken back must not hold for ever. */
export const KEYS_LIFETIME_MS = 600_000;

type KeySet = ReturnType<typeof createLocalJWKSet>;

interface Asked {
  readonly keys: KeySet;
  readonly at: number;
}

export class ProviderKeys {
  readonly #ask: () => Promise<JSONWebKeySet>;
  readonly #now: () => number;
  #asked: Asked | null = null;
  #asking: Promise<Asked> | null = null;

  constructor(ask: () => Promise<JSONWebKeySet>, now: () => number) {
    this.#ask = ask;
    this.#now = now;
  }

  /**
   * The key that `header` names.
   *
   * @throws {DuplexityError} `DPX_STORE` if the keys cannot be read.
   * @throws {errors.JWKSNoMatchingKey} if there is none.
   */
  async keyFor(header: JWTHeaderParameters): ReturnType<KeySet> {
    const { keys, at } = await this.#recent();
    try {
      return await keys(header);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#now() - at < ASK_EVERY_MS) throw error;
    }
    const again = await this.#askOnce();
    return again.keys(header);
  }

  async #recent(): Promise<Asked> {
    const asked = this.#asked;
    if (asked === null) return this.#askOnce();
    if (this.#now() - asked.at < KEYS_LIFETIME_MS) return asked;
    // While the store is away, the keys of before serve those who are there.
    return this.#askOnce().catch(() => asked);
  }

  #askOnce(): Promise<Asked> {
    this.#asking ??= this.#askNow().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #askNow(): Promise<Asked> {
    const at = this.#now();
    try {
      this.#asked = { keys: createLocalJWKSet(await this.#ask()), at };
      return this.#asked;
    } catch (cause) {
      if (cause instanceof DuplexityError) throw cause;
      throw new DuplexityError("DPX_STORE", "Cannot check the sign-in: the provider's keys cannot be read", { cause });
    }
  }
}
