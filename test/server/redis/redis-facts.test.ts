// What Redis says of itself.

import { describe, expect, it } from "vitest";
import { RedisConnection } from "../../../src/server/redis/index.ts";
import { factsOf } from "../../../src/server/redis/redis-facts.ts";
import { parseRedisUrl } from "../../../src/server/redis/redis-url.ts";
import { startRedisServer } from "../../support/redis.ts";
import { startWatchedRedis } from "../../support/redis-sentinel.ts";
import { useStage } from "../../support/stage.ts";

const stage = useStage();

function info(fields: Readonly<Record<string, string>>): string {
  return `# Server\r\n${Object.entries(fields)
    .map(([name, value]) => `${name}:${value}\r\n`)
    .join("")}`;
}

describe("factsOf", () => {
  it("tells a Redis Cluster, and whether topics can be in one shard", () => {
    const facts = (version: string, cluster: string) =>
      factsOf(info({ redis_version: version, cluster_enabled: cluster }), "h");
    expect(facts("7.0.15", "1")).toEqual({ isCluster: true, isReplica: false, hasShardedTopics: true });
    expect(facts("6.2.0", "0")).toEqual({ isCluster: false, isReplica: false, hasShardedTopics: false });
    expect(factsOf("", "h")).toEqual({ isCluster: false, isReplica: false, hasShardedTopics: false });
  });

  it.each(["6.0.16", "5.9.9"])("refuses version %s", (version) => {
    expect(() => factsOf(info({ redis_version: version }), "redis://h")).toThrow(
      `Cannot use Redis at "redis://h": it is version ${version}, wanted 6.2 or newer`,
    );
  });

  it("takes any policy where memory has no bound, and only noeviction where it has", () => {
    const facts = (maxmemory: string, policy: string) =>
      factsOf(info({ redis_version: "7.2.4", maxmemory, maxmemory_policy: policy }), "h");
    expect(facts("0", "allkeys-lru").isCluster).toBe(false);
    expect(facts("1048576", "noeviction").isCluster).toBe(false);
    expect(() => facts("1048576", "volatile-ttl")).toThrow("wanted noeviction");
  });
});

describe("RedisConnection.open", () => {
  it("says at once of a Sentinel and of a replica what to name instead", async () => {
    const { replica, sentinelPorts } = await startWatchedRedis(stage);
    const [sentinelPort] = sentinelPorts;
    const open = (port: number | undefined) => RedisConnection.open(parseRedisUrl(`redis://127.0.0.1:${port}`));
    await expect(open(sentinelPort)).rejects.toMatchObject({
      ...{ code: "DPX_USAGE", message: expect.stringContaining("it is a Sentinel") },
    });
    await expect(open(replica.port)).rejects.toMatchObject({
      ...{ code: "DPX_USAGE", message: expect.stringContaining("it is a replica") },
    });
  });

  it("refuses a Redis that drops keys when its memory is full", async () => {
    const { port } = await startRedisServer(stage, {
      args: ["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"],
    });
    await expect(RedisConnection.open(parseRedisUrl(`redis://127.0.0.1:${port}`))).rejects.toMatchObject({
      code: "DPX_USAGE",
      hint: expect.stringContaining("maxmemory-policy noeviction"),
    });
  });
});
