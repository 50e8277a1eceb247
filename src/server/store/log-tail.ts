// The newest entries of one log, as JSON. Forgets the oldest when it has too many or they are too large together.

import { MAX_LOG_ENTRIES } from "./store.ts";

/** Characters of JSON in one log of a memory or folder store. */
export const MAX_LOG_CHARS = 33_554_432;

export class LogTail {
  #entries: string[] = [];
  /** Where the oldest one is that still counts: taking it off the front each time would move all others. */
  #first = 0;
  #chars = 0;

  get length(): number {
    return this.#entries.length - this.#first;
  }

  /** Characters of its JSON. */
  get chars(): number {
    return this.#chars;
  }

  append(json: string): void {
    this.#entries.push(json);
    this.#chars += json.length;
    while (this.length > MAX_LOG_ENTRIES || this.#chars > MAX_LOG_CHARS) {
      this.#chars -= this.#entries[this.#first]?.length ?? 0;
      this.#first++;
    }
    if (this.#first <= this.length) return;
    this.#entries = this.#entries.slice(this.#first);
    this.#first = 0;
  }

  /** The newest `limit`, oldest first. */
  newest(limit: number): readonly string[] {
    return this.#entries.slice(Math.max(this.#first, this.#entries.length - limit));
  }
}
