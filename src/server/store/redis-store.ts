// The store of several servers: Redis. Every change is one script there, which is what makes it atomic.
//
// All keys share a hash tag, so that in a cluster they are on one node. Beside each entry its key stands in an index, in
// the order in which it is listed; a second index says when entries end, so that their keys leave the first.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { parseRedisUrl, RedisConnection, RedisSubscription } from "../redis/index.ts";
import { checkKey, checkKeys, checkPrefix, checkTtl, jsonOf, parsed } from "./checks.ts";
import { contest } from "./contest.ts";
import { WRITE_SCRIPT, type WriteMode } from "./redis-script.ts";
import {
  MAX_KEYS_IN_CALL,
  MAX_LISTED,
  MAX_LOG_ENTRIES,
  type PutOptions,
  type Store,
  type StoredEntry,
  type Value,
} from "./store.ts";
import { Watches } from "./watches.ts";

export interface RedisStoreOptions {
  readonly url: string;
  /** Told when the connection is lost, and when it is back. @default nobody */
  readonly warn?: ((message: string) => void) | undefined;
}

const PREFIX = "duplexity:{store}";
const INDEX = `${PREFIX}:index`;
const ENDS = `${PREFIX}:ends`;
/** How often the connection that only listens is asked whether it is one. */
const PING_MS = 10_000;

export class RedisStore implements Store {
  readonly #connection: RedisConnection;
  readonly #subscription: RedisSubscription;
  readonly #channel: string;
  /** Tells this store's own changes, which its watchers know already, from others'. */
  readonly #origin = randomBytes(8).toString("hex");
  readonly #watches = new Watches();
  #isClosed = false;

