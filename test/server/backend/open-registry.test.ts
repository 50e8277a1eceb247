// What serve() opens: registry, topics and presence together, in memory or in Redis.

import { describe, expect, it } from "vitest";
import { type OpenRegistryOptions, openRegistry } from "../../../src/server/backend/index.ts";
import { redisCli, startRedisServer } from "../../support/redis.ts";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { register, registration } from "./registration.ts";

const stage = useStage();

async function open(options: OpenRegistryOptions) {
  const opened = await openRegistry(options);
  stage.defer(() => opened.close());
  return opened;
}

describe("openRegistry", () => {
  it("opens one in memory, of this node alone", async () => {
    const { registry, topics, presence, isReachable } = await open({
      kind: "memory",
      nodeId: "node-1",
      leaseMs: 7_000,
    });
    const { since, expires } = await register(registry, registration("cat1.test"));
    expect(expires - since).toBe(7_000);
    topics.handle("websockets", () => ({ kind: null, clients: [] }));
    const result = await topics.request("websockets", { type: "judge" }, { timeoutMs: 60_000, nodes: ["node-1"] });
    expect(result.missing).toEqual([]);
    await presence.join({
      nodeId: "node-1",
      internalUrl: "http://127.0.0.1:1",
      dialerUri: null,
      roles: ["hub"],
      isDraining: false,
    });
    expect(presence.urlOf("node-1")).toBe("http://127.0.0.1:1");
    expect(isReachable()).toBe(true);
  });

  it("opens one in Redis, in which two nodes are as one, and mends by itself what Redis has lost", async () => {
    const redis = await startRedisServer(stage);
    const warnings: string[] = [];
    const warn = (message: string): number => warnings.push(message);
    const options = { kind: "redis", url: `redis://127.0.0.1:${redis.port}`, prefix: "own", secrets: ["s"] } as const;
    const one = await open({ ...options, nodeId: "node-1", warn });
    const two = await open({ ...options, nodeId: "node-2", warn });
    for (const [index, { presence }] of [one, two].entries()) {
      const nodeId = `node-${index + 1}`;
      await presence.join({
        nodeId,
        internalUrl: `http://127.0.0.1:${index + 1}`,
        dialerUri: null,
        roles: ["hub", "proxy"],
        isDraining: false,
      });
    }
    await poll(() => one.presence.nodes().length === 2, 10_000, "the other node");
    const record = await register(one.registry, registration("cat1.test"));
    expect(record.expires - record.since).toBe(30_000);
    expect(await two.registry.locate("cat1.test")).toEqual(record);
    const keys = (await redisCli(redis.port, ["KEYS", "*"])).split("\n");
    expect(keys.filter((key) => !key.startsWith("own:"))).toEqual([]);
    await redisCli(redis.port, ["FLUSHALL"]);
    const isBack = async (): Promise<boolean> => (await two.registry.locate("cat1.test").catch(() => null)) !== null;
    await poll(isBack, 10_000, "the name to be back");
    expect(warnings).toEqual([]);
    redis.signal("SIGSTOP");
    await poll(() => !one.isReachable(), 20_000, "Redis to count as out of reach");
    redis.signal("SIGCONT");
    await poll(() => one.isReachable() && warnings.includes("Redis answers again"), 20_000, "Redis to count as there");
  });

  it("refuses a Redis that is not there, and a URL that is none", async () => {
    const redis = await startRedisServer(stage);
    await redis.end();
    const options = { kind: "redis", nodeId: "node-1" } as const;
    await expect(openRegistry({ ...options, url: `redis://127.0.0.1:${redis.port}` })).rejects.toMatchObject({
      code: "DPX_STORE",
    });
    await expect(openRegistry({ ...options, url: "http://x" })).rejects.toMatchObject({ code: "DPX_USAGE" });
  });
});
