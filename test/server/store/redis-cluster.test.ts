// The store in a real Redis Cluster of six processes: the contract, through any node, and a primary that is killed.

import { beforeAll, describe, expect, it } from "vitest";
import { RedisStore } from "../../../src/server/store/redis-store.ts";
import type { Store } from "../../../src/server/store/store.ts";
import { type RunningRedis, redisCli, untilReplicated } from "../../support/redis.ts";
import { startRedisCluster } from "../../support/redis-cluster.ts";
import { useFileStage, useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { letTimePass } from "./redis-time.ts";
import { describeStore } from "./store-contract.ts";

const stage = useStage();
const fileStage = useFileStage();
let nodes: readonly [RunningRedis, ...RunningRedis[]];

beforeAll(async () => {
  nodes = await startRedisCluster(fileStage);
}, 90_000);

async function openOn(...through: readonly RunningRedis[]): Promise<Store> {
  const hosts = through.map(({ port }) => `127.0.0.1:${port}`).join(",");
  const store = await RedisStore.open({ url: `redis://${hosts}` });
  stage.defer(() => store.close());
  return store;
}

/** All that a cluster holds, by its primaries. */
async function empty(all: readonly RunningRedis[]): Promise<void> {
  for (const { port } of all) {
    if ((await redisCli(port, ["ROLE"])).startsWith("master")) await redisCli(port, ["FLUSHALL"]);
  }
}

/** The process that has all keys of the store. */
async function home(all: readonly RunningRedis[]): Promise<RunningRedis> {
  for (const node of all) {
    const isPrimary = (await redisCli(node.port, ["ROLE"])).startsWith("master");
    if (isPrimary && (await redisCli(node.port, ["EXISTS", "duplexity:{store}:index"])) === "1") return node;
  }
  throw new Error("No process has the store");
}

describeStore("RedisStore in a Redis Cluster", async () => {
  await empty(nodes);
  return { store: await openOn(...nodes), advance: (ms) => letTimePass(nodes[0].port, ms) };
});

describe("RedisStore in a Redis Cluster", () => {
  it("is used through any of its nodes, and tells those at others of changes", async () => {
    await empty(nodes);
    const stores = await Promise.all(nodes.map((node) => openOn(node)));
    const heard = stores.map((store) => {
      const keys = new Set<string>();
      store.watch("", (key) => keys.add(key));
      return keys;
    });
    await Promise.all(stores.map((store, index) => store.put(`from/${index}`, index)));
    for (const store of stores) expect(await store.list("from/")).toHaveLength(nodes.length);
    await poll(() => heard.every((keys) => keys.size === nodes.length), 10_000, "every change at every node");
  });

  it("has what was confirmed, and hears, after the primary that held it was killed", async () => {
    const own = await startRedisCluster(stage);
    const [store, other] = [await openOn(...own), await openOn(...own)];
    await store.put("account/u_1", { name: "ben" });
    const killed = await home(own);
    await untilReplicated(killed.port);
    await killed.end();
    const probe = (): Promise<boolean> =>
      store.put("probe", 1).then(
        () => true,
        () => false,
      );
    await poll(probe, 40_000, "the replica to take over", 100);
    expect(await store.get("account/u_1")).toEqual({ name: "ben" });
    const heard = new Set<string>();
    other.watch("ban/", (key) => heard.add(key));
    const isHeard = async (): Promise<boolean> => {
      await store.put("ban/b_1", 1).catch(() => {});
      return heard.has("ban/b_1");
    };
    await poll(isHeard, 40_000, "the watch", 100);
  }, 120_000);
});
