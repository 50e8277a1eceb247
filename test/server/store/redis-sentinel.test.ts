// The store behind Sentinels: it follows the primary, and keeps the contract on the one that has taken over.

import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { RedisStore } from "../../../src/server/store/redis-store.ts";
import type { Store } from "../../../src/server/store/store.ts";
import { redisCli, untilReplicated } from "../../support/redis.ts";
import { startWatchedRedis, type WatchedRedis } from "../../support/redis-sentinel.ts";
import { useFileStage, useStage } from "../../support/stage.ts";
import { poll, within } from "../../support/wait.ts";
import { letTimePass } from "./redis-time.ts";
import { describeStore } from "./store-contract.ts";

const stage = useStage();
const fileStage = useFileStage();

async function openBehind({ sentinelPorts }: WatchedRedis, warn?: (message: string) => void): Promise<Store> {
  const hosts = sentinelPorts.map((port) => `127.0.0.1:${port}`).join(",");
  const store = await RedisStore.open({ url: `redis+sentinel://${hosts}/main`, warn });
  stage.defer(() => store.close());
  return store;
}

/** Kills the primary; resolves when `store` can be written again. */
async function failOver({ primary }: WatchedRedis, store: Store): Promise<void> {
  await primary.end();
  const isBack = (): Promise<boolean> =>
    store.put("probe", 1).then(
      () => true,
      () => false,
    );
  await poll(isBack, 30_000, "the replica to take over", 100);
}

describe("RedisStore behind Sentinels", () => {
  let redis: WatchedRedis;

  beforeEach(async () => {
    redis = await startWatchedRedis(stage);
  }, 60_000);

  it("has after a failover what was confirmed, and refuses within about a second until then", async () => {
    const warnings: string[] = [];
    const store = await openBehind(redis, (message) => warnings.push(message));
    await store.put("account/u_1", { name: "ben" });
    await store.put("code", 1, { ttlMs: 600_000 });
    await store.append("audit", { action: "claim" });
    await untilReplicated(redis.primary.port);
    await redis.primary.end();
    const refused = expect(store.put("account/u_2", 1)).rejects.toMatchObject({ code: "DPX_STORE" });
    await within(refused, 2_500, "the refusal");
    await failOver(redis, store);
    expect(await store.get("account/u_1")).toEqual({ name: "ben" });
    expect(await store.take("code")).toBe(1);
    expect(await store.readLog("audit", 5)).toEqual([{ action: "claim" }]);
    expect(await store.get("account/u_2")).toBeNull();
    expect(warnings).toEqual([
      expect.stringContaining("the store is out of reach: Cannot use Redis at"),
      expect.stringMatching(/^the store at "redis\+sentinel:.*\/main\/0" answers again$/),
    ]);
  }, 90_000);

  it("hears after a failover of what others change", async () => {
    const [one, two] = [await openBehind(redis), await openBehind(redis)];
    const heard = new Set<string>();
    two.watch("ban/", (key) => heard.add(key));
    await failOver(redis, one);
    const isHeard = async (): Promise<boolean> => {
      await one.put("ban/b_1", 1);
      return heard.has("ban/b_1");
    };
    await poll(isHeard, 30_000, "the watch", 100);
  }, 90_000);
});

describe("After a failover", () => {
  let redis: WatchedRedis;

  beforeAll(async () => {
    redis = await startWatchedRedis(fileStage);
    const store = await openBehind(redis);
    await failOver(redis, store);
    await store.close();
  }, 90_000);

  describeStore("RedisStore behind Sentinels", async () => {
    const { port } = redis.replica;
    await redisCli(port, ["FLUSHALL"]);
    return { store: await openBehind(redis), advance: (ms) => letTimePass(port, ms) };
  });
});
