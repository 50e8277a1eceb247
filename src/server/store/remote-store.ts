// The store of a node without the backend's role: each step is a call to a backend node, which has the store itself and
// says also which entries have changed.

import { fields as checked, DuplexityError } from "../../protocol/index.ts";
import type { BackendLink } from "../calls/index.ts";
import { checkKey, checkKeys, checkPrefix, checkTtl, jsonOf, parsed } from "./checks.ts";
import { contest } from "./contest.ts";
import { InOrder } from "./in-order.ts";
import { MAX_LISTED, type PutOptions, type Store, type StoredEntry, type Value } from "./store.ts";
import { isValue, type STORE_STEPS } from "./store-calls.ts";
import { Watches } from "./watches.ts";

export type StoreLink = Pick<BackendLink, "call" | "onEvent">;

export class RemoteStore implements Store {
  readonly #link: StoreLink;
  readonly #watches = new Watches();
  readonly #stop: () => void;
  /** Calls may overtake each other; changes of one entry, and entries of one log, must not. */
  readonly #order = new InOrder();
  #isClosed = false;

  constructor(link: StoreLink) {
    this.#link = link;
    this.#stop = link.onEvent((event) => {
      if (event.type === "changed") this.#watches.notify(event.key);
    });
  }

  async get(key: string): Promise<Value | null> {
    checkKey(key);
    return valueIn(await this.#ask("get", { key }), "value");
  }

  async getAll(keys: readonly string[]): Promise<readonly (Value | null)[]> {
    checkKeys(keys);
    this.#checkOpen();
    if (keys.length === 0) return [];
    const answer = await this.#ask("getAll", { keys });
    return checked.field(answer, "values", checked.arrayReader(readValue, keys.length, keys.length));
  }

  async put(key: string, value: Value, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    const json = jsonOf(key, value);
    const entry = { key, value: json === null ? null : parsed(json), ...ttlOf(key, options) };
    await this.#order.run(key, () => this.#ask("put", entry));
    this.#watches.notify(key);
  }

  async update(
    key: string,
    change: (old: Value | null) => Value | null,
    options: PutOptions = {},
  ): Promise<Value | null> {
    checkKey(key);
    const ttl = ttlOf(key, options);
    return this.#order.run(key, () => this.#update(key, change, ttl));
  }

  async take(key: string): Promise<Value | null> {
    checkKey(key);
    const taken = valueIn(await this.#order.run(key, () => this.#ask("take", { key }, false)), "value");
    if (taken !== null) this.#watches.notify(key);
    return taken;
  }

  async delete(key: string): Promise<boolean> {
    checkKey(key);
    const answer = await this.#order.run(key, () => this.#ask("delete", { key }, false));
    const isDeleted = checked.field(answer, "isDeleted", checked.readBoolean);
    if (isDeleted) this.#watches.notify(key);
    return isDeleted;
  }

  async list(prefix: string): Promise<readonly StoredEntry[]> {
    checkPrefix(prefix);
    const answer = await this.#ask("list", { key: prefix });
    return checked.field(answer, "entries", checked.arrayReader(readEntry, 0, MAX_LISTED));
  }

  async append(log: string, entry: Value): Promise<void> {
    checkKey(log);
    const value = parsed(jsonOf(log, entry) ?? "null");
    await this.#order.run(`log ${log}`, () => this.#ask("append", { key: log, value }));
  }

  async readLog(log: string, limit: number): Promise<readonly Value[]> {
    checkKey(log);
    const answer = await this.#ask("readLog", {
      key: log,
      limit: Math.max(0, Math.min(Math.floor(limit), MAX_LISTED)),
    });
    return checked.field(answer, "entries", checked.arrayReader(readValue, 0, MAX_LISTED));
  }

  watch(prefix: string, listener: (key: string) => void): () => void {
    this.#checkOpen();
    checkPrefix(prefix);
    return this.#watches.add(prefix, listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#stop();
    this.#watches.clear();
  }

  async #update(key: string, change: (old: Value | null) => Value | null, ttl: PutOptions): Promise<Value | null> {
    let old = await this.get(key);
    return contest(key, async () => {
      // Change may alter what it is given: what is expected to be there is what came.
      const expected = JSON.stringify(old);
      const json = jsonOf(key, change(old)) ?? "null";
      if (json === expected && ttl.ttlMs === undefined) return { isDone: true, result: parsed(json) };
      const answer = await this.#ask("swap", { key, expected: parsed(expected), value: parsed(json), ...ttl }, false);
      const found = valueIn(answer, "value");
      old = found;
      if (!checked.field(answer, "isDone", checked.readBoolean)) return { isDone: false };
      this.#watches.notify(key);
      return { isDone: true, result: found };
    });
  }

  /** @param isRepeatable Whether doing it twice is the same as once. */
  async #ask(step: (typeof STORE_STEPS)[number], about: object, isRepeatable = true): Promise<checked.Fields> {
    this.#checkOpen();
    const answer = await this.#link.call("store", { step, ...about }, { isRepeatable });
    return checked.readObject(answer, "answer");
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new DuplexityError("DPX_STORE", "Cannot use the store: it is closed");
  }
}

function ttlOf(key: string, { ttlMs }: PutOptions): PutOptions {
  return ttlMs === undefined ? {} : { ttlMs: checkTtl(key, ttlMs) };
}

function readEntry(value: unknown, path: string): StoredEntry {
  const entry = checked.readObject(value, path);
  return { key: checked.field(entry, "key", checked.readToken), value: valueIn(entry, "value") };
}

function valueIn(answer: checked.Fields, name: string): Value {
  return checked.field(answer, name, readValue);
}

function readValue(value: unknown, path: string): Value {
  return isValue(value) ? value : checked.invalid(path, "there");
}
