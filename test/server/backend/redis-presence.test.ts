// Which nodes there are, on a real redis-server.

import { setTimeout as delay } from "node:timers/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { MemoryPresence } from "../../../src/server/backend/memory-presence.ts";
import { isSealed, sealOf } from "../../../src/server/backend/node-seal.ts";
import type { NodeRecord, PresenceChange } from "../../../src/server/backend/presence.ts";
import { RedisPresence, type RedisPresenceOptions } from "../../../src/server/backend/redis-presence.ts";
import { SharedPresence } from "../../../src/server/backend/shared-presence.ts";
import type { RedisConnection } from "../../../src/server/redis/redis-connection.ts";
import { HANG_MS } from "../../support/bars.ts";
import { redisCli, startRedis, startRedisServer } from "../../support/redis.ts";
import { useFileStage, useStage } from "../../support/stage.ts";
import { deferred, poll } from "../../support/wait.ts";
import { connectTo, freshPrefix } from "./redis-stage.ts";

const stage = useStage();
const fileStage = useFileStage();
let port = 0;
let connection: RedisConnection;

beforeAll(async () => {
  port = await startRedis(fileStage);
  connection = await connectTo(fileStage, port);
});

function nodeRecord(number: number): NodeRecord {
  return {
    nodeId: `node-${number}`,
    internalUrl: `http://127.0.0.1:${7_000 + number}`,
    dialerUri: null,
    roles: ["hub", "proxy"],
    isDraining: false,
  };
}

function presenceOn(options: Partial<RedisPresenceOptions> & { readonly prefix: string }) {
  const presence = new RedisPresence({ connection, leaseMs: 600, beatMs: 20, ...options });
  stage.defer(() => presence.close());
  const changes: PresenceChange[] = [];
  presence.onChange((change) => changes.push(change));
  const ids = (): readonly string[] =>
    presence
      .nodes()
      .map(({ nodeId }) => nodeId)
      .sort();
  return { presence, changes, ids };
}

