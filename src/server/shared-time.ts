// The time by which a node judges what has an end: bans, tokens, sign-ins, visitors' cookies. In a cluster it is Redis's,
// the same for all nodes, so that one whose own clock is wrong, or is set while it runs, judges as the others do.

/** An answer that took longer tells the time too loosely. */
const MAX_ROUND_TRIP_MS = 1_000;

export class SharedTime {
  readonly #steady: () => number;
  /** What to add to the monotonic time; null: nobody has told the time yet. */
  #offsetMs: number | null = null;

  /** @param steady Monotonic time in ms. */
  constructor(steady: () => number = () => performance.now()) {
    this.#steady = steady;
  }

  /** Unix time in ms: as it was told last, and gone on since; this machine's own until then. */
  readonly now = (): number => (this.#offsetMs === null ? Date.now() : Math.round(this.#offsetMs + this.#steady()));

  /**
   * It was `at` (Unix time in ms) somewhere on the way of a question that was asked at `askedAt`, by the monotonic time,
   * and is answered now.
   */
  readonly told = (at: number, askedAt: number): void => {
    const answeredAt = this.#steady();
    if (answeredAt - askedAt > MAX_ROUND_TRIP_MS) return;
    this.#offsetMs = at - (askedAt + answeredAt) / 2;
  };
}
