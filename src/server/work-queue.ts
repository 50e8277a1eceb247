// Lets only so many pieces of work run at once, and only so many wait for their turn. Knows nothing of the work.

export interface WorkQueueOptions {
  readonly maxRunning: number;
  readonly maxWaiting: number;
  /** Why whoever finds that many waiting, or waits for too long, is refused. */
  readonly refusal: () => Error;
}

interface Place {
  readonly begin: () => void;
  readonly leave: (error: Error) => void;
}

export class WorkQueue {
  readonly #options: WorkQueueOptions;
  /** In the order in which they came. */
  readonly #waiting = new Set<Place>();
  #running = 0;

  constructor(options: WorkQueueOptions) {
    this.#options = options;
  }

  /**
   * Runs `work` when its turn comes.
   *
   * @param limitMs How long it may wait for its turn. @default as long as it takes
   * @throws The refusal, at once when too many are waiting and after `limitMs`; what `dismiss` was given.
   */
  async run<T>(work: () => Promise<T>, limitMs?: number): Promise<T> {
    const { maxRunning, maxWaiting, refusal } = this.#options;
    if (this.#running < maxRunning) {
      this.#running += 1;
    } else {
      if (this.#waiting.size >= maxWaiting) throw refusal();
      await this.#turn(limitMs);
    }
    try {
      return await work();
    } finally {
      // Whoever is next takes over this place, so that nobody can slip in between.
      const [next] = this.#waiting;
      if (next === undefined) this.#running -= 1;
      else next.begin();
    }
  }

  /** All who wait are told `error`, and their work is never run. */
  dismiss(error: Error): void {
    for (const place of [...this.#waiting]) place.leave(error);
  }

  #turn(limitMs: number | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const over = (): void => {
        this.#waiting.delete(place);
        clearTimeout(timer);
      };
      const place: Place = {
        begin: () => {
          over();
          resolve();
        },
        leave: (error) => {
          over();
          reject(error);
        },
      };
      const timer = limitMs === undefined ? undefined : setTimeout(() => place.leave(this.#options.refusal()), limitMs);
      this.#waiting.add(place);
    });
  }
}
