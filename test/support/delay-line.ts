// Carries pieces of work through time in order: each waits for its turn on a line of so many bytes a second, and then
// for a delay. Without either, work is done at once.

/** More than this much under way: the source has to wait. */
const MAX_IN_FLIGHT_BYTES = 4_194_304;

interface Item {
  readonly at: number;
  readonly bytes: number;
  readonly work: () => void;
}

export class DelayLine {
  #queue: Item[] = [];
  #inFlight = 0;
  #freeAt = 0;
  #timer: NodeJS.Timeout | null = null;
  readonly #onProgress: () => void;

  /** @param onProgress Called each time that something has gone through. */
  constructor(onProgress: () => void) {
    this.#onProgress = onProgress;
  }

  get isFull(): boolean {
    return this.#inFlight >= MAX_IN_FLIGHT_BYTES;
  }

  push(work: () => void, bytes: number, delayMs: number, bytesPerSecond: number): void {
    if (delayMs === 0 && bytesPerSecond === 0 && this.#queue.length === 0) {
      work();
      return;
    }
    const now = performance.now();
    this.#freeAt = Math.max(this.#freeAt, now) + (bytesPerSecond === 0 ? 0 : (bytes * 1000) / bytesPerSecond);
    this.#inFlight += bytes;
    this.#queue.push({ at: this.#freeAt + delayMs, bytes, work });
    this.#arm();
  }

  stop(): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#queue = [];
  }

  #arm(): void {
    const next = this.#queue[0];
    if (this.#timer || !next) return;
    // Timers cut fractions off: one more millisecond is never early.
    this.#timer = setTimeout(() => this.#run(), Math.max(0, Math.ceil(next.at - performance.now())));
  }

  #run(): void {
    this.#timer = null;
    const now = performance.now();
    let done = 0;
    for (const item of this.#queue) {
      if (item.at > now + 0.5) break;
      done += 1;
      this.#inFlight -= item.bytes;
      item.work();
    }
    this.#queue.splice(0, done);
    this.#onProgress();
    this.#arm();
  }
}
