// All entries and logs of a store in this process's memory, as JSON. Changes come as a draft, which is looked at and
// bounded before anything is applied, so that a journal can be written in between. Never touches a disk.

import { DuplexityError } from "../../protocol/index.ts";
import type { Clock } from "../clock.ts";
import { type Change, type Entry, weigh } from "./changes.ts";
import { Draft } from "./draft.ts";
import { LogTail } from "./log-tail.ts";
import { MAX_LISTED } from "./store.ts";
import { Watches } from "./watches.ts";

/** Entries of a memory or folder store. */
export const MAX_ENTRIES = 1_000_000;
/** Characters of all their keys and JSON together. */
export const MAX_CHARS = 268_435_456;
/** How often the entries whose time has ended are thrown out. Until then they are there, and nobody sees them. */
const SWEEP_MS = 30_000;

export interface ImageOptions {
  readonly clock: Clock;
  /** @default MAX_ENTRIES */
  readonly maxEntries?: number | undefined;
  /** @default MAX_CHARS */
  readonly maxChars?: number | undefined;
}

export class Image {
  readonly clock: Clock;
  readonly maxEntries: number;
  readonly maxChars: number;
  readonly watches = new Watches();
  readonly #entries = new Map<string, Entry>();
  readonly #logs = new Map<string, LogTail>();
  /** Keys by the sweep that throws them out, so that a sweep looks at no others. */
  readonly #sweeps = new Map<number, Set<string>>();
  #cancelSweep: (() => void) | null = null;
  #chars = 0;

  constructor(options: ImageOptions) {
    this.clock = options.clock;
    this.maxEntries = options.maxEntries ?? MAX_ENTRIES;
    this.maxChars = options.maxChars ?? MAX_CHARS;
  }

  /** Entries, those among them whose time has ended and which no sweep has met yet. */
  get size(): number {
    return this.#entries.size;
  }

  /** Characters of all keys and their JSON; logs do not count. */
  get chars(): number {
    return this.#chars;
  }

  /** Characters of all that there is, logs too. */
  get allChars(): number {
    let chars = this.#chars;
    for (const tail of this.#logs.values()) chars += tail.chars;
    return chars;
  }

  get logs(): ReadonlyMap<string, LogTail> {
    return this.#logs;
  }

  /** Everything that there is, as the changes that would make it out of nothing. */
  *changes(): Generator<Change> {
    for (const [key, entry] of this.entries()) yield { kind: "put", key, entry };
    for (const [log, tail] of this.#logs) {
      for (const json of tail.newest(tail.length)) yield { kind: "append", log, json };
    }
  }

  get(key: string): Entry | null {
    const entry = this.#entries.get(key);
    return entry === undefined || this.#hasEnded(entry) ? null : entry;
  }

  /** What `key` takes of the bound at the moment. */
  charsOf(key: string): number {
    const entry = this.#entries.get(key);
    return entry === undefined ? 0 : weigh(key, entry);
  }

  has(key: string): boolean {
    return this.#entries.has(key);
  }

  list(prefix: string): readonly (readonly [key: string, json: string])[] {
    const found: (readonly [string, string])[] = [];
    for (const [key, entry] of this.entries()) if (key.startsWith(prefix)) found.push([key, entry.json]);
    return found.sort(([a], [b]) => (a < b ? -1 : 1)).slice(0, MAX_LISTED);
  }

  /** All entries whose time has not ended, in no order. */
  *entries(): Generator<readonly [key: string, entry: Entry]> {
    for (const pair of this.#entries) if (!this.#hasEnded(pair[1])) yield pair;
  }

  readLog(log: string, limit: number): readonly string[] {
    return this.#logs.get(log)?.newest(limit) ?? [];
  }

  draft(): Draft {
    if (this.#entries.size >= this.maxEntries || this.#chars >= this.maxChars) this.#sweep();
    return new Draft(this);
  }

  /** Makes `changes` true and tells those who watch. */
  apply(changes: readonly Change[]): void {
    for (const change of changes) this.#apply(change);
    for (const change of changes) if (change.kind !== "append") this.watches.notify(change.key);
  }

  clear(): void {
    this.#cancelSweep?.();
    this.#cancelSweep = null;
    this.watches.clear();
    this.#entries.clear();
    this.#logs.clear();
    this.#sweeps.clear();
    this.#chars = 0;
  }

  #apply(change: Change): void {
    switch (change.kind) {
      case "put":
        this.#remove(change.key);
        this.#entries.set(change.key, change.entry);
        this.#chars += weigh(change.key, change.entry);
        this.#sweepLater(change.key, change.entry);
        return;
      case "delete":
        this.#remove(change.key);
        return;
      case "append": {
        const tail = this.#logs.get(change.log) ?? new LogTail();
        this.#logs.set(change.log, tail);
        tail.append(change.json);
        return;
      }
      default:
        unreachable(change);
    }
  }

  #remove(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#chars -= weigh(key, entry);
    if (entry.endsAt === null) return;
    const sweep = sweepOf(entry.endsAt);
    const keys = this.#sweeps.get(sweep);
    keys?.delete(key);
    if (keys?.size === 0) this.#sweeps.delete(sweep);
  }

  #sweepLater(key: string, { endsAt }: Entry): void {
    if (endsAt === null) return;
    const sweep = sweepOf(endsAt);
    const keys = this.#sweeps.get(sweep) ?? new Set();
    this.#sweeps.set(sweep, keys.add(key));
    this.#armSweep();
  }

  /** One timer for all, only while any of them has an end. */
  #armSweep(): void {
    if (this.#cancelSweep !== null || this.#sweeps.size === 0) return;
    this.#cancelSweep = this.clock.after(SWEEP_MS, () => {
      this.#cancelSweep = null;
      this.#sweep();
      this.#armSweep();
    });
  }

  #sweep(): void {
    const due = Math.floor(this.clock.now() / SWEEP_MS);
    for (const [sweep, keys] of this.#sweeps) {
      if (sweep <= due) for (const key of keys) this.#remove(key);
    }
  }

  #hasEnded(entry: Entry): boolean {
    return entry.endsAt !== null && entry.endsAt <= this.clock.now();
  }
}

function sweepOf(endsAt: number): number {
  return Math.ceil(endsAt / SWEEP_MS);
}

function unreachable(change: never): never {
  throw new DuplexityError("DPX_INTERNAL", `No such change: ${JSON.stringify(change)}`);
}