  private constructor(connection: RedisConnection) {
    this.#connection = connection;
    // Databases share their channels.
    this.#channel = `${PREFIX}:changes:${connection.address.database}`;
    this.#subscription = new RedisSubscription({
      connection,
      channels: [this.#channel],
      onMessage: (_channel, text) => this.#hear(text),
      // Those who watch look again by themselves.
      onGap: () => {},
      pingEveryMs: PING_MS,
    });
  }

  /** @throws {DuplexityError} `DPX_STORE` if Redis does not answer, `DPX_USAGE` if the URL is none. */
  static async open({ url, warn = () => {} }: RedisStoreOptions): Promise<RedisStore> {
    const connection = await RedisConnection.open(parseRedisUrl(url));
    const store = new RedisStore(connection);
    try {
      await store.#subscription.open();
    } catch (error) {
      connection.close();
      throw error;
    }
    connection.onLost(({ message }) => warn(`the store is out of reach: ${message}`));
    connection.onReady(() => warn(`the store at "${connection.address.shown}" answers again`));
    return store;
  }

  async get(key: string): Promise<Value | null> {
    checkKey(key);
    const json = await this.#read(key);
    return json === null ? null : parsed(json);
  }

  async getAll(keys: readonly string[]): Promise<readonly (Value | null)[]> {
    checkKeys(keys);
    this.#checkOpen();
    if (keys.length === 0) return [];
    return (await this.#readAll(keys)).map((json) => (json === null ? null : parsed(json)));
  }

  async put(key: string, value: Value, options: PutOptions = {}): Promise<void> {
    checkKey(key);
    const json = jsonOf(key, value);
    await this.#write(key, json, { ttl: ttlOf(key, options, "never"), expected: null });
  }

  async update(
    key: string,
    change: (old: Value | null) => Value | null,
    options: PutOptions = {},
  ): Promise<Value | null> {
    checkKey(key);
    const ttl = ttlOf(key, options, "keep");
    let old = await this.#read(key);
    return contest(key, async () => {
      const changed = jsonOf(key, change(old === null ? null : parsed(old)));
      const kept = ttl === 0 ? null : changed;
      const result = kept === null ? null : parsed(kept);
      if (kept === old && ttl === "keep") return { isDone: true, result };
      const { isDone, before } = await this.#write(key, kept, { ttl, expected: old ?? "" });
      old = before;
      return isDone ? { isDone, result } : { isDone };
    });
  }

  async take(key: string): Promise<Value | null> {
    checkKey(key);
    const { before } = await this.#write(key, null, { ttl: "never", expected: null });
    return before === null ? null : parsed(before);
  }

  async delete(key: string): Promise<boolean> {
    checkKey(key);
    const { before } = await this.#write(key, null, { ttl: "never", expected: null });
    return before !== null;
  }

  async list(prefix: string): Promise<readonly StoredEntry[]> {
    checkPrefix(prefix);
    const found: StoredEntry[] = [];
    // DEL is the first character after those of which keys may consist.
    const end = prefix === "" ? "+" : `(${prefix}\u007f`;
    let start = prefix === "" ? "-" : `[${prefix}`;
    for (;;) {
      const keys = texts(await this.#call("ZRANGEBYLEX", [INDEX, start, end, "LIMIT", 0, MAX_KEYS_IN_CALL]));
      const last = keys.at(-1);
      if (last === undefined) return found;
      const values = await this.#readAll(keys);
      for (const [at, key] of keys.entries()) {
        const json = values[at] ?? null;
        if (json !== null) found.push({ key, value: parsed(json) });
        if (found.length >= MAX_LISTED) return found;
      }
      start = `(${last}`;
    }
  }

  async append(log: string, entry: Value): Promise<void> {
    checkKey(log);
    const json = jsonOf(log, entry) ?? "null";
    await this.#call("XADD", [logKey(log), "MAXLEN", "=", MAX_LOG_ENTRIES, "*", "json", json]);
  }

  async readLog(log: string, limit: number): Promise<readonly Value[]> {
    checkKey(log);
    const count = Math.max(0, Math.min(Math.floor(limit), MAX_LISTED));
    const found: Value[] = [];
    let end = "+";
    while (found.length < count) {
      const page = Math.min(MAX_KEYS_IN_CALL, count - found.length);
      const items = await this.#call("XREVRANGE", [logKey(log), end, "-", "COUNT", page]);
      if (!Array.isArray(items) || items.length === 0) break;
      for (const item of items) {
        const { id, json } = logEntry(item);
        found.push(parsed(json));
        end = `(${id}`;
      }
    }
    this.#checkOpen();
    return found.reverse();
  }

  watch(prefix: string, listener: (key: string) => void): () => void {
    this.#checkOpen();
    checkPrefix(prefix);
    return this.#watches.add(prefix, listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watches.clear();
    this.#subscription.close();
    this.#connection.close();
  }

  #hear(message: string): void {
    const [origin, key] = message.split(" ", 2);
    if (origin !== this.#origin && key !== undefined) this.#watches.notify(key);
  }

  async #read(key: string): Promise<string | null> {
    return textOrNull(await this.#call("GET", [entryKey(key)]));
  }

  async #readAll(keys: readonly string[]): Promise<readonly (string | null)[]> {
    const values = await this.#call("MGET", keys.map(entryKey));
    return keys.map((_, at) => (Array.isArray(values) ? textOrNull(values[at]) : null));
  }

  /** @param json Null deletes. */
  async #write(key: string, json: string | null, mode: WriteMode): Promise<{ isDone: boolean; before: string | null }> {
    const { ttl, expected } = mode;
    const kept = ttl === 0 ? null : json;
    const condition = expected === null ? ["any", ""] : ["if", expected];
    const publish = this.#connection.isSharded ? "SPUBLISH" : "PUBLISH";
    const message = `${this.#origin} ${key}`;
    const args = [key, kept ?? "", ttl, ...condition, publish, this.#channel, message];
    this.#checkOpen();
    const reply = await this.#connection.run(WRITE_SCRIPT, [entryKey(key), INDEX, ENDS], args);
    const [isDone, before]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    const result = { isDone: isDone === 1, before: before === "" ? null : textOrNull(before) };
    if (result.isDone && (kept !== null || result.before !== null)) this.#watches.notify(key);
    return result;
  }

  #call(command: string, args: readonly (string | number)[]): Promise<unknown> {
    this.#checkOpen();
    return this.#connection.call(command, args);
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new DuplexityError("DPX_STORE", "Cannot use the store: it is closed");
  }
}

function entryKey(key: string): string {
  return `${PREFIX}:entry:${key}`;
}

function logKey(log: string): string {
  return `${PREFIX}:log:${log}`;
}

function ttlOf<Without extends "never" | "keep">(key: string, options: PutOptions, without: Without): number | Without {
  return options.ttlMs === undefined ? without : checkTtl(key, options.ttlMs);
}

function textOrNull(reply: unknown): string | null {
  return typeof reply === "string" ? reply : null;
}

function texts(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.filter((item) => typeof item === "string") : [];
}

/** `[id, ["json", text]]` */
function logEntry(item: unknown): { readonly id: string; readonly json: string } {
  const [id, fields]: readonly unknown[] = Array.isArray(item) ? item : [];
  const [, json] = texts(fields);
  if (typeof id !== "string" || json === undefined) {
    throw new DuplexityError("DPX_STORE", "Cannot read a log in Redis: an entry is not one that duplexity wrote");
  }
  return { id, json };
}
