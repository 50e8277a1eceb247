// Warnings that strangers can cause as often as they like: the first is told, those that come within a minute of one that
// was told are counted, and told together when it is over.

import { type Clock, steadyClock } from "./clock.ts";

export interface SparseWarningsOptions {
  readonly warn: (message: string) => void;
  /** What those are that were not told one by one: "refused peers". */
  readonly many: string;
  readonly clock?: Clock;
}

/** Of one kind at most one warning in so long. */
export const WARN_EVERY_MS = 60_000;

export class SparseWarnings {
  readonly #options: SparseWarningsOptions;
  /** Ends the wait for the next one that may be told; null: it may be told now. */
  #stop: (() => void) | null = null;
  #untold = 0;
  #last = "";

  constructor(options: SparseWarningsOptions) {
    this.#options = options;
  }

  warn(message: string): void {
    if (this.#stop === null) {
      this.#tell(message);
      return;
    }
    this.#untold += 1;
    this.#last = message;
  }

  /** Tells nothing any more of those that were counted. */
  close(): void {
    this.#stop?.();
    this.#untold = 0;
  }

  #tell(message: string): void {
    const { clock = steadyClock, warn, many } = this.#options;
    warn(message);
    this.#stop = clock.after(WARN_EVERY_MS, () => {
      this.#stop = null;
      if (this.#untold === 0) return;
      const [count, last] = [this.#untold, this.#last];
      this.#untold = 0;
      this.#tell(`${count} more ${many} in ${WARN_EVERY_MS / 1_000} s, the last one: ${last}`);
    });
  }
}
