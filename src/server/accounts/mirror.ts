// A copy in memory of all entries below one prefix of the store, so that who asks need not wait. Follows the changes of
// this process and of others; never writes.

import { asDuplexityError } from "../../protocol/index.ts";
import { oneAtATime } from "../one-at-a-time.ts";
import { MAX_KEYS_IN_CALL, type Store, type StoredEntry, type Value } from "../store/index.ts";

/** A change of which no word came is seen after so long: within a lease (30 s). */
export const RELOAD_EVERY_MS = 10_000;

export type WarningLog = (level: "warn", message: string) => void;

export interface MirrorOptions<T> {
  readonly store: Store;
  /** `account/` */
  readonly prefix: string;
  /** Null: the entry is not whole, and is left out. */
  read(value: Value): T | null;
  /** What the entry can be found by, besides its key. Unique among all entries. */
  indexes?(value: T): readonly string[];
  /** An entry is new or has changed. Not called for what is there when the mirror opens. */
  onChanged?(value: T): void;
  /** Entries are gone, as many as one look has found. */
  onGone?(): void;
  readonly log?: WarningLog | undefined;
}

interface Entry<T> {
  /** As it lies in the store, to see whether it changed. */
  readonly raw: string;
  readonly value: T;
}

export class Mirror<T> {
  readonly #options: MirrorOptions<T>;
  readonly #entries = new Map<string, Entry<T>>();
  /** Index to key. */
  readonly #found = new Map<string, string>();
  /**
   * Each look at the store takes a number before it begins. What an older look brings is dropped, so that answers that
   * overtake each other leave the newest. Holds only numbers above `#floor`: what was looked at since the last reload.
   */
  readonly #seen = new Map<string, number>();
  #floor = 0;
  #goneCount = 0;
  /** Keys of which word came that they have changed: what comes during a look is looked at together in the next one. */
  readonly #changed = new Set<string>();
  readonly #follow = oneAtATime(() => this.#followChanged());
  #looks = 0;
  #isReloading = false;
  #isFailing = false;
  #isClosed = false;
  #close: () => void = () => {};

  /** @throws {DuplexityError} `DPX_STORE` if the store cannot be read. */
  static async open<T>(options: MirrorOptions<T>): Promise<Mirror<T>> {
    const mirror = new Mirror(options);
    // Watch first: what changes while the list is on its way must not be missed.
    const unwatch = options.store.watch(options.prefix, (key) => {
      mirror.#changed.add(key);
      mirror.#follow();
    });
    try {
      await mirror.#load(false);
    } catch (error) {
      unwatch();
      throw error;
    }
    const timer = setInterval(() => void mirror.reload(), RELOAD_EVERY_MS);
    timer.unref();
    mirror.#close = () => {
      clearInterval(timer);
      unwatch();
    };
    return mirror;
  }

  private constructor(options: MirrorOptions<T>) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): T | null {
    return this.#entries.get(key)?.value ?? null;
  }

  /** The entry that has `index` among its indexes. */
  find(index: string): T | null {
    const key = this.#found.get(index);
    return key === undefined ? null : this.get(key);
  }

  values(): readonly T[] {
    return Array.from(this.#entries.values(), ({ value }) => value);
  }

  /** Puts `value` in the place of what is there until the entry changes in the store. Its indexes have to be the same. */
  overlay(key: string, value: T): void {
    const entry = this.#entries.get(key);
    if (entry !== undefined) this.#entries.set(key, { raw: entry.raw, value });
  }

  /**
   * Looks at `key` again. Afterwards the mirror shows what was there when this was called, or something newer.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  async refresh(key: string): Promise<void> {
    await this.#look([key]);
  }

  /** Looks at everything again. Never rejects: what cannot be read now is read at the next time. */
  async reload(): Promise<void> {
    if (this.#isReloading || this.#isClosed) return;
    this.#isReloading = true;
    try {
      await this.#load(true);
      this.#isFailing = false;
    } catch (error) {
      this.#warn(error);
    } finally {
      this.#isReloading = false;
    }
  }

  /**
   * Looks at everything again. Afterwards the mirror shows what was there when this was called, or something newer.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  refreshAll(): Promise<void> {
    return this.#load(true);
  }

  close(): void {
    this.#isClosed = true;
    this.#close();
  }

  async #load(isAnnounced: boolean): Promise<void> {
    const look = this.#nextLook();
    const listed = await this.#options.store.list(this.#options.prefix);
    // A list that was asked for later has been seen already.
    if (this.#isClosed || look < this.#floor) return;
    const before = this.#goneCount;
    const isNewer = (key: string) => (this.#seen.get(key) ?? 0) > look;
    const gone = new Set(this.#entries.keys());
    for (const { key, value } of listed) {
      gone.delete(key);
      if (!isNewer(key)) this.#apply(key, value, isAnnounced);
    }
    for (const key of gone) if (!isNewer(key)) this.#apply(key, null, isAnnounced);
    this.#floor = look;
    for (const [key, seen] of this.#seen) if (seen <= look) this.#seen.delete(key);
    if (this.#goneCount > before) this.#options.onGone?.();
  }

  async #followChanged(): Promise<void> {
    while (this.#changed.size > 0 && !this.#isClosed) {
      const keys = [...this.#changed].slice(0, MAX_KEYS_IN_CALL);
      for (const key of keys) this.#changed.delete(key);
      await this.#look(keys).catch((error: unknown) => this.#warn(error));
    }
  }

  async #look(keys: readonly string[]): Promise<void> {
    const look = this.#nextLook();
    const values = await this.#options.store.getAll(keys);
    if (this.#isClosed) return;
    const before = this.#goneCount;
    const failures: unknown[] = [];
    for (const [at, key] of keys.entries()) {
      if (look < (this.#seen.get(key) ?? this.#floor)) continue;
      this.#seen.set(key, look);
      // What whoever hears of one entry throws keeps no other one from being seen.
      try {
        this.#apply(key, values[at] ?? null, true);
      } catch (error) {
        failures.push(error);
      }
    }
    if (this.#goneCount > before) this.#options.onGone?.();
    if (failures.length > 0) throw failures[0];
  }

  #apply(key: string, value: StoredEntry["value"] | null, isAnnounced: boolean): void {
    const old = this.#entries.get(key);
    const raw = JSON.stringify(value);
    if (old?.raw === raw) return;
    if (old !== undefined) this.#remove(key, old.value);
    const read = value === null ? null : this.#options.read(value);
    if (read === null) {
      if (old !== undefined) this.#goneCount += 1;
      return;
    }
    this.#entries.set(key, { raw, value: read });
    for (const index of this.#options.indexes?.(read) ?? []) this.#found.set(index, key);
    if (isAnnounced) this.#options.onChanged?.(read);
  }

  #remove(key: string, old: T): void {
    this.#entries.delete(key);
    for (const index of this.#options.indexes?.(old) ?? []) {
      if (this.#found.get(index) === key) this.#found.delete(index);
    }
  }

  #nextLook(): number {
    this.#looks += 1;
    return this.#looks;
  }

  /** Once for each outage. */
  #warn(error: unknown): void {
    if (this.#isFailing || this.#isClosed) return;
    this.#isFailing = true;
    const { prefix, log } = this.#options;
    log?.("warn", `"${prefix}" was not read from the store: ${asDuplexityError(error).message}`);
  }
}
