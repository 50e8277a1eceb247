// A clock that stands still until a test moves it.

import type { Clock } from "../../src/server/clock.ts";

interface Alarm {
  readonly at: number;
  readonly run: () => void;
}

export class ManualClock implements Clock {
  #now = 1_800_000_000_000;
  readonly #alarms = new Set<Alarm>();

  now(): number {
    return this.#now;
  }

  get pending(): number {
    return this.#alarms.size;
  }

  after(delayMs: number, run: () => void): () => void {
    const alarm = { at: this.#now + delayMs, run };
    this.#alarms.add(alarm);
    return () => this.#alarms.delete(alarm);
  }

  /** Lets `ms` pass, and every alarm in them ring in its turn. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (let next = this.#next(until); next !== null; next = this.#next(until)) {
      this.#alarms.delete(next);
      this.#now = Math.max(this.#now, next.at);
      next.run();
    }
    this.#now = until;
  }

  /** Time passes while the process sleeps: nothing rings. */
  sleep(ms: number): void {
    this.#now += ms;
  }

  #next(until: number): Alarm | null {
    let first: Alarm | null = null;
    for (const alarm of this.#alarms) if (alarm.at <= until && (first === null || alarm.at < first.at)) first = alarm;
    return first;
  }
}
