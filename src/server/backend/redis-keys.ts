// The names of the registry's keys in Redis, and which of them one script may take together. Sends nothing.

import { createHash } from "node:crypto";
import { slotOf } from "../redis/index.ts";

/** Keys for one script: so long no other client waits for it (each takes some microseconds). */
const MAX_BATCH = 250;
/** Over so many keys the index of all names is spread. */
const INDEX_SHARDS = 16;

export class RedisKeys {
  readonly #prefix: string;
  readonly #isCluster: boolean;

  constructor(prefix: string, isCluster: boolean) {
    this.#prefix = prefix;
    this.#isCluster = isCluster;
  }

  /** The hostname is the hash tag: all that is done in one step is done on this key. */
  name(hostname: string): string {
    return `${this.#prefix}:{${hostname}}`;
  }

  /** An ownerId can be long, and have any character in it. */
  namesOf(ownerId: string): string {
    return `${this.#prefix}:names:{owner-${digest(ownerId).toString("hex", 0, 16)}}`;
  }

  namesLike(hostname: string): string {
    return this.#allNames(digest(hostname).readUInt32BE() % INDEX_SHARDS);
  }

  allNames(): readonly string[] {
    return Array.from({ length: INDEX_SHARDS }, (_, shard) => this.#allNames(shard));
  }

  birth(tag: number): string {
    return `${this.#prefix}:birth:{${tag}}`;
  }

  /** `items` in groups whose names one script may take: in a Redis Cluster those of one slot. */
  batches<T extends { readonly hostname: string }>(items: readonly T[]): readonly (readonly T[])[] {
    const groups = new Map<number, T[]>();
    for (const item of items) {
      const slot = this.#isCluster ? slotOf(this.name(item.hostname)) : 0;
      const group = groups.get(slot);
      if (group === undefined) groups.set(slot, [item]);
      else group.push(item);
    }
    return [...groups.values()].flatMap((group) =>
      Array.from({ length: Math.ceil(group.length / MAX_BATCH) }, (_, at) =>
        group.slice(at * MAX_BATCH, (at + 1) * MAX_BATCH),
      ),
    );
  }

  #allNames(shard: number): string {
    return `${this.#prefix}:names:{all-${shard}}`;
  }
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
