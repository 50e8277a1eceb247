// Sees that Redis has lost what it knew (FLUSHALL, a restart without a disk) or may have (a failover), and keeps names that seem to be nobody's
// from being given out before those who hold them have said so. Holds no record.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import type { RedisConnection } from "../redis/index.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { readTime } from "./redis-records.ts";
import { BIRTH } from "./redis-scripts.ts";

export interface BirthsOptions {
  readonly connection: RedisConnection;
  readonly keys: RedisKeys;
  readonly leaseMs: number;
  /** The time to be taken for Redis's own; empty: its own. */
  readonly now: () => string;
  /** Told Redis's time, and when it was asked for (performance.now). @default nobody */
  readonly onTime?: (now: number, askedAt: number) => void;
}

/**
 * For so much of a lease after a loss no name is given out that Redis does not know. It is what is left of any lease of a
 * node that is well, which renews at the third; and it leaves those who wait for it the rest of the lease to come back in.
 */
const CLOSED_OF_LEASE = 2 / 3;
/** So many marks are tried to find one for each shard of a Redis Cluster. */
const MAX_TAGS = 256;

interface Mark {
  readonly id: string;
  /** Redis's time from which on all names are given out again. */
  readonly closed: number;
  readonly now: number;
}

export class Births {
  readonly #options: BirthsOptions;
  readonly #seen = new Map<number, string>();
  #losses = 0;

  constructor(options: BirthsOptions) {
    this.#options = options;
  }

  /** How often a shard was found to have lost what it knew, by whatever look. */
  get losses(): number {
    return this.#losses;
  }

  /** Looks at every shard. @throws {DuplexityError} `DPX_STORE` if one does not answer. */
  async check(): Promise<void> {
    await Promise.all([...this.#tags().values()].map((tag) => this.#look(tag)));
  }

  /** @throws {DuplexityError} `DPX_STORE` while a name that Redis knows nothing of may be somebody's. */
  async checkOpen(hostname: string): Promise<void> {
    const { connection, keys } = this.#options;
    const shard = connection.shardOf(keys.name(hostname));
    const { closed, now } = await this.#look(this.#tags().get(shard) ?? 0);
    if (now >= closed) return;
    const until = new Date(closed).toISOString();
    const message = `Cannot register "${hostname}": Redis may have lost records, and until ${until} a name that is not in it may be another's`;
    throw new DuplexityError("DPX_STORE", message, { hint: "Try again then.", retryAfterMs: closed - now });
  }

  async #look(tag: number): Promise<Mark> {
    const { connection, keys, leaseMs, now } = this.#options;
    const newId = randomBytes(9).toString("base64url");
    const askedAt = performance.now();
    const closedMs = Math.round(leaseMs * CLOSED_OF_LEASE);
    const reply = await connection.run(BIRTH, [keys.birth(tag)], [now(), newId, this.#seen.get(tag) ?? "", closedMs]);
    const [id, closed, at]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    const mark = { id: String(id), closed: readTime(closed), now: readTime(at) };
    this.#options.onTime?.(mark.now, askedAt);
    // Not as it was before the call: two looks at once see one loss.
    const before = this.#seen.get(tag);
    if (before !== undefined && before !== mark.id) this.#losses += 1;
    this.#seen.set(tag, mark.id);
    return mark;
  }

  /** For each shard the first mark that lies on it. Slots move: so it is looked up each time. */
  #tags(): ReadonlyMap<string, number> {
    const { connection, keys } = this.#options;
    const tags = new Map<string, number>();
    for (let tag = 0; tag < (connection.isCluster ? MAX_TAGS : 1); tag += 1) {
      const shard = connection.shardOf(keys.birth(tag));
      if (!tags.has(shard)) tags.set(shard, tag);
    }
    return tags;
  }
}
