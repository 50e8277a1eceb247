// Measures how much this node has to do, twice a second. What follows from it is others' business.

import { type EventLoopUtilization, performance } from "node:perf_hooks";
import { type Load, LoadLevel } from "./load-level.ts";

export interface LoadWatchOptions {
  /** Clients, as part of those that the node may have. */
  readonly clients: () => number;
  /** Sockets that have not said who they are, as part of those that it may have. */
  readonly unauthenticated: () => number;
  readonly onChange: (load: Load) => void;
}

const SAMPLE_EVERY_MS = 500;

export class LoadWatch {
  readonly #options: LoadWatchOptions;
  readonly #level = new LoadLevel();
  readonly #timer: NodeJS.Timeout;
  #dueAt = performance.now() + SAMPLE_EVERY_MS;
  #last: EventLoopUtilization = performance.eventLoopUtilization();

  constructor(options: LoadWatchOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_EVERY_MS).unref();
  }

  get load(): Load {
    return this.#level.load;
  }

  /** Part of the last seconds in which the event loop was not idle, 0 to 1. */
  get utilization(): number {
    return this.#level.utilization;
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** What is due comes as late as whatever else comes at some moment: this timer's lateness is a sample of it. */
  #sample(): void {
    const { clients, unauthenticated, onChange } = this.#options;
    const now = performance.now();
    const delayMs = Math.max(0, now - this.#dueAt);
    this.#dueAt = now + SAMPLE_EVERY_MS;
    const utilization = performance.eventLoopUtilization();
    const sample = {
      delayMs,
      utilization: performance.eventLoopUtilization(utilization, this.#last).utilization,
      clients: clients(),
      unauthenticated: unauthenticated(),
    };
    this.#last = utilization;
    const before = this.#level.load;
    const load = this.#level.add(sample);
    if (load !== before) onChange(load);
  }
}
