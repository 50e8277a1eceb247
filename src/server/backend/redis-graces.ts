// Names that clients of this node have given up, and that are their owners' for a while: to be put back when Redis has lost
// them. Says nothing of who has a name now.

import type { Clock } from "../clock.ts";
import { forEachAtMost } from "./at-most.ts";
import type { Grace } from "./redis-steps.ts";
import type { RegistryRecord } from "./registry.ts";

export interface GracesOptions {
  readonly graceMs: number;
  readonly clock: Clock;
}

/** Beyond, the one that was given up longest ago is forgotten. */
const MAX_GRACES = 100_000;

/** Put back at once. */
const MAX_REVIVALS = 20;

interface Kept {
  readonly record: RegistryRecord;
  readonly hasLeft: boolean;
  /** By this node's clock. */
  readonly endsAt: number;
}

export class Graces {
  readonly #options: GracesOptions;
  /** In the order in which they end: they last equally long. */
  readonly #kept = new Map<string, Kept>();

  constructor(options: GracesOptions) {
    this.#options = options;
  }

  /** @param record As it was while it was held. */
  put(record: RegistryRecord, hasLeft: boolean): void {
    const { clock, graceMs } = this.#options;
    this.#kept.delete(record.hostname);
    this.#kept.set(record.hostname, { record, hasLeft, endsAt: clock.now() + graceMs });
    this.#forget();
  }

  delete(hostname: string): void {
    this.#kept.delete(hostname);
  }

  /** Has each put back with what is left of it. Rejects with what `putBack` does. */
  async putBack(putBack: (grace: Grace) => Promise<void>): Promise<void> {
    this.#forget();
    await forEachAtMost(MAX_REVIVALS, [...this.#kept.values()], ({ record, hasLeft, endsAt }) =>
      putBack({ record, hasLeft, graceMs: Math.max(0, endsAt - this.#options.clock.now()) }),
    );
  }

  clear(): void {
    this.#kept.clear();
  }

  #forget(): void {
    const now = this.#options.clock.now();
    for (const [hostname, { endsAt }] of this.#kept) {
      if (endsAt > now && this.#kept.size <= MAX_GRACES) return;
      this.#kept.delete(hostname);
    }
  }
}
