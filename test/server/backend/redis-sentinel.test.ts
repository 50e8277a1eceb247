// The registry behind Sentinels: what a failover leaves of it.

import { describe, expect, it } from "vitest";
import { openRegistry } from "../../../src/server/backend/index.ts";
import { startWatchedRedis } from "../../support/redis-sentinel.ts";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { EVE, register, registration } from "./registration.ts";

const stage = useStage();

describe("openRegistry behind Sentinels", () => {
  it("goes on with the next primary, which has the names or gets them back", async () => {
    const { primary, sentinelPorts } = await startWatchedRedis(stage);
    const hosts = sentinelPorts.map((port) => `127.0.0.1:${port}`).join(",");
    const opened = await openRegistry({ kind: "redis", url: `redis+sentinel://${hosts}/main`, nodeId: "node-1" });
    stage.defer(() => opened.close());
    const { registry } = opened;
    const record = await register(registry, registration("cat1.test"));
    let gaps = 0;
    opened.topics.onGap(() => {
      gaps += 1;
    });
    await primary.end();
    await expect(registry.register(registration("dog1.test"))).rejects.toMatchObject({ code: "DPX_STORE" });
    const renewed = await poll(() => registry.renewAll([record]).catch(() => null), 30_000, "the next primary");
    expect(renewed).toEqual([]);
    expect(await registry.locate("cat1.test")).toMatchObject({ epoch: record.epoch, state: "up" });
    expect(await registry.register(registration("cat1.test", EVE))).toMatchObject({ status: "taken" });
    await poll(() => gaps > 0, 30_000, "the topics to hear again");
    const next = await register(registry, registration("cat1.test", { clientId: "client-b" }));
    expect(next.epoch).toBeGreaterThan(record.epoch);
    expect(opened.isReachable()).toBe(true);
  });
});
