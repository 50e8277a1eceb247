// The topics in Redis: the contract, and what is their own, on a real redis-server.

import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { RedisTopics } from "../../../src/server/backend/redis-topics.ts";
import { MAX_TOPIC_MESSAGE_BYTES } from "../../../src/server/backend/topics.ts";
import type { RedisConnection } from "../../../src/server/redis/redis-connection.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { redisCli, startRedis, startRedisServer } from "../../support/redis.ts";
import { useFileStage, useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { connectTo, freshPrefix, openTopics } from "./redis-stage.ts";
import { describeTopics, NOBODY } from "./topics-contract.ts";

const stage = useStage();
const fileStage = useFileStage();
let port = 0;
let connection: RedisConnection;

beforeAll(async () => {
  port = await startRedis(fileStage);
  connection = await connectTo(fileStage, port);
});

describeTopics("RedisTopics", async () => {
  const prefix = freshPrefix();
  return [
    await openTopics(stage, { connection, prefix, nodeId: "node-1" }),
    await openTopics(stage, { connection, prefix, nodeId: "node-2" }),
    await openTopics(stage, { connection, prefix, nodeId: "node-3" }),
  ];
});

describe("RedisTopics on a network", () => {
  it("hear again after their connection was killed, and say that they may have missed something", async () => {
    const prefix = freshPrefix();
    const one = await openTopics(stage, { connection, prefix, nodeId: "node-1" });
    const two = await openTopics(stage, { connection, prefix, nodeId: "node-2" });
    let gaps = 0;
    two.onGap(() => {
      gaps += 1;
    });
    two.handle("websockets", () => NOBODY);
    for (const round of [1, 2, 3]) {
      await redisCli(port, ["CLIENT", "KILL", "TYPE", "pubsub"]);
      await poll(() => gaps === round, 10_000, "the gap", 5);
      const ask = () => one.request("websockets", { type: "judge" }, { timeoutMs: 300, nodes: ["node-2"] });
      await poll(async () => (await ask()).missing.length === 0, 10_000, "a reply", 5);
    }
  });

  it("say again what a node has not heard, or what it replied, and have it done once", async () => {
    const prefix = freshPrefix();
    const one = await openTopics(stage, { connection, prefix, nodeId: "node-1" });
    const two = await openTopics(stage, { connection, prefix, nodeId: "node-2" });
    let acted = 0;
    two.handle("websockets", async () => {
      acted += 1;
      // So that the reply is lost with its connection, too, and the request comes again meanwhile.
      await redisCli(port, ["CLIENT", "KILL", "TYPE", "pubsub"]);
      await delay(700);
      return NOBODY;
    });
    for (const round of [1, 2, 3]) {
      await redisCli(port, ["CLIENT", "KILL", "TYPE", "pubsub"]);
      const { missing } = await one.request("websockets", { type: "judge" }, { timeoutMs: 10_000, nodes: ["node-2"] });
      expect([missing, acted]).toEqual([[], round]);
    }
  });

  it("wait no longer for a node that goes meanwhile", async () => {
    const topics = await openTopics(stage, { connection, prefix: freshPrefix(), nodeId: "node-1" });
    let isThere = true;
    const options = { timeoutMs: 60_000, nodes: ["node-2"], isThere: () => isThere };
    const asked = topics.request("websockets", { type: "judge" }, options);
    isThere = false;
    expect(await asked).toEqual({ replies: [], missing: ["node-2"] });
  });

  it("connect again until Redis is back", async () => {
    const redis = await startRedisServer(stage);
    const own = await connectTo(stage, redis.port);
    const topics = await openTopics(stage, { connection: own, nodeId: "node-1" });
    let gaps = 0;
    topics.onGap(() => {
      gaps += 1;
    });
    await redis.end();
    await expect(topics.publish("websockets", { type: "judge" })).rejects.toMatchObject({ code: "DPX_STORE" });
    await startRedisServer(stage, { port: redis.port });
    await poll(() => gaps === 1, 15_000, "the gap", 10);
  });

  it("listen anew when they do not hear themselves, though no connection has ended", async () => {
    const proxy = await FaultProxy.start(stage, port);
    const warnings: string[] = [];
    const own = await connectTo(stage, proxy.port);
    const options = { connection: own, nodeId: "node-1", prefix: freshPrefix(), echoEveryMs: 100 };
    const topics = await openTopics(stage, { ...options, warn: (message) => warnings.push(message) });
    let gaps = 0;
    topics.onGap(() => {
      gaps += 1;
    });
    // As a network that has forgotten both connections: the one for calls sees it by an answer that does not come.
    proxy.blackhole();
    await poll(() => gaps === 1, 15_000, "the gap", 10);
    expect(warnings).toEqual(["This node does not hear the others: it listens anew"]);
  });

  it("drop what they cannot read, and go on", async () => {
    const warnings: string[] = [];
    const prefix = freshPrefix();
    const topics = await openTopics(stage, {
      connection,
      prefix,
      nodeId: "node-1",
      warn: (text) => warnings.push(text),
    });
    const heard: unknown[] = [];
    topics.handle("websockets", (message) => {
      heard.push(message);
      return NOBODY;
    });
    const channel = `${prefix}:{topics}:0:websockets`;
    const envelope = (body: unknown) => JSON.stringify({ kind: "message", from: "node-2", id: null, body });
    const broken = [
      "{",
      "[]",
      JSON.stringify({ kind: "other", from: "node-2" }),
      JSON.stringify({ kind: "message", from: "a b", id: null, body: { type: "judge" } }),
      envelope({ type: "other" }),
      envelope({ type: "disconnect", who: "", by: "ann", reason: "", until: null }),
      envelope({ type: "pipesAreRegistered", response: { type: "error", code: "DPX_USAGE", message: "" } }),
      `"${"x".repeat(300_000)}"`,
    ];
    for (const text of broken) await connection.call("publish", [channel, text]);
    await connection.call("publish", [channel, envelope({ type: "judge" })]);
    await poll(() => heard.length > 0, 5_000, "the message", 2);
    expect(heard).toEqual([{ type: "judge" }]);
    expect(warnings).toHaveLength(broken.length);
  });

  it("send no message that is too long, and say that a reply was", async () => {
    const prefix = freshPrefix();
    const one = await openTopics(stage, { connection, prefix, nodeId: "node-1" });
    const two = await openTopics(stage, { connection, prefix, nodeId: "node-2" });
    const reason = "x".repeat(MAX_TOPIC_MESSAGE_BYTES);
    const kick = { type: "disconnect", who: "cat1", by: "ann", reason, until: null } as const;
    await expect(one.publish("websockets", kick)).rejects.toMatchObject({ code: "DPX_MESSAGE_TOO_LARGE" });
    const pipes = Array.from({ length: 1_000 }, (_, index) => `${"x".repeat(200)}-${index}.test`);
    const clients = Array.from({ length: 40 }, (_, index) => ({
      ...{ clientId: `client-${index}`, user: "ben", hub: "n", pipes },
    }));
    two.handle("websockets", () => ({ kind: "user", clients }));
    const options = { timeoutMs: 60_000, nodes: ["node-2"] };
    expect((await one.request("websockets", { type: "judge" }, options)).replies).toMatchObject([
      { nodeId: "node-2", outcome: { status: "failed", code: "DPX_MESSAGE_TOO_LARGE" } },
    ]);
  });

  it("are refused by a Redis that is not there", async () => {
    const redis = await startRedisServer(stage);
    const own = await connectTo(stage, redis.port);
    await redis.end();
    await expect(RedisTopics.open({ connection: own, nodeId: "node-1" })).rejects.toMatchObject({ code: "DPX_STORE" });
  });
});
