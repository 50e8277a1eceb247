// A rate in bytes, shared by all who take from it: what is not there yet is waited for in turn. Moves no bytes.

import type { Clock } from "../clock.ts";

/** What may go at once after a pause: the bytes of so long. */
const BURST_MS = 250;

type Waiter = () => void;

export class ByteBucket {
  readonly #bytesPerSecond: number;
  readonly #capacity: number;
  readonly #clock: Clock;
  /** Below 0: a piece that was larger than what was there is being paid off. */
  #left: number;
  #at: number;
  /** Bounded by the streams: each waits in two places at most. */
  #waiters: Waiter[] = [];
  #cancel: (() => void) | null = null;

  constructor(bytesPerSecond: number, clock: Clock) {
    this.#bytesPerSecond = bytesPerSecond;
    this.#capacity = Math.max(1, (bytesPerSecond * BURST_MS) / 1_000);
    this.#clock = clock;
    this.#left = this.#capacity;
    this.#at = clock.now();
  }

  /** Whether it is as good as a new one. */
  get isFull(): boolean {
    this.#refill();
    return this.#waiters.length === 0 && this.#left >= this.#capacity;
  }

  /** Whether a piece of so many bytes may go now; then it is counted. Nobody goes ahead of those who wait. */
  take(bytes: number): boolean {
    if (this.#waiters.length > 0) return false;
    return this.#takeNow(bytes);
  }

  /** Calls `run` once when its turn has come and something is there: it may take one piece by the function it is given. */
  wait(run: (take: (bytes: number) => void) => void): void {
    this.#waiters.push(() => run((bytes) => void this.#takeNow(bytes)));
    this.#arm();
  }

  #takeNow(bytes: number): boolean {
    this.#refill();
    if (this.#left <= 0) return false;
    this.#left -= bytes;
    return true;
  }

  #refill(): void {
    const now = this.#clock.now();
    // A clock that was set back gives nothing.
    const passedMs = Math.max(0, now - this.#at);
    this.#at = now;
    this.#left = Math.min(this.#capacity, this.#left + (passedMs / 1_000) * this.#bytesPerSecond);
  }

  #arm(): void {
    if (this.#cancel !== null || this.#waiters.length === 0) return;
    const delayMs = Math.max(1, Math.ceil(((1 - this.#left) / this.#bytesPerSecond) * 1_000));
    this.#cancel = this.#clock.after(delayMs, () => {
      this.#cancel = null;
      this.#serve();
    });
  }

  /** One piece each, in turn: who has more comes again behind the others. */
  #serve(): void {
    this.#refill();
    while (this.#left > 0) {
      const next = this.#waiters.shift();
      if (next === undefined) return;
      next();
    }
    this.#arm();
  }
}
