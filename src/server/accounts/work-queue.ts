// Lets only so many pieces of heavy work run at once, and only so many wait. Knows nothing of the work.

import { DuplexityError } from "../../protocol/index.ts";

/** For whoever is refused: what waits is worked on by then, or it is an attack. */
const RETRY_AFTER_MS = 3_000;

export interface WorkQueueOptions {
  readonly maxRunning: number;
  readonly maxWaiting: number;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /**
   * Runs `work` when its turn comes.
   *
   * @throws {DuplexityError} `DPX_RATE_LIMIT` at once when too many are waiting.
   */
  async run<T>(work: () => Promise<T>): Promise<T> {
    const { maxRunning, maxWaiting } = this.#options;
    if (this.#running < maxRunning) {
      this.#running += 1;
    } else {
      if (this.#waiting.length >= maxWaiting) {
        throw new DuplexityError("DPX_RATE_LIMIT", "Cannot check the password: too many are being checked just now", {
          hint: "Try again in a few seconds.",
          retryAfterMs: RETRY_AFTER_MS,
        });
      }
      await new Promise<void>((begin) => this.#waiting.push(begin));
    }
    try {
      return await work();
    } finally {
      // Whoever is next takes over this place, so that nobody can slip in between.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
