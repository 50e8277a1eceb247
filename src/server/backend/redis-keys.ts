// The names of the registry's keys in Redis, and which of them one script may take together. Sends nothing.

import { createHash } from "node:crypto";

/** Names for one script: so long no other client of Redis waits for it, nor a visitor of this node for what it answers. */
const MAX_BATCH = 100;
/**
 * Over so many hash tags the names are spread, and the index of all of them. A renewal is a script for each: more would
 * keep Redis busy with renewals, fewer would leave primaries of a Redis Cluster without work.
 */
const SHARDS = 16;

export class RedisKeys {
  readonly #prefix: string;

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** The shard is the hash tag. */
  name(hostname: string): string {
    return `${this.#prefix}:{${shardOf(hostname)}}:name:${hostname}`;
  }

  /** What a step on names of one batch takes: the leases of their shard, and then a key for each. */
  forStep(hostnames: readonly string[]): readonly string[] {
    const [first = ""] = hostnames;
    return [this.#leases(shardOf(first)), ...hostnames.map((hostname) => this.name(hostname))];
  }

  allLeases(): readonly string[] {
    return Array.from({ length: SHARDS }, (_, shard) => this.#leases(shard));
  }

  /** An ownerId can be long, and have any character in it. */
  namesOf(ownerId: string): string {
    return `${this.#prefix}:names:{owner-${digest(ownerId).toString("hex", 0, 16)}}`;
  }

  namesLike(hostname: string): string {
    return this.#allNames(shardOf(hostname));
  }

  allNames(): readonly string[] {
    return Array.from({ length: SHARDS }, (_, shard) => this.#allNames(shard));
  }

  birth(tag: number): string {
    return `${this.#prefix}:birth:{${tag}}`;
  }

  /** `items` in groups whose names one script may take: those of one shard. */
  batches<T extends { readonly hostname: string }>(items: readonly T[]): readonly (readonly T[])[] {
    const groups = new Map<number, T[]>();
    for (const item of items) {
      const shard = shardOf(item.hostname);
      const group = groups.get(shard);
      if (group === undefined) groups.set(shard, [item]);
      else group.push(item);
    }
    return [...groups.values()].flatMap((group) =>
      Array.from({ length: Math.ceil(group.length / MAX_BATCH) }, (_, at) =>
        group.slice(at * MAX_BATCH, (at + 1) * MAX_BATCH),
      ),
    );
  }

  #leases(shard: number): string {
    return `${this.#prefix}:{${shard}}:leases`;
  }

  #allNames(shard: number): string {
    return `${this.#prefix}:names:{all-${shard}}`;
  }
}

function shardOf(hostname: string): number {
  // FNV-1a: each name's is asked for several times in each renewal.
  let hash = 0x811c9dc5;
  for (let at = 0; at < hostname.length; at += 1) hash = Math.imul(hash ^ hostname.charCodeAt(at), 0x01000193);
  // Its lowest bits depend on the lowest of each character alone.
  return ((hash ^ (hash >>> 16)) >>> 0) % SHARDS;
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
