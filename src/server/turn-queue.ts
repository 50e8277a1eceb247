// Work that comes in crowds and is in no hurry, one piece in each turn of the event loop: what visitors sent meanwhile comes
// before the next piece. Has no bound of its own: whoever gives it work has one.

export class TurnQueue {
  /** In the order in which they came. */
  readonly #waiting = new Set<{ readonly work: () => void }>();
  #isRunning = false;

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

  #goOn(): void {
    this.#isRunning = this.#waiting.size > 0;
    if (this.#isRunning) setImmediate(() => this.#next());
  }

  #next(): void {
    const [first] = this.#waiting;
    if (first !== undefined) this.#waiting.delete(first);
    // Before the work is done: it may throw.
    this.#goOn();
    first?.work();
  }
}
