// The link that makes the first admin: there is one at a time, it works once, within an hour. Knows its digest only.

import { digestOf } from "../digest.ts";
import type { Store, Value } from "../store/index.ts";
import type { OneTimeCode } from "./invites.ts";
import { fieldsOf } from "./records.ts";
import { isSameDigest, isSecret, newSecret } from "./secrets.ts";

/** Whoever starts a server is there to use the link; later it lies around in a terminal's history. */
export const CLAIM_LIFETIME_MS = 3_600_000;

/** Its key in the store. */
export const CLAIM = "claim";

/** A claim that was taken, to be put back if what it was taken for fails. */
export interface TakenClaim {
  readonly digest: string;
  readonly expiresAt: number;
}

export class Claims {
  readonly #store: Store;
  readonly #now: () => number;

  constructor({ store, now }: { readonly store: Store; readonly now: () => number }) {
    this.#store = store;
    this.#now = now;
  }

  /** The claim before ends. */
  async make(): Promise<OneTimeCode> {
    const code = newSecret();
    const expiresAt = this.#now() + CLAIM_LIFETIME_MS;
    await this.#store.put(CLAIM, { digest: digestOf(code), expiresAt }, { ttlMs: CLAIM_LIFETIME_MS });
    return { code, expiresAt };
  }

  async end(): Promise<void> {
    await this.#store.delete(CLAIM);
  }

  async isOpen(code: string): Promise<boolean> {
    return isSecret(code) && this.#match(await this.#store.get(CLAIM), digestOf(code)) !== null;
  }

  /** Whether there is another claim by now. */
  async isReplaced(code: string): Promise<boolean> {
    const { digest } = fieldsOf(await this.#store.get(CLAIM)) ?? {};
    return typeof digest === "string" && !isSameDigest(digest, digestOf(code));
  }

  /** Uses it up: of all who ask at once, one gets it. A wrong code leaves it as it is. */
  async take(code: string): Promise<TakenClaim | null> {
    if (!isSecret(code)) return null;
    const digest = digestOf(code);
    let taken: TakenClaim | null = null;
    await this.#store.update(CLAIM, (old) => {
      taken = this.#match(old, digest);
      return taken === null ? old : null;
    });
    return taken;
  }

  /** Unless there is another one by now. */
  async putBack({ digest, expiresAt }: TakenClaim): Promise<void> {
    const ttlMs = Math.max(0, expiresAt - this.#now());
    await this.#store.update(CLAIM, (old) => old ?? { digest, expiresAt }, { ttlMs });
  }

  #match(value: Value | null, wanted: string): TakenClaim | null {
    const { digest, expiresAt } = fieldsOf(value) ?? {};
    if (typeof digest !== "string" || typeof expiresAt !== "number" || expiresAt <= this.#now()) return null;
    return isSameDigest(digest, wanted) ? { digest, expiresAt } : null;
  }
}
