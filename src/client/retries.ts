// When the first link is tried again: at once where waiting helps nobody, else as the server says or as the backoff has it.
// Waits for nothing itself.

import type { DuplexityError } from "../protocol/index.ts";
import { BACKOFF_HEALTHY_BYTES, BACKOFF_HEALTHY_MS, Backoff } from "./backoff.ts";
import { longestWaitAfter } from "./dial-errors.ts";
import { retryAfterMs } from "./waits.ts";

export class Retries {
  readonly #backoff = new Backoff();
  #upAt = 0;
  #bytesWhenUp = 0;
  /** Attempts that need not wait: the drop was announced, or only the link broke, or the machine slept. */
  #free = 0;
  /** A node that cuts what it has just taken is no node that is gone: turns may be soon. */
  #wasOfUse = true;

  get areFree(): boolean {
    return this.#free > 0;
  }

  /** So many attempts from now on need not wait. */
  grant(count: number): void {
    this.#free = count;
  }

  /** @param movedBytes Of all sessions so far. */
  up(movedBytes: number): void {
    this.#upAt = performance.now();
    this.#bytesWhenUp = movedBytes;
  }

  /**
   * What was up is lost.
   *
   * @param movedBytes As for `up`.
   * @param hasControl Whether the control socket is still there.
   */
  lost(movedBytes: number, hasControl: boolean): void {
    const wasHealthy = performance.now() - this.#upAt >= BACKOFF_HEALTHY_MS;
    this.#wasOfUse = wasHealthy || movedBytes - this.#bytesWhenUp >= BACKOFF_HEALTHY_BYTES;
    if (this.#wasOfUse) this.#backoff.reset();
    // The server is there and answers: only the link broke.
    if (wasHealthy && hasControl) this.#free = Math.max(this.#free, 1);
  }

  /**
   * Counts an attempt and answers how long to wait before it, in ms.
   *
   * @param error What the one before ended with.
   * @param moveMs The node is gone, and all of its clients come to the others: this one in so long. Null: it is not that.
   */
  next(error: DuplexityError, moveMs: number | null): number {
    const isTurn = moveMs !== null && this.#wasOfUse;
    const ownMs = isTurn ? moveMs : Math.max(moveMs ?? 0, this.#backoff.next(longestWaitAfter(error)));
    const delayMs = Math.max(retryAfterMs(error), this.areFree ? 0 : ownMs);
    this.#free = Math.max(0, this.#free - 1);
    return delayMs;
  }
}
