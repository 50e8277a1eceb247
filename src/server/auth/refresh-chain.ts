// Which refresh token of a sign-in is good: the newest, and for a moment the one before it, since the answer with the newest
// may have been lost on its way. One record for each grant, so that redeeming is one atomic step.

import { digestOf } from "../digest.ts";
import type { Store, Value } from "../store/index.ts";

/** So long after it was redeemed a token is taken once more, as long as nobody has used what was given for it. */
export const RETRY_MS = 60_000;
/** So often. */
export const MAX_RETRIES = 5;

interface Chain {
  /** Digest of the token that was given out last; null: it was redeemed, and the next one is on its way. */
  readonly current: string | null;
  readonly previous: string | null;
  /** When `previous` was redeemed first. Unix time in ms. */
  readonly redeemedAt: number;
  readonly retries: number;
}

export interface Redeemed {
  readonly isGood: boolean;
  /** Digest of a token that can never be redeemed again from now on. */
  readonly outlived: string | null;
}

const NEW: Chain = { current: null, previous: null, redeemedAt: 0, retries: 0 };

export class RefreshChains {
  readonly #store: Store;
  readonly #now: () => number;

  constructor(store: Store, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** The next token is given out; one that was given out for the same token before, and not used, is void. */
  async add(grantId: string, digest: string, ttlMs: number): Promise<void> {
    await this.#store.update(keyOf(grantId), (old) => written({ ...(read(old) ?? NEW), current: digest }), { ttlMs });
  }

  async isGood(grantId: string, digest: string): Promise<boolean> {
    const chain = read(await this.#store.get(keyOf(grantId)));
    return chain !== null && (chain.current === digest || this.#isRetry(chain, digest));
  }

  /** Of all who redeem at once, later ones make void what the earlier ones get. */
  async redeem(grantId: string, digest: string): Promise<Redeemed> {
    let result: Redeemed = { isGood: false, outlived: null };
    await this.#store.update(keyOf(grantId), (old) => {
      const chain = read(old);
      if (chain?.current === digest) {
        result = { isGood: true, outlived: chain.previous };
        return written({ current: null, previous: digest, redeemedAt: this.#now(), retries: 0 });
      }
      const isRetry = chain !== null && this.#isRetry(chain, digest);
      result = { isGood: isRetry, outlived: null };
      return isRetry ? written({ ...chain, current: null, retries: chain.retries + 1 }) : old;
    });
    return result;
  }

  async end(grantId: string): Promise<void> {
    await this.#store.delete(keyOf(grantId));
  }

  #isRetry({ previous, redeemedAt, retries }: Chain, digest: string): boolean {
    return previous === digest && retries < MAX_RETRIES && this.#now() - redeemedAt < RETRY_MS;
  }
}

function keyOf(grantId: string): string {
  return `oidc/refresh-chain/${digestOf(grantId)}`;
}

function written({ current, previous, redeemedAt, retries }: Chain): Value {
  return { current, previous, redeemedAt, retries };
}

function read(value: Value | null): Chain | null {
  if (typeof value !== "object" || value === null || !("current" in value) || !("previous" in value)) return null;
  const { current, previous, redeemedAt, retries } = value;
  if (!isTextOrNull(current) || !isTextOrNull(previous)) return null;
  if (typeof redeemedAt !== "number" || typeof retries !== "number") return null;
  return { current, previous, redeemedAt, retries };
}

function isTextOrNull(value: Value | undefined): value is string | null {
  return value === null || typeof value === "string";
}
