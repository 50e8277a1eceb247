// Notices that this machine slept: its clock went on while timers did not.

const TICK_MS = 2_000;
/** A jump smaller than this is a busy process or a corrected clock. */
export const WAKE_JUMP_MS = 10_000;

export class WakeWatch {
  readonly #timer: NodeJS.Timeout;
  #lastTickAt = Date.now();

  constructor(onWake: () => void) {
    this.#timer = setInterval(() => {
      const now = Date.now();
      const jumpMs = now - this.#lastTickAt - TICK_MS;
      this.#lastTickAt = now;
      if (jumpMs > WAKE_JUMP_MS) onWake();
    }, TICK_MS);
    // It watches; it is no reason to stay.
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
