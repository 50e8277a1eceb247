// How long to wait before the next dial. Full jitter, so that a thousand
// clients of a restarted server do not come back in one instant.

/** Upper end of the first wait. */
export const BACKOFF_BASE_MS = 500;
export const BACKOFF_MAX_MS = 30_000;
/** A refused connection costs nobody anything: a server that restarts is found within this. */
export const BACKOFF_REFUSED_MAX_MS = 2_000;
/** A server that is well and says "not now" means seconds: whoever waited for its end is not to wait longer than for the cause. */
export const BACKOFF_NOT_NOW_MAX_MS = 5_000;
/** A link that lived shorter than this does not count as a success. */
export const BACKOFF_HEALTHY_MS = 500;
/** … unless it has carried this much: then the network cuts links, and waiting longer each time would only add to that. */
export const BACKOFF_HEALTHY_BYTES = 65_536;

export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  constructor(random: () => number = Math.random) {
    this.#random = random;
  }

  /**
   * Counts a failure and answers how long to wait, in ms: between 0 and min(maxMs, 0.5 s · 2^failures).
   *
   * @param maxMs As `longestWaitAfter` has it for the failure.
   */
  next(maxMs: number): number {
    // 2^16 · 0.5 s is far above every maximum: the exponent needs no more.
    const ceiling = Math.min(maxMs, BACKOFF_BASE_MS * 2 ** Math.min(this.#failures, 16));
    this.#failures += 1;
    return Math.round(this.#random() * ceiling);
  }

  reset(): void {
    this.#failures = 0;
  }
}
