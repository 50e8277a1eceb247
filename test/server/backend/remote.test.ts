// Registry and topics as a node without the backend's role has them: the contracts, over real HTTP and a real
// redis-server, and what is their own.

import { setImmediate } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { openRegistry } from "../../../src/server/backend/index.ts";
import { createNodeCalls, createNodeEvents } from "../../../src/server/backend/node-calls.ts";
import { RedisBoard } from "../../../src/server/backend/redis-presence.ts";
import type { RedisTopics } from "../../../src/server/backend/redis-topics.ts";
import type { Registry, RegistryRecord } from "../../../src/server/backend/registry.ts";
import { RemoteBoard } from "../../../src/server/backend/remote-board.ts";
import { RemoteRegistry } from "../../../src/server/backend/remote-registry.ts";
import { RemoteTopics } from "../../../src/server/backend/remote-topics.ts";
import { SharedPresence } from "../../../src/server/backend/shared-presence.ts";
import type { BackendEvent } from "../../../src/server/calls/index.ts";
import type { RedisConnection } from "../../../src/server/redis/redis-connection.ts";
import { startRedis, startRedisServer } from "../../support/redis.ts";
import { type Stage, useFileStage, useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { openLink, type RunningBackend, SECRET, startBackend } from "../calls/stage.ts";
import { connectTo, freshPrefix, openRegistryOn, openTopics, registryUnderTest } from "./redis-stage.ts";
import { registration } from "./registration.ts";
import { describeRegistry } from "./registry-contract.ts";
import { describeTopics, NOBODY } from "./topics-contract.ts";

const stage = useStage();
const fileStage = useFileStage();
let connection: RedisConnection;

beforeAll(async () => {
  connection = await connectTo(fileStage, await startRedis(fileStage));
});

interface Parts {
  readonly topics: RedisTopics;
  readonly registry: Registry;
  readonly prefix: string;
}

async function partsOf(nodeId: string, prefix = freshPrefix()): Promise<Parts> {
  const topics = await openTopics(stage, { connection, prefix, nodeId });
  return { topics, prefix, registry: openRegistryOn(stage, { connection, prefix, topics }) };
}

function serveParts(of: Stage, { topics, registry, prefix }: Parts, nodeId: string, port = 0): Promise<RunningBackend> {
  const board = new RedisBoard({ connection, prefix });
  const forwards = ["websockets", "routes"] as const;
  return startBackend(of, {
    ...{ nodeId, port },
    handlers: createNodeCalls({ registry, topics, board }),
    events: createNodeEvents({ registry, topics, forwards, watchStore: () => () => {} }),
  });
}

describeRegistry("RemoteRegistry", async () => {
  const { registry, ...time } = registryUnderTest(connection);
  stage.defer(() => registry.close());
  const { topics, prefix } = await partsOf("backend-1");
  const { origin } = await serveParts(stage, { topics, registry, prefix }, "backend-1");
  return { registry: new RemoteRegistry({ link: await openLink(stage, [origin]) }), ...time };
});

describeTopics("RemoteTopics", async () => {
  const prefix = freshPrefix();
  const one = await serveParts(stage, await partsOf("backend-1", prefix), "backend-1");
  const two = await serveParts(stage, await partsOf("backend-2", prefix), "backend-2");
  const open = async (nodeId: string, { origin }: RunningBackend) =>
    new RemoteTopics({ nodeId, link: await openLink(stage, [origin], { nodeId }) });
  return [await open("node-1", one), await open("node-2", one), await open("node-3", two)];
});

describe("Nodes that reach Redis by way of others", () => {
  it("hear what those that know Redis say, and are heard by them", async () => {
    const prefix = freshPrefix();
    const parts = await partsOf("backend-1", prefix);
    const { origin } = await serveParts(stage, parts, "backend-1");
    const topics = new RemoteTopics({ nodeId: "node-1", link: await openLink(stage, [origin]) });
    topics.handle("websockets", () => ({ kind: "client", clients: [] }));
    parts.topics.handle("websockets", () => NOBODY);
    const nodes = ["backend-1", "node-1"];
    for (const asker of [parts.topics, topics]) {
      const { replies, missing } = await asker.request("websockets", { type: "judge" }, { timeoutMs: 5_000, nodes });
      expect(missing).toEqual([]);
      expect(replies.map(({ nodeId }) => nodeId).sort()).toEqual(nodes);
    }
  });

  it("ask again at once who has not replied, when something may have been missed", async () => {
    const asked: string[] = [];
    let tellGap: () => void = () => {};
    const topics = new RemoteTopics({
      nodeId: "node-1",
      link: {
        call: async (name) => asked.push(name),
        onEvent: () => () => {},
        onGap: (listener) => {
          tellGap = listener;
          return () => {};
        },
      },
    });
    stage.defer(() => topics.close());
    const waiting = topics.request("websockets", { type: "judge" }, { timeoutMs: 5_000, nodes: ["node-2"] });
    // Its first call has been answered by then.
    await setImmediate();
    const before = asked.length;
    tellGap();
    expect(asked.slice(before)).toEqual(["tell"]);
    await topics.close();
    expect((await waiting).missing).toEqual(["node-2"]);
  });

  it("are told of names that are registered anywhere", async () => {
    const prefix = freshPrefix();
    const parts = await partsOf("backend-1", prefix);
    const other = await partsOf("backend-2", prefix);
    const { origin } = await serveParts(stage, parts, "backend-1");
    const registry = new RemoteRegistry({ link: await openLink(stage, [origin]) });
    const seen: (RegistryRecord | null)[] = [];
    registry.watch((_hostname, record) => seen.push(record));
    await other.registry.register(registration("cat1.test", { nodeId: "backend-2" }));
    await poll(() => seen.length === 1, 5_000, "the news", 2);
    expect(seen).toMatchObject([{ hostname: "cat1.test", nodeId: "backend-2", state: "up" }]);
  });

  it("look for themselves what they have missed while their backend was gone", async () => {
    const prefix = freshPrefix();
    const parts = await partsOf("backend-1", prefix);
    const { origin, server, calls } = await serveParts(stage, parts, "backend-1");
    const registry = new RemoteRegistry({ link: await openLink(stage, [origin]) });
    const result = await registry.register(registration("cat1.test", { nodeId: "node-1" }));
    const epoch = result.status === "registered" ? result.record.epoch : 0;
    const seen: (RegistryRecord | null)[] = [];
    registry.watch((_hostname, record) => seen.push(record));
    calls.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await parts.registry.remove("cat1.test", "client-a", epoch, "left");
    await serveParts(stage, parts, "backend-1", Number(new URL(origin).port));
    await poll(() => seen.length === 1, 10_000, "the look", 5);
    expect(seen).toEqual([null]);
  });

  it("hear that a name is free although the word of its registration was lost", async () => {
    let tell: (event: BackendEvent) => void = () => {};
    let tellGap = (): void => {};
    const record = { ...registration("cat1.test"), epoch: 7, since: 1, expires: 30_001, state: "up" };
    const registry = new RemoteRegistry({
      link: {
        call: async (name) =>
          name === "locate" ? { records: [record] } : { status: "registered", record, replaced: null },
        onEvent: (listener) => {
          tell = listener;
          return () => {};
        },
        onGap: (listener) => {
          tellGap = () => void listener();
          return () => {};
        },
      },
    });
    const seen: (RegistryRecord | null)[] = [];
    registry.watch((_hostname, known) => seen.push(known));
    await registry.register(registration("cat1.test"));
    // Older than the registration: its own word is still to come.
    tell({ type: "route", hostname: "cat1.test", record: null });
    expect(seen).toMatchObject([{ epoch: 7 }]);
    tellGap();
    tell({ type: "route", hostname: "cat1.test", record: null });
    expect(seen).toMatchObject([{ epoch: 7 }, null]);
  });

  it("know since when nobody has heard of Redis, although their backend answers", async () => {
    const redis = await startRedisServer(stage);
    const own = await connectTo(stage, redis.port);
    const topics = await openTopics(stage, { connection: own, prefix: freshPrefix(), nodeId: "backend-1" });
    const { origin } = await startBackend(stage, {
      handlers: createNodeCalls({
        registry: openRegistryOn(stage, { connection: own, prefix: freshPrefix(), topics }),
        ...{ topics, board: new RedisBoard({ connection: own }) },
      }),
    });
    const link = await openLink(stage, [origin]);
    const node = await openRegistry({ kind: "remote", nodeId: "node-1", link, secrets: [SECRET], warn: () => {} });
    stage.defer(() => node.close());
    expect(node.isReachable()).toBe(false);
    const before = performance.now();
    await node.presence.join({
      ...{ nodeId: "node-1", internalUrl: "http://127.0.0.1:7071", dialerUri: null },
      ...{ roles: ["proxy"], isDraining: false },
    });
    expect(node.isReachable()).toBe(true);
    expect(node.answeredAt()).toBeGreaterThan(before);
    redis.signal("SIGSTOP");
    await node.presence.look();
    const answeredAt = node.answeredAt();
    await node.presence.look();
    expect(node.answeredAt()).toBe(answeredAt);
    redis.signal("SIGCONT");
    await poll(() => node.answeredAt() > answeredAt, 10_000, "the next answer");
  });

  it("are on the board with their own line, and see all others", async () => {
    const prefix = freshPrefix();
    const { origin } = await serveParts(stage, await partsOf("backend-1", prefix), "backend-1");
    const join = async (nodeId: string) => {
      const board = new RemoteBoard(await openLink(stage, [origin], { nodeId }));
      const presence = new SharedPresence({ board, secrets: [SECRET] });
      stage.defer(() => presence.close());
      await presence.join({
        nodeId,
        internalUrl: "http://127.0.0.1:7071",
        dialerUri: null,
        roles: ["hub"],
        isDraining: false,
      });
      return presence;
    };
    const [one, two] = [await join("node-1"), await join("node-2")];
    await one.look();
    for (const presence of [one, two]) {
      expect(
        presence
          .nodes()
          .map(({ nodeId }) => nodeId)
          .sort(),
      ).toEqual(["node-1", "node-2"]);
    }
    await two.leave();
    await one.look();
    expect(one.nodes().map(({ nodeId }) => nodeId)).toEqual(["node-1"]);
  });
});
