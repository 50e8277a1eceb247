// A Store whose entries are all in this process's memory. Decides what each call changes; how the changes are made to
// last is the business of whoever runs them.

import { DuplexityError } from "../../protocol/index.ts";
import { checkKey, checkKeys, checkPrefix, checkTtl, jsonOf, parsed } from "./checks.ts";
import type { Draft } from "./draft.ts";
import type { Image } from "./image.ts";
import { MAX_LISTED, type PutOptions, type Store, type StoredEntry, type Value } from "./store.ts";

/** Looks at the draft and adds to it what is to change, in one turn. What it throws leaves the draft as it was. */
export type Operation<T> = (draft: Draft) => T;

export interface Committer {
  /** Resolves with what `operation` answers when its changes last, and has then applied them to the image. */
  run<T>(operation: Operation<T>): Promise<T>;
  /** Resolves when everything that was asked for has been answered. */
  close(): Promise<void>;
}

export class ImageStore implements Store {
  readonly #image: Image;
  readonly #committer: Committer;
  #closing: Promise<void> | null = null;

  constructor(image: Image, committer: Committer) {
    this.#image = image;
    this.#committer = committer;
  }

  async get(key: string): Promise<Value | null> {
    this.#checkOpen();
    checkKey(key);
    const entry = this.#image.get(key);
    return entry === null ? null : parsed(entry.json);
  }

  async getAll(keys: readonly string[]): Promise<readonly (Value | null)[]> {
    this.#checkOpen();
    checkKeys(keys);
    return keys.map((key) => {
      const entry = this.#image.get(key);
      return entry === null ? null : parsed(entry.json);
    });
  }

  async put(key: string, value: Value, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    const json = jsonOf(key, value);
    const ttlMs = options.ttlMs === undefined ? null : checkTtl(key, options.ttlMs);
    await this.#run((draft) => {
      const endsAt = ttlMs === null ? null : draft.now() + ttlMs;
      keep(draft, key, ttlMs === 0 ? null : json, endsAt);
    });
  }

  async update(
    key: string,
    change: (old: Value | null) => Value | null,
    options: PutOptions = {},
  ): Promise<Value | null> {
    checkKey(key);
    const ttlMs = options.ttlMs === undefined ? null : checkTtl(key, options.ttlMs);
    const json = await this.#run((draft) => {
      const old = draft.get(key);
      const changed = jsonOf(key, change(old === null ? null : parsed(old.json)));
      const endsAt = ttlMs === null ? (old?.endsAt ?? null) : draft.now() + ttlMs;
      const kept = ttlMs === 0 ? null : changed;
      if (kept !== old?.json || ttlMs !== null) keep(draft, key, kept, endsAt);
      return kept;
    });
    return json === null ? null : parsed(json);
  }

  async take(key: string): Promise<Value | null> {
    checkKey(key);
    const json = await this.#run((draft) => {
      const entry = draft.get(key);
      keep(draft, key, null, null);
      return entry?.json ?? null;
    });
    return json === null ? null : parsed(json);
  }

  async delete(key: string): Promise<boolean> {
    checkKey(key);
    return this.#run((draft) => {
      const isThere = draft.get(key) !== null;
      keep(draft, key, null, null);
      return isThere;
    });
  }

  async list(prefix: string): Promise<readonly StoredEntry[]> {
    this.#checkOpen();
    checkPrefix(prefix);
    return this.#image.list(prefix).map(([key, json]) => ({ key, value: parsed(json) }));
  }

  async append(log: string, entry: Value): Promise<void> {
    checkKey(log);
    const json = jsonOf(log, entry) ?? "null";
    await this.#run((draft) => draft.add({ kind: "append", log, json }));
  }

  async readLog(log: string, limit: number): Promise<readonly Value[]> {
    this.#checkOpen();
    checkKey(log);
    const count = Math.max(0, Math.min(Math.floor(limit), MAX_LISTED));
    return this.#image.readLog(log, count).map(parsed);
  }

  watch(prefix: string, listener: (key: string) => void): () => void {
    this.#checkOpen();
    checkPrefix(prefix);
    return this.#image.watches.add(prefix, listener);
  }

  close(): Promise<void> {
    this.#closing ??= this.#committer.close().finally(() => this.#image.clear());
    return this.#closing;
  }

  async #run<T>(operation: Operation<T>): Promise<T> {
    this.#checkOpen();
    return this.#committer.run(operation);
  }

  #checkOpen(): void {
    if (this.#closing !== null) throw new DuplexityError("DPX_STORE", "Cannot use the store: it is closed");
  }
}

function keep(draft: Draft, key: string, json: string | null, endsAt: number | null): void {
  if (json !== null) draft.add({ kind: "put", key, entry: { json, endsAt } });
  else if (draft.get(key) !== null) draft.add({ kind: "delete", key });
}
