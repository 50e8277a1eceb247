// Remembers which proofs were used, as long as they would still be good. Bounded.

import { DuplexityError } from "../../protocol/index.ts";

export interface ReplayTableOptions {
  /** How long a proof is good for. */
  readonly lifetimeMs: number;
  /** @default 131_072 */
  readonly maxEntries?: number;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

export class ReplayTable {
  readonly #lifetimeMs: number;
  readonly #maxEntries: number;
  readonly #now: () => number;
  /** In the order of use, which is the order in which they end. */
  readonly #ends = new Map<string, number>();

  constructor(options: ReplayTableOptions) {
    this.#lifetimeMs = options.lifetimeMs;
    this.#maxEntries = options.maxEntries ?? 131_072;
    this.#now = options.now ?? Date.now;
  }

  get size(): number {
    return this.#ends.size;
  }

  /**
   * Notes that `id` was used; answers false if it had been before.
   *
   * @throws {DuplexityError} `DPX_UNAUTHENTICATED_LIMIT` when the table is full: forgetting one would let it in again.
   */
  use(id: string): boolean {
    const now = this.#now();
    for (const [used, end] of this.#ends) {
      if (end > now) break;
      this.#ends.delete(used);
    }
    if (this.#ends.has(id)) return false;
    if (this.#ends.size >= this.#maxEntries) {
      throw new DuplexityError(
        "DPX_UNAUTHENTICATED_LIMIT",
        "Cannot check the proof: too many came within a short time",
      );
    }
    this.#ends.set(id, now + this.#lifetimeMs);
    return true;
  }
}
