// Requests that come again, and replies that come twice, over a way that is the test's own.

import { beforeEach, describe, expect, it } from "vitest";
import { type Addressee, NodeTopics } from "../../../src/server/backend/node-topics.ts";
import type { WebSocketsReply } from "../../../src/server/backend/topics.ts";
import { poll } from "../../support/wait.ts";

/** Of 8,000 a reply is some parts long. */
const MANY = Array.from({ length: 8_000 }, (_, index) => ({
  ...{ clientId: `client-${index}`, user: "ben", hub: "node-2", pipes: [`cat-${index}.tunnel.example.test`] },
}));
const WHY = { by: "ana", reason: "tests", until: null };
/** Of what went to a topic, in order. */
let asked: string[];
let asker: NodeTopics;
let acting: NodeTopics;
let ended: string[];

beforeEach(() => {
  [asked, ended] = [[], []];
  const warn = (message: string): never => {
    throw new Error(message);
  };
  const sendFrom = (other: () => NodeTopics) => async (to: Addressee, text: string) => {
    if ("topic" in to) asked.push(text);
    other().receive("topic" in to ? to.topic : null, text);
  };
  asker = new NodeTopics({ nodeId: "node-1", warn, send: sendFrom(() => acting) });
  acting = new NodeTopics({ nodeId: "node-2", warn, send: sendFrom(() => asker) });
  acting.handle("websockets", (message): WebSocketsReply => {
    if (message.type !== "disconnect" || ended.includes(message.who)) return { kind: null, clients: [] };
    ended.push(message.who);
    return { kind: "client", clients: [{ clientId: message.who, user: "ben", hub: "node-2", pipes: [] }] };
  });
});

function kick(who: string, nodes = ["node-2"]) {
  return asker.request("websockets", { type: "disconnect", who, ...WHY }, { timeoutMs: 5_000, nodes });
}

/** Whether `text` is the last part of a reply. */
function isLast(text: string): boolean {
  const [, index = "", of = ""] = /"part":\{"index":(\d+),"of":(\d+)\}/.exec(text) ?? [];
  return of !== "" && Number(index) === Number(of) - 1;
}

describe("NodeTopics", () => {
  it("replies as before to a request that comes again, also after hundreds of others", async () => {
    const waiting = kick("client-0", ["node-2", "node-3"]);
    for (let index = 1; index <= 500; index += 1) await kick(`client-${index}`);
    ended = [];
    const [first = ""] = asked;
    acting.receive("websockets", first);
    acting.receive("websockets", first);
    asker.close();
    const { replies } = await waiting;
    expect(replies).toMatchObject([{ outcome: { reply: { clients: [{ clientId: "client-0" }] } } }]);
    expect(ended).toEqual([]);
  });

  it("believes a node's first reply: one that has forgotten what it did finds nothing more to do", async () => {
    const waiting = kick("client-0", ["node-2", "node-3"]);
    for (let index = 1; index <= 1_100; index += 1) await kick(`client-${index}`);
    const [first = ""] = asked;
    acting.receive("websockets", first);
    await kick("client-x");
    asker.close();
    const { replies } = await waiting;
    expect(replies).toMatchObject([{ outcome: { reply: { clients: [{ clientId: "client-0" }] } } }]);
  });

  it("asks again for a reply of which a part was lost", async () => {
    const parts: string[] = [];
    const lossy = new NodeTopics({
      nodeId: "node-3",
      warn: expect.fail,
      send: async (_to, text) => {
        parts.push(text);
        if (parts.length !== 2) asker.receive(null, text);
      },
    });
    lossy.handle("websockets", () => ({ kind: "user", clients: MANY }));
    acting = lossy;
    const { replies, missing } = await kick("ben", ["node-3"]);
    expect(missing).toEqual([]);
    expect(replies).toMatchObject([{ outcome: { reply: { kind: "user" } } }]);
    const [first] = replies;
    expect(first?.outcome).toEqual({ status: "done", reply: { kind: "user", clients: MANY } });
    expect(parts.length).toBeGreaterThan(5);
    expect(new Set(parts).size * 2).toBe(parts.length);
  });

  it("sends a reply once to who asks again while it is being sent", async () => {
    const parts: string[] = [];
    const slow = new NodeTopics({
      nodeId: "node-2",
      warn: expect.fail,
      send: async (_to, text) => {
        parts.push(text);
        if (parts.length <= 3) acting.receive("websockets", asked[0] ?? "");
        // Until then all that is to be said again has begun.
        await new Promise(setImmediate);
        asker.receive(null, text);
      },
    });
    slow.handle("websockets", () => ({ kind: "user", clients: MANY }));
    acting = slow;
    const { replies } = await kick("ben");
    expect(replies).toMatchObject([{ outcome: { reply: { clients: { length: MANY.length } } } }]);
    expect(parts.length).toBeGreaterThan(3);
    expect(new Set(parts).size).toBe(parts.length);
  });

  it("takes parts of a reply only from nodes that were asked", async () => {
    let said = "";
    const other = new NodeTopics({
      nodeId: "node-9",
      warn: expect.fail,
      send: async (_to, text) => {
        asker.receive(null, text);
        said = text;
      },
    });
    other.handle("websockets", () => ({ kind: "user", clients: MANY }));
    acting = other;
    const waiting = kick("ben", ["node-2"]);
    await poll(() => isLast(said), 5_000, "the reply of node-9", 2);
    asker.close();
    expect(await waiting).toEqual({ replies: [], missing: ["node-2"] });
  });
});
