// Lets only so many pieces of work run at once, and only so many wait for their turn. Knows nothing of the work.

export interface WorkQueueOptions {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  /** What whoever comes beyond that is told. */
  readonly full: () => Error;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  /** In the order in which they came. */
  readonly #waiting = new Set<() => void>();
  #running = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /**
   * Runs `work` when its turn comes.
   *
   * @param limitMs How long it may wait for its turn. @default as long as it takes
   * @throws What `full` says, at once when too many are waiting and after `limitMs`.
   */
  async run<T>(work: () => Promise<T>, limitMs?: number): Promise<T> {
    const { maxRunning, maxWaiting, full } = this.#options;
    if (this.#running < maxRunning) {
      this.#running += 1;
    } else {
      if (this.#waiting.size >= maxWaiting) throw full();
      await this.#turn(limitMs);
    }
    try {
      return await work();
    } finally {
      // Whoever is next takes over this place, so that nobody can slip in between.
      const [next] = this.#waiting;
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }

  #turn(limitMs: number | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const begin = (): void => {
        this.#waiting.delete(begin);
        clearTimeout(timer);
        resolve();
      };
      const giveUp = (): void => {
        this.#waiting.delete(begin);
        reject(this.#options.full());
      };
      const timer = limitMs === undefined ? undefined : setTimeout(giveUp, limitMs);
      this.#waiting.add(begin);
    });
  }
}
