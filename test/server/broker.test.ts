// What the broker says of a kick when a hub is gone: over a real hub, its registry, and a presence that the test decides.

import { beforeEach, describe, expect, it, vi } from "vitest";
import { DuplexityError } from "../../src/protocol/index.ts";
import type { NodeRecord, Presence } from "../../src/server/backend/index.ts";
import { MemoryTopics } from "../../src/server/backend/memory-topics.ts";
import { MAX_TOPIC_MESSAGE_BYTES } from "../../src/server/backend/topics.ts";
import { Broker } from "../../src/server/broker.ts";
import type { Identity } from "../../src/server/identity/index.ts";
import { useStage } from "../support/stage.ts";
import { register, registration } from "./backend/registration.ts";
import { type Cluster, startCluster } from "./hub/cluster.ts";
import { HandClient } from "./hub/stage.ts";

const stage = useStage();
const WHY = { by: "ana", reason: "tests", until: null };
let cluster: Cluster;
let broker: Broker;
let topics: MemoryTopics;
let others: readonly NodeRecord[];
let vanished: readonly string[];
let looks: number;
let looksFail: boolean;

beforeEach(async () => {
  cluster = await startCluster(stage, { nodes: 1, renewEveryMs: 600_000 });
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error("there is no node");
  const { hub, nodeId } = node;
  const own: NodeRecord = { nodeId, internalUrl: node.internalUrl, dialerUri: null, roles: ["hub"], isDraining: false };
  const presence: Presence = {
    join: async () => {},
    look: async () => {},
    tell: async () => {},
    leave: async () => {},
    nodes: () => [own, ...others],
    urlOf: () => null,
    vanished: () => vanished,
    onChange: () => () => {},
    close: async () => {},
  };
  topics = new MemoryTopics(nodeId);
  const lookAtBans = async (): Promise<void> => {
    looks += 1;
    if (looksFail) throw new DuplexityError("DPX_STORE", "The store does not answer");
  };
  const urlOf = (hostname: string): string => `http://${hostname}`;
  broker = new Broker({ hub, registry: cluster.registry, topics, presence, nodeId, urlOf, lookAtBans });
  stage.defer(() => broker.close());
  [others, vanished, looks, looksFail] = [[], ["node-9"], 0, false];
  await registered("node-9");
});

