// A wait that somebody may cut short, one at a time. Does not say how long to wait: that is waits.ts and backoff.ts.

import { setTimeout as delay } from "node:timers/promises";

export interface PauseOptions {
  /** Once it has aborted nothing is waited for. It does not end the wait that runs: `end` does. */
  readonly signal: AbortSignal;
  /** Whether the wait keeps the process. */
  readonly ref: boolean;
}

export class Pause {
  readonly #options: PauseOptions;
  #hurry: AbortController | null = null;

  constructor(options: PauseOptions) {
    this.#options = options;
  }

  /** Resolves after `ms`, or when `end` is called. Never rejects. */
  async wait(ms: number): Promise<void> {
    const { signal, ref } = this.#options;
    if (signal.aborted) return;
    const hurry = new AbortController();
    this.#hurry = hurry;
    await delay(ms, undefined, { signal: hurry.signal, ref }).catch(() => {});
    this.#hurry = null;
  }

  /** Ends the wait that runs, if one does. */
  end(): void {
    this.#hurry?.abort();
  }
}
