// Counts answers by the class of their status and by how long they took. A few additions for each request: what a scrape
// makes of them is not its business.

/** Upper ends of the buckets of the durations, in milliseconds; what takes longer is in one more. */
export const DURATION_BOUNDS_MS = [
  1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000,
] as const;

const HIGHEST_CLASS = 5;

export class AnswerCounts {
  /** By the first digit of the status; at 0 those that ended without an answer, since the visitor had left. */
  readonly byClass: number[] = new Array<number>(HIGHEST_CLASS + 1).fill(0);
  /** Requests by duration, each in one bucket. */
  readonly byDuration: number[] = new Array<number>(DURATION_BOUNDS_MS.length + 1).fill(0);
  /** Of all durations, in milliseconds. */
  durationMs = 0;

  /** @param status 0 if there was none. */
  count(status: number, durationMs: number): void {
    this.countUntimed(status);
    let bucket = 0;
    // Most requests are in one of the first buckets: a search by halves would take longer.
    while (bucket < DURATION_BOUNDS_MS.length && durationMs > (DURATION_BOUNDS_MS[bucket] ?? 0)) bucket += 1;
    this.byDuration[bucket] = (this.byDuration[bucket] ?? 0) + 1;
    this.durationMs += durationMs;
  }

  /** For an answer to what was no request: nobody knows when it began. */
  countUntimed(status: number): void {
    const digit = Math.floor(status / 100);
    const index = Math.min(digit, HIGHEST_CLASS);
    this.byClass[index] = (this.byClass[index] ?? 0) + 1;
  }
}
