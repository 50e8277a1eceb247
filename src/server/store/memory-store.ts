// The store of a server that is told to keep nothing: all of it in this process, gone with it.
// Every method does its work in one turn, which is what makes it atomic.

import { type Clock, systemClock } from "../clock.ts";
import { Image } from "./image.ts";
import { type Committer, ImageStore, type Operation } from "./image-store.ts";

export interface MemoryStoreOptions {
  /** @default systemClock */
  readonly clock?: Clock;
  /** Entries that there may be. @default 1_000_000 */
  readonly maxEntries?: number;
  /** Characters of all keys and JSON together. @default 268_435_456 */
  readonly maxChars?: number;
}

export class MemoryStore extends ImageStore {
  constructor(options: MemoryStoreOptions = {}) {
    const image = new Image({ ...options, clock: options.clock ?? systemClock });
    super(image, new ImmediateCommitter(image));
  }
}

class ImmediateCommitter implements Committer {
  readonly #image: Image;

  constructor(image: Image) {
    this.#image = image;
  }

  async run<T>(operation: Operation<T>): Promise<T> {
    const draft = this.#image.draft();
    const answer = operation(draft);
    this.#image.apply(draft.changes);
    return answer;
  }

  async close(): Promise<void> {}
}
