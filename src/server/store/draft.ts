// Changes that are decided and not yet true: sees itself, and is seen by nobody. Keeps the store's bounds.

import { DuplexityError } from "../../protocol/index.ts";
import { type Change, type Entry, weigh } from "./changes.ts";
import type { Image } from "./image.ts";

/** Logs of one store; each is bounded by itself. */
export const MAX_LOGS = 16;

export class Draft {
  readonly changes: Change[] = [];
  readonly #image: Image;
  readonly #entries = new Map<string, Entry | null>();
  readonly #newLogs = new Set<string>();
  #size: number;
  #chars: number;

  constructor(image: Image) {
    this.#image = image;
    this.#size = image.size;
    this.#chars = image.chars;
  }

  now(): number {
    return this.#image.clock.now();
  }

  get(key: string): Entry | null {
    const entry = this.#entries.get(key);
    return entry === undefined ? this.#image.get(key) : entry;
  }

  /** @throws {DuplexityError} `DPX_STORE` if the store is full; then the draft is as before. */
  add(change: Change): void {
    if (change.kind === "append") this.#addLog(change.log);
    else this.#addEntry(change.key, change.kind === "put" ? change.entry : null);
    this.changes.push(change);
  }

  #addEntry(key: string, entry: Entry | null): void {
    const drafted = this.#entries.get(key);
    const isThere = drafted === undefined ? this.#image.has(key) : drafted !== null;
    const charsThere = drafted === undefined ? this.#image.charsOf(key) : drafted === null ? 0 : weigh(key, drafted);
    const size = this.#size + (entry === null ? 0 : 1) - (isThere ? 1 : 0);
    const chars = this.#chars + (entry === null ? 0 : weigh(key, entry)) - charsThere;
    if (size > this.#size && size > this.#image.maxEntries) throw full(key, `${this.#image.maxEntries} entries`);
    if (chars > this.#chars && chars > this.#image.maxChars) throw full(key, `${this.#image.maxChars} characters`);
    this.#entries.set(key, entry);
    this.#size = size;
    this.#chars = chars;
  }

  #addLog(log: string): void {
    if (this.#image.logs.has(log) || this.#newLogs.has(log)) return;
    if (this.#image.logs.size + this.#newLogs.size >= MAX_LOGS) throw full(log, `${MAX_LOGS} logs`);
    this.#newLogs.add(log);
  }
}

function full(key: string, bound: string): DuplexityError {
  return new DuplexityError("DPX_STORE", `Cannot keep "${key}": the store is full, it has ${bound}`, {
    hint: "Remove accounts, tokens or bans that nobody needs.",
  });
}