describe("RedisPresence", () => {
  it("shows each node all that are there, and where each is", async () => {
    const prefix = freshPrefix();
    const nodes = [1, 2, 3].map(() => presenceOn({ prefix }));
    for (const [index, { presence }] of nodes.entries()) await presence.join(nodeRecord(index + 1));
    for (const { presence, ids } of nodes) {
      await poll(() => ids().length === 3, 5_000, "all nodes", 5);
      expect(presence.nodes()).toContainEqual(nodeRecord(2));
      expect(presence.urlOf("node-3")).toBe("http://127.0.0.1:7003");
      expect(presence.urlOf("node-4")).toBeNull();
    }
  });

  it("shows the nodes in the order in which they came, one that is at a dead one's address after that one", async () => {
    const prefix = freshPrefix();
    const { presence } = presenceOn({ prefix, leaseMs: 60_000 });
    await presence.join(nodeRecord(1));
    for (const number of [9, 4, 7]) {
      const { presence: other } = presenceOn({ prefix, leaseMs: 60_000 });
      await other.join({ ...nodeRecord(number), internalUrl: "http://127.0.0.1:7002" });
      await presence.look();
    }
    expect(presence.nodes().map(({ nodeId }) => nodeId)).toEqual(["node-1", "node-9", "node-4", "node-7"]);
  });

  it("tells how much each has to do, at once, and takes a node that does not say for one with little", async () => {
    const prefix = freshPrefix();
    const [one, other] = [presenceOn({ prefix, beatMs: 60_000, leaseMs: 60_000 }), presenceOn({ prefix })];
    await one.presence.join(nodeRecord(1));
    await other.presence.join(nodeRecord(2));
    const seen = () => other.presence.nodes().find(({ nodeId }) => nodeId === "node-1");
    expect(seen()).toEqual(nodeRecord(1));
    await one.presence.tell({ ...nodeRecord(1), load: "overloaded" });
    await poll(() => seen()?.load === "overloaded", 5_000, "the news", 5);
    // A version that knows more words than this one.
    await redisCli(port, [
      "EVAL",
      `redis.call("HSET", KEYS[1], "node-1", (string.gsub(redis.call("HGET", KEYS[1], "node-1"), "overloaded", "sleepy")))`,
      ...["1", `${prefix}:{nodes}`],
    ]);
    await poll(() => seen()?.load === "normal", 5_000, "a load that is known", 5);
  });

  it("misses a node at once when it says goodbye, and within its lease when it does not", async () => {
    const prefix = freshPrefix();
    const leaseMs = 1_500;
    const [watcher, dead] = [presenceOn({ prefix, leaseMs }), presenceOn({ prefix })];
    // Without a goodbye it would be there for longer than this test may take.
    const polite = presenceOn({ prefix, leaseMs: 10 * HANG_MS });
    await polite.presence.join(nodeRecord(2));
    await watcher.presence.join(nodeRecord(1));
    expect(watcher.ids()).toEqual(["node-1", "node-2"]);
    await polite.presence.leave();
    await poll(() => !watcher.ids().includes("node-2"), HANG_MS, "the goodbye to be heard", 5);
    // It never beats again.
    const silent = new RedisPresence({ connection, prefix, leaseMs, beatMs: 1_000_000 });
    stage.defer(() => silent.close());
    await silent.join(nodeRecord(3));
    await watcher.presence.look();
    expect(watcher.ids()).toEqual(["node-1", "node-3"]);
    await poll(() => watcher.ids().length === 1, HANG_MS, "the lease's end", 5);
    const went = () => watcher.changes.flatMap((change) => change.went);
    await poll(() => went().length >= 2, HANG_MS, "the changes", 5);
    expect(went()).toEqual([nodeRecord(2), nodeRecord(3)]);
    expect(dead.ids()).toEqual([]);
    expect(watcher.presence.vanished()).toEqual(["node-3"]);
  });

  it("keeps the others through a FLUSHALL, and while Redis does not answer for less than a lease", async () => {
    const redis = await startRedisServer(stage);
    const own = await connectTo(stage, redis.port);
    const prefix = freshPrefix();
    const options = { prefix, connection: own, leaseMs: 10_000 };
    const [one, two] = [presenceOn(options), presenceOn(options)];
    await one.presence.join(nodeRecord(1));
    await two.presence.join(nodeRecord(2));
    await poll(() => one.ids().length === 2, 5_000, "both nodes", 5);
    await redisCli(redis.port, ["FLUSHALL"]);
    await poll(async () => (await redisCli(redis.port, ["HLEN", `${prefix}:{nodes}`])) === "2", 5_000, "the lines", 5);
    expect(one.ids()).toEqual(["node-1", "node-2"]);
    expect(performance.now() - one.presence.answeredAt).toBeLessThan(10_000);
    expect(one.changes.flatMap(({ went }) => went)).toEqual([]);
    redis.signal("SIGSTOP");
    await expect(one.presence.join(nodeRecord(1))).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(one.ids()).toEqual(["node-1", "node-2"]);
    redis.signal("SIGCONT");
  });

  it("keeps the others while Redis does not answer for longer, and for a lease more; misses who does not come back", async () => {
    const redis = await startRedisServer(stage);
    const own = await connectTo(stage, redis.port);
    // Longer than a call may take.
    const options = { prefix: freshPrefix(), connection: own, leaseMs: 1_500 };
    const [one, two] = [presenceOn(options), presenceOn(options)];
    await one.presence.join(nodeRecord(1));
    await two.presence.join(nodeRecord(2));
    const silent = new RedisPresence({ ...options, beatMs: 1_000_000 });
    stage.defer(() => silent.close());
    await silent.join(nodeRecord(3));
    await poll(() => one.ids().length === 3, 5_000, "all nodes", 5);
    redis.signal("SIGSTOP");
    // Three leases.
    await delay(4_500);
    expect(one.ids()).toEqual(["node-1", "node-2", "node-3"]);
    redis.signal("SIGCONT");
    await poll(() => one.changes.some(({ went }) => went.length > 0), 10_000, "the end of who does not come back", 5);
    expect(one.ids()).toEqual(["node-1", "node-2"]);
    expect(one.changes.flatMap(({ went }) => went)).toEqual([nodeRecord(3)]);
  });

  it("says a change of itself last, also while it says what was before", async () => {
    const written: string[] = [];
    const [begun, held] = [deferred<void>(), deferred<void>()];
    let calls = 0;
    const board = {
      write: async (_nodeId: string, line: string) => {
        calls += 1;
        // As on one of several connections to a backend.
        if (calls === 2) {
          begun.resolve();
          await held.promise;
        }
        written.push(line);
        return { there: [line], left: [] };
      },
    };
    const presence = new SharedPresence({ board, beatMs: 1_000_000 });
    stage.defer(() => presence.close());
    await presence.join(nodeRecord(1));
    const beat = presence.look();
    await begun.promise;
    const told = presence.join({ ...nodeRecord(1), isDraining: true });
    // Time to overtake it.
    await Promise.race([told, new Promise(setImmediate)]);
    held.resolve();
    await Promise.all([beat, told]);
    expect(written.map((line) => JSON.parse(line).isDraining)).toEqual([false, false, true]);
    expect(presence.nodes()[0]?.isDraining).toBe(true);
  });

  it("goes on saying that it is there when it could not say a change of itself at once", async () => {
    const redis = await startRedisServer(stage);
    const own = await connectTo(stage, redis.port);
    const { presence } = presenceOn({ prefix: freshPrefix(), connection: own });
    await presence.join(nodeRecord(1));
    redis.signal("SIGSTOP");
    await expect(presence.join({ ...nodeRecord(1), isDraining: true })).rejects.toMatchObject({ code: "DPX_STORE" });
    redis.signal("SIGCONT");
    await poll(() => presence.nodes()[0]?.isDraining === true, 5_000, "the change to be said", 5);
  });

  it("takes no node for one that does not know the cluster's secret, and takes two secrets while they change", async () => {
    const prefix = freshPrefix();
    const warnings: string[] = [];
    const warn = (message: string) => warnings.push(message);
    const old = presenceOn({ prefix, secrets: ["old"] });
    const both = presenceOn({ prefix, secrets: ["new", "old"] });
    const fresh = presenceOn({ prefix, secrets: ["new"], warn });
    const nodes = [old, both, fresh];
    for (const [index, { presence }] of nodes.entries()) await presence.join(nodeRecord(index + 1));
    await poll(() => both.ids().length === 3 && fresh.ids().length === 2, 5_000, "the nodes", 5);
    expect(both.ids()).toEqual(["node-1", "node-2", "node-3"]);
    expect(old.ids()).toEqual(["node-1"]);
    expect(fresh.ids()).toEqual(["node-2", "node-3"]);
    expect(warnings[0]).toBe("A node is ignored: node-1 does not know the cluster's secret");
  });

  it("does not join nodes that all know another secret, and is seen by none of them", async () => {
    const prefix = freshPrefix();
    const [one, two] = [presenceOn({ prefix, secrets: ["right"] }), presenceOn({ prefix, secrets: ["right"] })];
    const stranger = presenceOn({ prefix, secrets: ["wrong"] });
    await one.presence.join(nodeRecord(1));
    await expect(stranger.presence.join(nodeRecord(3))).rejects.toMatchObject({
      code: "DPX_USAGE",
      message: "Cannot join the cluster: the node that is there knows another cluster secret",
    });
    await two.presence.join(nodeRecord(2));
    await expect(stranger.presence.join(nodeRecord(3))).rejects.toMatchObject({
      message: "Cannot join the cluster: the 2 nodes that are there know another cluster secret",
    });
    expect(two.ids()).toEqual(["node-1", "node-2"]);
    // Once they are gone, it is their cluster no more.
    await one.presence.leave();
    await two.presence.leave();
    await stranger.presence.join(nodeRecord(3));
    expect(stranger.ids()).toEqual(["node-3"]);
  });

  it.each([
    ["accounts", "no-auth", "was started with accounts, this node with --no-auth"],
    ["no-auth", "accounts", "was started with --no-auth, this node with accounts"],
  ] as const)(
    "does not join, with %s there, as one with %s: its pipes would be served by all",
    async (there, own, why) => {
      const prefix = freshPrefix();
      const one = presenceOn({ prefix, secrets: ["right"] });
      const mixed = presenceOn({ prefix, secrets: ["right"] });
      await one.presence.join({ ...nodeRecord(1), identity: there });
      await expect(mixed.presence.join({ ...nodeRecord(2), identity: own })).rejects.toMatchObject({
        code: "DPX_USAGE",
        message: `Cannot join the cluster: node-1 ${why}`,
        hint: expect.stringMatching(/^Start all nodes of a cluster with --no-auth, or none\./),
      });
      await one.presence.look();
      expect(one.ids()).toEqual(["node-1"]);
      await presenceOn({ prefix, secrets: ["right"] }).presence.join({ ...nodeRecord(3), identity: there });
      await one.presence.look();
      expect(one.ids()).toEqual(["node-1", "node-3"]);
    },
  );

  it("takes a node of an older version for one of its own kind, and lets nobody unsay --no-auth", async () => {
    const secrets = ["right"];
    const withAccounts = { ...nodeRecord(1), identity: "accounts" } as const;
    const open = { ...nodeRecord(1), identity: "no-auth" } as const;
    expect(sealOf(withAccounts, secrets)).toBe(sealOf(nodeRecord(1), secrets));
    expect(isSealed(nodeRecord(1), sealOf(open, secrets), secrets)).toBe(false);
    for (const identity of ["accounts", "no-auth"] as const) {
      const prefix = freshPrefix();
      const older = presenceOn({ prefix, secrets }).presence;
      await older.join(nodeRecord(1));
      const { presence, ids } = presenceOn({ prefix, secrets });
      await presence.join({ ...nodeRecord(2), identity });
      expect(ids()).toEqual(["node-1", "node-2"]);
    }
  });

  it("does not join a node that seals its record in another way, and says so instead of another secret", async () => {
    const prefix = freshPrefix();
    const warnings: string[] = [];
    const warn = (message: string) => warnings.push(message);
    const line = JSON.stringify({ ...nodeRecord(9), seal: "2 of another kind", sealVersion: 2 });
    await connection.call("hset", [`${prefix}:{nodes}`, "node-9", `9999999999999 ${line}`]);
    const { presence } = presenceOn({ prefix, secrets: ["right"], warn });
    const why = "node-9 is of a version that seals its record in another way (2, here 1)";
    await expect(presence.join(nodeRecord(1))).rejects.toMatchObject({
      code: "DPX_PROTOCOL_VERSION",
      message: `Cannot join the cluster: ${why}`,
      hint: "Run the same version of duplexity on all nodes.",
    });
    expect(warnings).toEqual([`A node is ignored: ${why}`]);
  });

  it("takes the seal of a node that does not say how it is made, as those before did", async () => {
    const prefix = freshPrefix();
    const line = JSON.stringify({ ...nodeRecord(2), seal: sealOf(nodeRecord(2), ["right"]) });
    await connection.call("hset", [`${prefix}:{nodes}`, "node-2", `9999999999999 ${line}`]);
    const { presence, ids } = presenceOn({ prefix, secrets: ["right"] });
    await presence.join(nodeRecord(1));
    expect(ids()).toEqual(["node-1", "node-2"]);
  });

  it("takes a node of an older version, which does not say whether it drains, for one that does not", async () => {
    const prefix = freshPrefix();
    const presence = presenceOn({ prefix, secrets: ["right"], beatMs: 60_000, leaseMs: 60_000 });
    const older = presenceOn({ prefix, secrets: ["right"], beatMs: 60_000, leaseMs: 60_000 }).presence;
    const { isDraining: _, ...unsaid } = nodeRecord(2);
    await older.join(unsaid as NodeRecord);
    await presence.presence.join(nodeRecord(1));
    // In whichever order.
    const sorted = presence.presence.nodes().toSorted((one, other) => one.nodeId.localeCompare(other.nodeId));
    expect(sorted).toEqual([nodeRecord(1), nodeRecord(2)].map((node) => expect.objectContaining(node)));
  });

  it("tells once why it takes no node for one, and again when that node comes back", async () => {
    const prefix = freshPrefix();
    const warnings: string[] = [];
    const { presence } = presenceOn({
      prefix,
      secrets: ["right"],
      beatMs: 60_000,
      warn: (text) => warnings.push(text),
    });
    // It knows this one's secret, and shows another first.
    const stranger = presenceOn({ prefix, secrets: ["new", "right"], leaseMs: 60_000, beatMs: 60_000 }).presence;
    await presence.join(nodeRecord(1));
    await stranger.join(nodeRecord(2));
    await presence.look();
    await presence.look();
    const said = "A node is ignored: node-2 does not know the cluster's secret";
    expect(warnings).toEqual([said]);
    await stranger.leave();
    await presence.look();
    await stranger.join(nodeRecord(2));
    await presence.look();
    expect(warnings).toEqual([said, said]);
  });

  it.each([
    ["{"],
    [JSON.stringify({ ...nodeRecord(9), internalUrl: "http://user@127.0.0.1:1" })],
    [JSON.stringify({ ...nodeRecord(9), internalUrl: "http://127.0.0.1:1/path" })],
    [JSON.stringify({ ...nodeRecord(9), internalUrl: "ftp://127.0.0.1:1" })],
    [JSON.stringify({ ...nodeRecord(9), nodeId: "a b" })],
    [JSON.stringify({ ...nodeRecord(9), roles: ["x".repeat(5_000)] })],
  ])("ignores the line %s", async (line) => {
    const prefix = freshPrefix();
    await connection.call("hset", [`${prefix}:{nodes}`, "node-9", `9999999999999 ${line}`]);
    const { presence, ids } = presenceOn({ prefix });
    await presence.join(nodeRecord(1));
    expect(ids()).toEqual(["node-1"]);
  });
});

describe("MemoryPresence", () => {
  it("shows the node itself while it is there", async () => {
    const presence = new MemoryPresence();
    expect(presence.nodes()).toEqual([]);
    await presence.join(nodeRecord(1));
    expect(presence.nodes()).toEqual([nodeRecord(1)]);
    expect([presence.urlOf("node-1"), presence.urlOf("node-2")]).toEqual(["http://127.0.0.1:7001", null]);
    await presence.close();
    expect(presence.nodes()).toEqual([]);
  });
});
