// Opens what nodes share, in the memory of a single one, in Redis, or by way of a node that has it: the registry, the
// topics, and who is there.

import { asDuplexityError } from "../../protocol/index.ts";
import type { BackendLink } from "../calls/index.ts";
import { parseRedisUrl, RedisConnection } from "../redis/index.ts";
import { MemoryPresence } from "./memory-presence.ts";
import { MemoryRegistry } from "./memory-registry.ts";
import { MemoryTopics } from "./memory-topics.ts";
import type { Presence } from "./presence.ts";
import { RedisBoard } from "./redis-presence.ts";
import { RedisRegistry } from "./redis-registry.ts";
import { RedisTopics } from "./redis-topics.ts";
import type { Registry } from "./registry.ts";
import { RemoteBoard } from "./remote-board.ts";
import { RemoteRegistry } from "./remote-registry.ts";
import { RemoteTopics } from "./remote-topics.ts";
import { type PresenceBoard, SharedPresence } from "./shared-presence.ts";
import type { PortRange } from "./tcp-port-pool.ts";
import type { TopicGuests } from "./topic-guests.ts";
import type { Topics } from "./topics.ts";

interface CommonOptions {
  /** This node, among those that share the registry. */
  readonly nodeId: string;
  /** How long a registration holds without being renewed. @default 30_000 */
  readonly leaseMs?: number;
  /** How long a name stays its owner's after its client went. @default 86_400_000 */
  readonly graceMs?: number;
  /** The ports of each node; null: no TCP pipes. @default null */
  readonly tcpPorts?: PortRange | null;
}

export type OpenRegistryOptions =
  /** Of this process alone, gone with it. */
  | (CommonOptions & { readonly kind: "memory" })
  | (CommonOptions & {
      readonly kind: "redis";
      /**
       * `redis://[user:password@]host[:port][,host[:port]…][/database]`, a single Redis or nodes of a Redis Cluster;
       * `redis+sentinel://[user:password@]host[:port][,…]/name[/database]`; with `rediss` over TLS.
       */
      readonly url: string;
      /** Of all keys and channels: clusters that share a Redis have different ones. @default "duplexity" */
      readonly prefix?: string;
      /** The cluster's secrets, the newest first: nodes that know none of them are ignored. @default no check */
      readonly secrets?: readonly string[];
      /** Told of what goes wrong and mends itself. @default nobody */
      readonly warn?: (message: string) => void;
      /** Told Redis's time every two seconds, and when it was asked for (performance.now). @default nobody */
      readonly onTime?: (now: number, askedAt: number) => void;
    })
  /** At other nodes. */
  | {
      readonly kind: "remote";
      readonly nodeId: string;
      /** Its owner closes it. */
      readonly link: BackendLink;
      /** The cluster's secrets, the newest first. */
      readonly secrets: readonly string[];
      readonly warn: (message: string) => void;
    };

export interface OpenedRegistry {
  readonly registry: Registry;
  readonly topics: Topics;
  /** Not joined yet. */
  readonly presence: Presence;
  /** What nodes that do not know Redis reach by way of this one; null where none can. */
  readonly shares: { readonly topics: TopicGuests; readonly board: PresenceBoard } | null;
  /** Whether the registry has answered within the last seconds. No I/O. */
  isReachable(): boolean;
  /** When it last answered this node, by `performance.now()`. No I/O. */
  answeredAt(): number;
  close(): Promise<void>;
}

/** How often a node looks whether Redis answers, and whether it has lost what it knew. */
const CHECK_EVERY_MS = 2_000;
/** Without an answer for so long Redis counts as out of reach. */
const REACHABLE_MS = 6_000;

/** @throws {DuplexityError} `DPX_USAGE` if the URL is none, `DPX_STORE` if Redis does not answer. */
export async function openRegistry(options: OpenRegistryOptions): Promise<OpenedRegistry> {
  if (options.kind === "redis") return openRedis(options);
  if (options.kind === "remote") return openRemote(options);
  const { nodeId, ...registryOptions } = options;
  const registry = new MemoryRegistry(registryOptions);
  const topics = new MemoryTopics(nodeId);
  return {
    registry,
    topics,
    presence: new MemoryPresence(),
    shares: null,
    isReachable: () => true,
    answeredAt: () => performance.now(),
    close: async () => {
      await topics.close();
      await registry.close();
    },
  };
}

function openRemote(options: Extract<OpenRegistryOptions, { kind: "remote" }>): OpenedRegistry {
  const { link } = options;
  const registry = new RemoteRegistry({ link });
  const topics = new RemoteTopics(options);
  const presence = new SharedPresence({ ...options, board: new RemoteBoard(link) });
  return {
    ...{ registry, topics, presence, shares: null },
    isReachable: () => link.isUp && performance.now() - presence.answeredAt < REACHABLE_MS,
    // A backend node that answers may have lost its Redis: what it answered of the nodes came from there.
    answeredAt: () => presence.answeredAt,
    close: async () => {
      await presence.close();
      await topics.close();
      await registry.close();
    },
  };
}

async function openRedis(options: Extract<OpenRegistryOptions, { kind: "redis" }>): Promise<OpenedRegistry> {
  const { url, nodeId, leaseMs: _ofNames, ...shared } = options;
  const { warn = () => {} } = shared;
  const connection = await RedisConnection.open(parseRedisUrl(url));
  const topics = await RedisTopics.open({ ...shared, connection, nodeId }).catch((error: unknown) => {
    connection.close();
    throw error;
  });
  const registry = new RedisRegistry({ ...options, connection, topics });
  // A node's own lease is shorter than that of a name.
  const board = new RedisBoard({ ...shared, connection });
  const presence = new SharedPresence({ ...shared, board });
  let answeredAt = performance.now();
  let hasWarned = false;
  const check = async (): Promise<void> => {
    try {
      await registry.check();
      answeredAt = performance.now();
      if (!hasWarned) return;
      hasWarned = false;
      warn("Redis answers again");
      await registry.heal();
    } catch (error) {
      if (!hasWarned) warn(asDuplexityError(error).message);
      hasWarned = true;
    }
  };
  // From now on it knows what Redis knows: a loss is seen by the difference.
  await check();
  const timer = setInterval(() => void check(), CHECK_EVERY_MS).unref();
  return {
    registry,
    topics,
    presence,
    shares: { topics, board },
    isReachable: () => performance.now() - answeredAt < REACHABLE_MS,
    answeredAt: () => answeredAt,
    close: async () => {
      clearInterval(timer);
      await presence.close();
      await topics.close();
      await registry.close();
      connection.close();
    },
  };
}
