// Hearing from Redis, and seeing that one hears no more. A real Redis behind a proxy that swallows.

import { describe, expect, it } from "vitest";
import { parseRedisUrl, RedisConnection, RedisSubscription } from "../../../src/server/redis/index.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { redisCli, startRedis } from "../../support/redis.ts";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";

const stage = useStage();

async function startHearing() {
  const port = await startRedis(stage);
  const proxy = await FaultProxy.start(stage, port);
  const connection = await RedisConnection.open(parseRedisUrl(`redis://127.0.0.1:${proxy.port}`));
  stage.defer(() => connection.close());
  const heard: string[] = [];
  let gaps = 0;
  const subscription = new RedisSubscription({
    ...{ connection, channels: ["news"] as const, pingEveryMs: 50 },
    onMessage: (_channel, text) => heard.push(text),
    onGap: () => {
      gaps += 1;
    },
  });
  await subscription.open();
  stage.defer(() => subscription.close());
  const say = (text: string) => redisCli(port, ["PUBLISH", "news", text]);
  return { connection, proxy, heard, gaps: () => gaps, say };
}

describe("RedisSubscription", () => {
  it("sees by asking that its connection is dead without a word, and hears over the next one", async () => {
    const { proxy, heard, gaps, say } = await startHearing();
    await say("one");
    await poll(() => heard.includes("one"), 5_000, "a message");
    proxy.blackhole();
    await poll(() => gaps() > 0, 10_000, "the next connection");
    await say("two");
    await poll(() => heard.includes("two"), 5_000, "a message over the next one");
    expect(heard).toEqual(["one", "two"]);
  });
});

describe("RedisConnection.onLost", () => {
  it("tells once of a loss, however often it tries to come back, and onReady of its return", async () => {
    const { connection, proxy } = await startHearing();
    const told: string[] = [];
    connection.onLost(({ code, message }) => told.push(`${code} ${message.split(": ")[0]}`));
    connection.onReady(() => told.push("ready"));
    proxy.isRefusing = true;
    proxy.cutAll();
    const lost = `DPX_STORE Cannot use Redis at "redis://127.0.0.1:${proxy.port}/0"`;
    await poll(() => told.length > 0, 5_000, "the loss");
    const { accepted } = proxy;
    await poll(() => proxy.accepted > accepted + 3, 10_000, "more attempts");
    expect(told).toEqual([lost]);
    proxy.isRefusing = false;
    await poll(() => told.includes("ready"), 10_000, "the return");
    expect(told).toEqual([lost, "ready"]);
  });
});
