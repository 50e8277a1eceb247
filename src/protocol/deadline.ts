// One end for everything that belongs to an attempt: its time is over, or
// whoever asked for it gave up.

/** A signal that aborts after `ms` or with `parent`. `clear()` it when the attempt is over, however it went. */
export class Deadline {
  readonly signal: AbortSignal;
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal;
  readonly #timer: NodeJS.Timeout;
  readonly #abort = (): void => this.#controller.abort(this.#parent.reason);

  constructor(ms: number, parent: AbortSignal, why: () => Error) {
    this.signal = this.#controller.signal;
    this.#parent = parent;
    this.#timer = setTimeout(() => this.#controller.abort(why()), ms);
    // Not AbortSignal.any: on a signal that lives as long as the process, it keeps something of each attempt (Node 20).
    if (parent.aborted) this.#abort();
    else parent.addEventListener("abort", this.#abort);
  }

  /** Counts anew from now on. */
  refresh(): void {
    this.#timer.refresh();
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#parent.removeEventListener("abort", this.#abort);
  }
}
