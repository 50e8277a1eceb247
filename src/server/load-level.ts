// How much a node has to do, as it is told to others: from figures that jump to a word that stays. Measures nothing.

/**
 * `busy`: new clients go to hubs that have less to do, where there are any. `overloaded`: it takes none at the moment; those
 * that it has are not touched.
 */
export type Load = "normal" | "busy" | "overloaded";

/** From little to much. */
export const LOADS: readonly Load[] = ["normal", "busy", "overloaded"];

export interface LoadSample {
  /** Part of the time that the event loop was not idle, 0 to 1. */
  readonly utilization: number;
  /** How late the event loop came to something that was due, in ms. */
  readonly delayMs: number;
  /** Clients, as part of those that it may have. */
  readonly clients: number;
  /** Sockets that have not said who they are, as part of those that it may have. */
  readonly unauthenticated: number;
}

interface Threshold {
  /** It counts from here up … */
  readonly from: number;
  /** … until it is below this. */
  readonly below: number;
}

export const BUSY_UTILIZATION: Threshold = { from: 0.9, below: 0.7 };
export const BUSY_CLIENTS: Threshold = { from: 0.9, below: 0.85 };
export const BUSY_UNAUTHENTICATED: Threshold = { from: 0.5, below: 0.25 };
/** Half a second late is what a visitor feels. A node whose CPU is used up by one download is busy, but not late. */
export const OVERLOADED_DELAY_MS: Threshold = { from: 500, below: 150 };
/** What one sample changes: with one each half second, the last five seconds count. */
const WEIGHT = 0.2;
/** A process that was stopped for an hour was late once. */
const MAX_DELAY_MS = 2_000;

export class LoadLevel {
  readonly #utilization = new Latch(BUSY_UTILIZATION);
  readonly #clients = new Latch(BUSY_CLIENTS);
  readonly #unauthenticated = new Latch(BUSY_UNAUTHENTICATED);
  readonly #delay = new Latch(OVERLOADED_DELAY_MS);
  #smooth = { utilization: 0, delayMs: 0, unauthenticated: 0 };
  #load: Load = "normal";

  get load(): Load {
    return this.#load;
  }

  /** Of the last seconds, 0 to 1. */
  get utilization(): number {
    return this.#smooth.utilization;
  }

  /** Of the last seconds. */
  get delayMs(): number {
    return this.#smooth.delayMs;
  }

  add({ utilization, delayMs, clients, unauthenticated }: LoadSample): Load {
    const before = this.#smooth;
    this.#smooth = {
      utilization: mixed(before.utilization, utilization),
      delayMs: mixed(before.delayMs, Math.min(delayMs, MAX_DELAY_MS)),
      unauthenticated: mixed(before.unauthenticated, unauthenticated),
    };
    const busy = [
      this.#utilization.isOn(this.#smooth.utilization),
      this.#clients.isOn(clients),
      this.#unauthenticated.isOn(this.#smooth.unauthenticated),
    ];
    const isOverloaded = this.#delay.isOn(this.#smooth.delayMs);
    this.#load = isOverloaded ? "overloaded" : busy.includes(true) ? "busy" : "normal";
    return this.#load;
  }
}

/** On from one threshold up, off below another: between them it stays what it is. */
class Latch {
  readonly #threshold: Threshold;
  #isOn = false;

  constructor(threshold: Threshold) {
    this.#threshold = threshold;
  }

  isOn(value: number): boolean {
    this.#isOn = value >= (this.#isOn ? this.#threshold.below : this.#threshold.from);
    return this.#isOn;
  }
}

function mixed(before: number, sample: number): number {
  return before + WEIGHT * (sample - before);
}
