// Work that comes in crowds and is in no hurry, one piece in each turn of the event loop: what visitors sent meanwhile comes
// before the next piece. Has no bound of its own: whoever gives it work has one.

/** So many turns in a row are left to connections that come: whoever waits has the next one. */
const MAX_LEFT_TURNS = 32;

export class TurnQueue {
  /** In the order in which they came. */
  readonly #waiting = new Set<{ readonly work: () => void }>();
  #isRunning = false;
  #hasArrival = false;
  #leftTurns = 0;

  /**
   * Calls `work` in a later turn, after what was given before it. What it throws is thrown in its turn and keeps no other
   * from theirs. Returns the function that gives the turn up.
   */
  run(work: () => void): () => void {
    const place = { work };
    this.#waiting.add(place);
    if (!this.#isRunning) this.#goOn();
    return () => void this.#waiting.delete(place);
  }

  /** Resolves in the turn in which `run` would call its work. */
  wait(): Promise<void> {
    return new Promise((resolve) => void this.run(resolve));
  }

  /**
   * A connection has come. There may be others behind it, and each turn of the event loop accepts one (libuv 1.45): a turn
   * in which one came is left to them, so that a visitor among them does not wait for a piece of work for each.
   */
  arrived(): void {
    this.#hasArrival = true;
  }

  #goOn(): void {
    this.#isRunning = this.#waiting.size > 0;
    if (this.#isRunning) setImmediate(() => this.#next());
  }

  #next(): void {
    const isLeft = this.#hasArrival && this.#leftTurns < MAX_LEFT_TURNS;
    this.#hasArrival = false;
    this.#leftTurns = isLeft ? this.#leftTurns + 1 : 0;
    const [first] = isLeft ? [] : this.#waiting;
    if (first !== undefined) this.#waiting.delete(first);
    // Before the work is done: it may throw.
    this.#goOn();
    first?.work();
  }
}
