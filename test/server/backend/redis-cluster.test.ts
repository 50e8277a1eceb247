// The registry and the topics in a real Redis Cluster of six processes.

import { beforeAll, describe, expect, it } from "vitest";
import { RedisKeys } from "../../../src/server/backend/redis-keys.ts";
import type { RedisConnection } from "../../../src/server/redis/redis-connection.ts";
import { slotOf } from "../../../src/server/redis/redis-slot.ts";
import { redisCli } from "../../support/redis.ts";
import { startRedisCluster } from "../../support/redis-cluster.ts";
import { useFileStage, useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { connectTo, freshPrefix, openRegistryOn, openTopics, registryUnderTest } from "./redis-stage.ts";
import { EVE, register, registration } from "./registration.ts";
import { describeRegistry } from "./registry-contract.ts";
import { describeTopics } from "./topics-contract.ts";

const stage = useStage();
const fileStage = useFileStage();
let connection: RedisConnection;

beforeAll(async () => {
  const [first, second] = await startRedisCluster(fileStage);
  connection = await connectTo(fileStage, first.port, second?.port ?? first.port);
});

describeRegistry("RedisRegistry in a Redis Cluster", async () => registryUnderTest(connection));

describeTopics("RedisTopics in a Redis Cluster", async () => {
  const prefix = freshPrefix();
  return [
    await openTopics(stage, { connection, prefix, nodeId: "node-1" }),
    await openTopics(stage, { connection, prefix, nodeId: "node-2" }),
  ];
});

describe("RedisConnection to a Redis Cluster", () => {
  it("knows that it is one, with messages that go to one shard only", () => {
    expect([connection.isCluster, connection.isSharded]).toEqual([true, true]);
  });

  it("knows where each key is", async () => {
    const shards = new Set<string>();
    for (let index = 0; index < 30; index += 1) {
      const key = `key-${index}`;
      expect(await connection.call("cluster", ["keyslot", key])).toBe(slotOf(key));
      shards.add(connection.shardOf(key));
    }
    expect(shards.size).toBe(3);
  });
});

describe("RedisRegistry in a Redis Cluster", () => {
  it("finds names in all shards, and an owner's", async () => {
    const registry = openRegistryOn(stage, { connection, prefix: freshPrefix() });
    const hostnames = Array.from({ length: 40 }, (_, index) => `cat${index}.test`);
    for (const hostname of hostnames) await register(registry, registration(hostname));
    await register(registry, registration("dog1.test", EVE));
    const mine = await registry.list("ben-id", 100);
    expect(mine.map(({ hostname }) => hostname).sort()).toEqual([...hostnames].sort());
    expect(await registry.list(null, 100)).toHaveLength(41);
  });

  it("puts back what one shard has lost, and gives none of its names away before", async () => {
    const registry = openRegistryOn(stage, { connection, leaseMs: 1_500 });
    const other = openRegistryOn(stage, { connection, leaseMs: 1_500 });
    await registry.check();
    await other.check();
    const hostnames = Array.from({ length: 12 }, (_, index) => `fox${index}.test`);
    const held = await Promise.all(hostnames.map((hostname) => register(registry, registration(hostname))));
    const [lost = "", lostPort = ""] =
      /^(.*):(\d+)$/.exec(connection.shardOf(new RedisKeys("duplexity").name("fox0.test")))?.slice(1) ?? [];
    expect(lost).toBe("127.0.0.1");
    await redisCli(Number(lostPort), ["FLUSHALL"]);
    const claims = hostnames.map((hostname) => other.register(registration(hostname, EVE)).catch((error) => error));
    for (const result of await Promise.all(claims)) {
      if (result instanceof Error) expect(result).toMatchObject({ code: "DPX_STORE" });
      else expect(result).toMatchObject({ status: "taken" });
    }
    await registry.check();
    for (const { hostname, epoch } of held) {
      expect(await other.locate(hostname)).toMatchObject({ epoch, ownerId: "ben-id", state: "up" });
    }
  });

  it("goes on when a primary is killed and its replica takes over", async () => {
    const nodes = await startRedisCluster(stage);
    const own = await connectTo(stage, ...nodes.map(({ port }) => port));
    const topics = await openTopics(stage, { connection: own, nodeId: "node-1" });
    const registry = openRegistryOn(stage, { connection: own, topics });
    await registry.check();
    const hostnames = Array.from({ length: 12 }, (_, index) => `cat${index}.test`);
    const held = await Promise.all(hostnames.map((hostname) => register(registry, registration(hostname))));
    let gaps = 0;
    topics.onGap(() => {
      gaps += 1;
    });
    const shard = own.shardOf("duplexity:{topics}");
    const killed = nodes.find(({ port }) => shard.endsWith(`:${port}`));
    if (killed === undefined) throw new Error(`No process has ${shard}`);
    await killed.end();
    const renew = async () => registry.renewAll(held).catch(() => null);
    expect(await poll(renew, 40_000, "the replica to take over", 100)).toEqual([]);
    for (const { hostname, epoch } of held) expect(await registry.locate(hostname)).toMatchObject({ epoch });
    await poll(() => gaps > 0, 40_000, "the topics to hear again");
  }, 90_000);
});
