// Looks for a token that the mirror does not have: another node may have made it a moment ago. Asks the store once for all
// who show the same one, and never for more unknown ones than it can bear.

import { DuplexityError } from "../../protocol/index.ts";

/** An unknown token is not looked for again before; the mirror has seen by then what it missed. */
export const UNKNOWN_MS = 10_000;
/** Unknown ones that are remembered; the oldest goes first. */
export const MAX_UNKNOWN = 1_000;
/** Looks in one second, for all who guess together. */
export const MAX_LOOKS_PER_SECOND = 50;

export class TokenLookup {
  readonly #ask: (digest: string) => Promise<boolean>;
  readonly #now: () => number;
  readonly #asking = new Map<string, Promise<void>>();
  /** Digests, with the time when they may be looked for again, in that order. */
  readonly #unknown = new Map<string, number>();
  #second = 0;
  #looks = 0;

  /**
   * @param ask Answers whether the store has it.
   * @param now Unix time in ms.
   */
  constructor(ask: (digest: string) => Promise<boolean>, now: () => number) {
    this.#ask = ask;
    this.#now = now;
  }

  /**
   * Resolves when the store was asked, or need not be.
   *
   * @throws {DuplexityError} `DPX_RATE_LIMIT` if too many are unknown, `DPX_STORE`.
   */
  async look(digest: string): Promise<void> {
    const asking = this.#asking.get(digest);
    if (asking !== undefined) return asking;
    if ((this.#unknown.get(digest) ?? 0) > this.#now()) return;
    this.#count();
    const look = this.#look(digest);
    this.#asking.set(digest, look);
    try {
      await look;
    } finally {
      this.#asking.delete(digest);
    }
  }

  async #look(digest: string): Promise<void> {
    const isKnown = await this.#ask(digest);
    this.#unknown.delete(digest);
    if (isKnown) return;
    const [oldest] = this.#unknown.keys();
    if (this.#unknown.size >= MAX_UNKNOWN && oldest !== undefined) this.#unknown.delete(oldest);
    this.#unknown.set(digest, this.#now() + UNKNOWN_MS);
  }

  #count(): void {
    const second = Math.floor(this.#now() / 1_000);
    if (second !== this.#second) this.#looks = 0;
    this.#second = second;
    this.#looks += 1;
    if (this.#looks <= MAX_LOOKS_PER_SECOND) return;
    throw new DuplexityError("DPX_RATE_LIMIT", "Cannot look the token up: too many unknown ones come", {
      hint: "Try again in 1 s.",
      retryAfterMs: 1_000,
    });
  }
}
