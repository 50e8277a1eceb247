// Which names there are, and which are an owner's. Only a hint: who reads it looks at the records themselves, and what is
// wrong in it is mended when it is read or when names are renewed. Remembers what could not be added.

import type { RedisConnection } from "../redis/index.ts";
import { forEachAtMost } from "./at-most.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { INDEX } from "./redis-scripts.ts";
import type { RegistryRecord } from "./registry.ts";

export interface RedisIndexOptions {
  readonly connection: RedisConnection;
  readonly keys: RedisKeys;
  readonly leaseMs: number;
  readonly graceMs: number;
  /** How often names that are held are added anew. They stay for twice as long after their grace, which may be shorter. */
  readonly refreshMs: number;
  /** The time to be taken for Redis's own; empty: its own. */
  readonly now: () => string;
  /** What the registry says of these names. */
  readonly look: (hostnames: readonly string[]) => Promise<readonly (RegistryRecord | null)[]>;
}

/** Names read at once. */
const PAGE = 250;
/** Scripts that add names at once. */
const MAX_SCRIPTS = 100;
/** Names that could not be added: as many as a node follows of its own. Further ones are added with all others. */
const MAX_MISSED = 100_000;

/** Names that are added to one key by one script. */
interface Addition {
  readonly key: string;
  readonly records: readonly RegistryRecord[];
}

export class RedisIndex {
  readonly #options: RedisIndexOptions;
  readonly #missed = new Set<string>();

  constructor(options: RedisIndexOptions) {
    this.#options = options;
  }

  /** Never rejects: what is missing would not count for its owner's limit, and is added by `addMissed`. */
  async add(records: readonly RegistryRecord[]): Promise<void> {
    const { connection, graceMs, leaseMs, refreshMs, now } = this.#options;
    const keptMs = graceMs + 2 * refreshMs;
    const left = new Set(this.#additions(records));
    try {
      await forEachAtMost(MAX_SCRIPTS, [...left], async (addition) => {
        const { key, records: some } = addition;
        const ends = Math.max(...some.map(({ expires }) => expires)) + keptMs;
        const names = some.map(({ hostname }) => hostname);
        await connection.run(INDEX, [key], [now(), ends, leaseMs + keptMs, ...names]);
        left.delete(addition);
      });
    } catch {
      for (const { records: some } of left) for (const { hostname } of some) this.#miss(hostname);
    }
  }

  /**
   * Adds what could not be. Never rejects, as `add` does not.
   *
   * @param held What is held here of a name by now; null: nothing.
   */
  async addMissed(held: (hostname: string) => RegistryRecord | null): Promise<void> {
    if (this.#missed.size === 0) return;
    const records = [...this.#missed].flatMap((hostname) => held(hostname) ?? []);
    this.#missed.clear();
    await this.add(records);
  }

  /** @throws {DuplexityError} `DPX_STORE` */
  async remove({ ownerId, hostname }: RegistryRecord): Promise<void> {
    const { connection, keys } = this.#options;
    const found = [keys.namesOf(ownerId), keys.namesLike(hostname)];
    await Promise.all(found.map((key) => connection.call("zrem", [key, hostname])));
  }

  /** At most `limit` records of one owner, or of all. @throws {DuplexityError} `DPX_STORE` */
  async list(ownerId: string | null, limit: number): Promise<readonly RegistryRecord[]> {
    const { keys } = this.#options;
    const found: RegistryRecord[] = [];
    for (const key of ownerId === null ? keys.allNames() : [keys.namesOf(ownerId)]) {
      let start = 0;
      for (;;) {
        if (found.length >= limit) return found.slice(0, limit);
        const { names, records } = await this.#page(key, start);
        if (names.length === 0) break;
        const isMeant = (record: RegistryRecord | null): record is RegistryRecord =>
          record !== null && (ownerId === null || record.ownerId === ownerId);
        found.push(...records.filter(isMeant));
        const stale = names.filter((_, index) => !isMeant(records[index] ?? null));
        if (stale.length > 0) await this.#options.connection.call("zrem", [key, ...stale]);
        start += names.length - stale.length;
      }
    }
    return found;
  }

  /** Those of which nothing was heard for long included. @throws {DuplexityError} `DPX_STORE` */
  async count(ownerId: string): Promise<number> {
    const { connection, keys } = this.#options;
    return Number(await connection.call("zcard", [keys.namesOf(ownerId)]));
  }

  /** A few names for each key, in the two that each name is in. */
  #additions(records: readonly RegistryRecord[]): readonly Addition[] {
    const { keys } = this.#options;
    const members = new Map<string, RegistryRecord[]>();
    for (const record of records) {
      for (const key of [keys.namesOf(record.ownerId), keys.namesLike(record.hostname)]) {
        const found = members.get(key);
        if (found === undefined) members.set(key, [record]);
        else found.push(record);
      }
    }
    return [...members].flatMap(([key, found]) =>
      Array.from({ length: Math.ceil(found.length / PAGE) }, (_, page) => ({
        key,
        records: found.slice(page * PAGE, (page + 1) * PAGE),
      })),
    );
  }

  #miss(hostname: string): void {
    if (this.#missed.size < MAX_MISSED) this.#missed.add(hostname);
  }

  async #page(key: string, start: number) {
    const { connection, look } = this.#options;
    const reply = await connection.call("zrange", [key, start, start + PAGE - 1]);
    const names = Array.isArray(reply) ? reply.filter((name) => typeof name === "string") : [];
    return { names, records: names.length === 0 ? [] : await look(names) };
  }
}
