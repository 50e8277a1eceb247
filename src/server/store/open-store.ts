// Chooses the store: in memory, in a folder of this machine, in Redis, or that of another node.

import { FolderStore } from "./folder-store.ts";
import { MemoryStore } from "./memory-store.ts";
import { RedisStore } from "./redis-store.ts";
import { RemoteStore, type StoreLink } from "./remote-store.ts";
import type { Store } from "./store.ts";

export type StoreOptions =
  /** Gone with the process. */
  | { readonly kind: "memory" }
  /** In files of this machine, for one process at a time. */
  | {
      readonly kind: "folder";
      readonly path: string;
      /** Told of what was mended while opening: rights that were too wide, a record that a crash cut short. */
      readonly warn?: (message: string) => void;
    }
  /** For any number of processes. */
  | {
      readonly kind: "redis";
      /** As `parseRedisUrl` takes it: a single Redis, Sentinels, or nodes of a Redis Cluster. */
      readonly url: string;
      /** Told when the connection is lost, and when it is back. */
      readonly warn?: (message: string) => void;
    };

/** That of the backend's nodes, by way of them. Its owner closes the link. */
export interface RemoteStoreOptions {
  readonly kind: "backend";
  readonly link: StoreLink;
}

/**
 * @throws {DuplexityError} `DPX_STORE` if it cannot be opened: damaged, in use by another process, out of reach;
 * `DPX_USAGE` if the URL is none of Redis, or the folder somebody else's.
 */
export async function openStore(options: StoreOptions | RemoteStoreOptions): Promise<Store> {
  if (options.kind === "memory") return new MemoryStore();
  if (options.kind === "folder") return FolderStore.open(options);
  if (options.kind === "backend") return new RemoteStore(options.link);
  return RedisStore.open(options);
}
