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
  const say = (text: string, channel = "news") => redisCli(port, ["PUBLISH", channel, text]);
  return { connection, subscription, port, proxy, heard, gaps: () => gaps, say };
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

  it("takes another channel while its connection is gone, and hears it over the next one", async () => {
    const { subscription, port, heard, say } = await startHearing();
    await redisCli(port, ["CLIENT", "KILL", "TYPE", "pubsub"]);
    await poll(() => !subscription.isOpen, 5_000, "the loss", 1);
    await subscription.add("more");
    await say("one", "more");
    await poll(() => heard.includes("one"), 5_000, "a message of the other channel");
  });

  it("takes another channel although its connection ends before Redis has said so", async () => {
    const { subscription, proxy, gaps, heard, say } = await startHearing();
    // Both ends are told of it in the next turn at the earliest: what is sent now is lost.
    const added = subscription.add("more");
    proxy.cutAll();
    await added;
    await say("one", "more");
    await poll(() => heard.includes("one"), 5_000, "a message of the other channel");
    await poll(() => gaps() > 0, 5_000, "the next connection");
  });

  it("says of a channel that it cannot be heard when no connection comes, and hears it over a later one", async () => {
    const { subscription, proxy, heard, say } = await startHearing();
    proxy.isRefusing = true;
    proxy.cutAll();
    await poll(() => !subscription.isOpen, 5_000, "the loss", 1);
    await expect(subscription.add("more")).rejects.toMatchObject({
      code: "DPX_STORE",
      message: expect.stringContaining("it is not connected"),
    });
    proxy.isRefusing = false;
    await poll(() => subscription.isOpen, 10_000, "the next connection");
    await say("one", "more");
    await poll(() => heard.includes("one"), 5_000, "a message of the other channel");
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
