// Work that comes in crowds and is in no hurry, one piece in each turn of the event loop: what visitors sent meanwhile comes
// before the next piece. Has no bound of its own: whoever gives it work has one.

export class TurnQueue {
  readonly #waiting: (() => void)[] = [];
  #isRunning = false;

  /** Calls `work` in a later turn, after what was given before it. It throws nothing. */
  run(work: () => void): void {
    this.#waiting.push(work);
    if (this.#isRunning) return;
    this.#isRunning = true;
    setImmediate(() => this.#next());
  }

  #next(): void {
    this.#waiting.shift()?.();
    this.#isRunning = this.#waiting.length > 0;
    if (this.#isRunning) setImmediate(() => this.#next());
  }
}
