// Who wants to hear of changed keys. Calls them one after another; what one throws reaches neither the others nor the store.

import { DuplexityError } from "../../protocol/index.ts";

/** Watches of one store at a time. */
export const MAX_WATCHES = 1_000;

interface Watch {
  readonly prefix: string;
  readonly listener: (key: string) => void;
}

export class Watches {
  readonly #watches = new Set<Watch>();

  /** @throws {DuplexityError} `DPX_STORE` if there are `MAX_WATCHES` already. */
  add(prefix: string, listener: (key: string) => void): () => void {
    if (this.#watches.size >= MAX_WATCHES) {
      throw new DuplexityError("DPX_STORE", `Cannot watch "${prefix}": the store has ${MAX_WATCHES} watches already`);
    }
    const watch = { prefix, listener };
    this.#watches.add(watch);
    return () => this.#watches.delete(watch);
  }

  notify(key: string): void {
    for (const { prefix, listener } of [...this.#watches]) {
      if (!key.startsWith(prefix)) continue;
      try {
        listener(key);
      } catch (error) {
        // The listener's defect, not that of whoever changed the entry: it surfaces as what it is, uncaught.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
  }

  clear(): void {
    this.#watches.clear();
  }
}