describe("Broker", () => {
  it.each(["cat1", "cat1.test", "ben", "user:ben", "ben@ci", "client-a"])(
    "does not say that %s is ended whose hub has vanished",
    async (who) => {
      const unknown = { code: "DPX_STORE", message: expect.stringContaining("node-9 does not answer") };
      await expect(broker.kick({ who, ...WHY })).rejects.toMatchObject(unknown);
      await expect(broker.checkHeard(who)).rejects.toMatchObject(unknown);
    },
  );

  it.each(["cat2", "eve", "user:cat1", "client-b"])("says it of %s, who had nothing there", async (who) => {
    expect(await broker.kick({ who, ...WHY })).toEqual([]);
    await broker.checkHeard(who);
  });

  it("looks for bans before it ends whom one is for, and confirms nothing if it cannot", async () => {
    vanished = [];
    await broker.kick({ who: "cat1", ...WHY });
    expect(looks).toBe(0);
    await broker.kick({ who: "cat1", ...WHY, until: "forever" });
    expect(looks).toBe(1);
    looksFail = true;
    const kick = broker.kick({ who: "cat1", ...WHY, until: "forever" });
    await expect(kick).rejects.toMatchObject({ code: "DPX_STORE" });
  });

  it.each(["name", "owner"])(
    "ends who was there by that %s, and not who came back before a reply that was lost",
    async (by) => {
      vanished = [];
      const url = cluster.nodes[0]?.url ?? "";
      const before = new HandClient(stage, url, {});
      const { owner } = await before.discover();
      await before.up("cat2");
      const after = new HandClient(stage, url, { key: before.key });
      const request = topics.request.bind(topics);
      vi.spyOn(topics, "request").mockImplementation(async (topic, message, options) => {
        const result = await request(topic, message, options);
        const isOver = "type" in message && message.type !== "find";
        if (!isOver || after.control !== null) return result;
        // The reply is lost, and the hub is asked once more.
        await after.up("cat2");
        return request(topic, message, options);
      });
      const kicked = await broker.kick({ who: by === "name" ? "cat2" : owner, ...WHY });
      expect(kicked.map(({ clientId }) => clientId)).toEqual([before.clientId]);
      expect(await cluster.registry.locate("cat2.test")).toMatchObject({ clientId: after.clientId, state: "up" });
      expect(after.control?.messages).toEqual([]);
    },
  );

  it("has hubs end at once whoever has lost a name to another client of its owner at another hub", async () => {
    const client = new HandClient(stage, cluster.nodes[0]?.url ?? "", {});
    await client.up("cat2");
    const record = await cluster.registry.locate("cat2.test");
    if (record === null) throw new Error("cat2 is not registered");
    broker.tellReplaced([client.clientId, "client-a"]);
    await register(cluster.registry, { ...record, clientId: "client-b", nodeId: "node-9" });
    broker.tellReplaced([client.clientId, "client-a"]);
    expect(await client.control?.closed).toMatchObject({ code: "DPX_REPLACED" });
  });

  it("finds nobody by a word that is a user's at one hub and another's pipe at the next", async () => {
    const found = (kind: "hostname" | "user", clientId: string) => ({
      nodeId: clientId,
      outcome: {
        status: "done",
        reply: { kind, clients: [{ clientId, user: clientId, hub: clientId, pipes: [] }] },
      } as const,
    });
    const replies = vi.spyOn(topics, "request");
    replies.mockResolvedValue({ replies: [found("user", "client-a"), found("hostname", "client-b")], missing: [] });
    await expect(broker.find("ben")).rejects.toMatchObject({
      code: "DPX_USAGE",
      hint: "Write ben.test for the pipe, user:ben for the user.",
    });
    replies.mockResolvedValue({ replies: [found("user", "client-a"), found("user", "client-b")], missing: [] });
    expect((await broker.find("ben")).clients).toHaveLength(2);
  });

  it("tells whoever has mistyped a name of some clients, as many as a reply has room for, or of none", async () => {
    const row = { clientId: "c".repeat(21), user: "ben@example", hub: "node-1", pipes: ["cat1.tunnel.example.com"] };
    const [node] = cluster.nodes;
    if (node === undefined) throw new Error("there is no node");
    const rows = Array.from({ length: 9_000 }, (_, index) => ({ ...row, clientId: `client-${index}` }));
    vi.spyOn(node.hub, "everybody").mockReturnValue(rows);
    const told = await broker.everybody();
    expect(told).toHaveLength(1_000);
    expect(JSON.stringify(told).length).toBeLessThan(MAX_TOPIC_MESSAGE_BYTES);
    vi.spyOn(topics, "request").mockRejectedValue(new DuplexityError("DPX_STORE", "The topics do not answer"));
    expect(await broker.everybody()).toEqual([]);
  });

  it("lists clients of other hubs with the round trip that whoever has a link of theirs tells", async () => {
    const everybody = { isAdmin: true } as Identity;
    others = [{ nodeId: "node-9", internalUrl: "http://10.0.0.9", dialerUri: null, roles: ["hub"], isDraining: false }];
    const here = new HandClient(stage, cluster.nodes[0]?.url ?? "", {});
    await here.up("cat2");
    const request = topics.request.bind(topics);
    const trips = [{ clientId: "client-a", rttMs: 12.5 }];
    const reply = { status: "done", reply: { kind: null, clients: [], roundTrips: trips } } as const;
    const asked = vi.spyOn(topics, "request").mockImplementation(async (topic, message, options) => {
      const { replies } = await request(topic, message, { ...options, nodes: ["node-1"] });
      return { replies: [...replies, { nodeId: "node-9", outcome: reply as never }], missing: [] };
    });
    const row = (clientId: string) => async () =>
      (await broker.list(everybody)).find((one) => one.clientId === clientId);
    expect(await row("client-a")()).toMatchObject({ rttMs: 12.5, pipes: [{ hostname: "cat1.test" }] });
    await vi.waitUntil(async () => typeof (await row(here.clientId)())?.rttMs === "number", { timeout: 5_000 });
    const { replies } = await request(
      "websockets",
      { type: "roundTrips", clientIds: ["client-a", here.clientId] },
      {
        ...{ timeoutMs: 5_000, nodes: ["node-1"] },
      },
    );
    expect(replies[0]?.outcome).toMatchObject({
      reply: { roundTrips: [{ clientId: here.clientId, rttMs: expect.any(Number) }] },
    });
    asked.mockRejectedValue(new DuplexityError("DPX_STORE", "The topics do not answer"));
    expect(await row("client-a")()).toMatchObject({ rttMs: null });
  });

  it("says it once the name is registered at another hub, or nobody's", async () => {
    const { registry } = cluster;
    const record = await registered("node-8");
    expect(await broker.kick({ who: "cat1", ...WHY })).toEqual([]);
    await registered("node-9");
    await expect(broker.kick({ who: "cat1", ...WHY })).rejects.toMatchObject({ code: "DPX_STORE" });
    const current = await registry.locate("cat1.test");
    await registry.remove("cat1.test", record.clientId, current?.epoch ?? 0, "left");
    expect(await broker.kick({ who: "cat1", ...WHY })).toEqual([]);
  });
});

function registered(nodeId: string) {
  return register(cluster.registry, registration("cat1.test", { nodeId, ownerName: "ben@ci" }));
}
