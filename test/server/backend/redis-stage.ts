// Registries on a real Redis, each with a keyspace of its own, and a clock that a test moves by hand.

import { randomBytes } from "node:crypto";
import { MemoryTopics } from "../../../src/server/backend/memory-topics.ts";
import { RedisRegistry, type RedisRegistryOptions } from "../../../src/server/backend/redis-registry.ts";
import { RedisTopics, type RedisTopicsOptions } from "../../../src/server/backend/redis-topics.ts";
import { RedisConnection } from "../../../src/server/redis/redis-connection.ts";
import { parseRedisUrl } from "../../../src/server/redis/redis-url.ts";
import type { Stage } from "../../support/stage.ts";
import { ManualClock } from "../manual-clock.ts";
import { GRACE_MS, LEASE_MS, PORTS, type RegistryUnderTest } from "./registry-contract.ts";

export async function connectTo(stage: Stage, ...ports: readonly number[]): Promise<RedisConnection> {
  const hosts = ports.map((port) => `127.0.0.1:${port}`).join(",");
  const connection = await RedisConnection.open(parseRedisUrl(`redis://${hosts}`));
  stage.defer(() => connection.close());
  return connection;
}

export function freshPrefix(): string {
  return `test-${randomBytes(6).toString("hex")}`;
}

/** As the contract wants it: with a clock, and alone. */
export function registryUnderTest(connection: RedisConnection): RegistryUnderTest {
  const clock = new ManualClock();
  const options = { connection, topics: new MemoryTopics("node-1"), prefix: freshPrefix(), clock };
  const registry = new RedisRegistry({ ...options, leaseMs: LEASE_MS, graceMs: GRACE_MS, tcpPorts: PORTS });
  return { registry, now: () => clock.now(), advance: async (ms) => clock.advance(ms) };
}

/** One in Redis's own time, with topics that lead nowhere unless others are given. */
export function openRegistryOn(
  stage: Stage,
  options: Partial<RedisRegistryOptions> & Pick<RedisRegistryOptions, "connection">,
): RedisRegistry {
  const registry = new RedisRegistry({ topics: new MemoryTopics("node-1"), ...options });
  stage.defer(() => registry.close());
  return registry;
}

export async function openTopics(stage: Stage, options: RedisTopicsOptions): Promise<RedisTopics> {
  const topics = await RedisTopics.open(options);
  stage.defer(() => topics.close());
  return topics;
}
