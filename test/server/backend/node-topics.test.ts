// Requests that come again, and replies that come twice, over a way that is the test's own.

import { beforeEach, describe, expect, it } from "vitest";
import { type Addressee, NodeTopics } from "../../../src/server/backend/node-topics.ts";
import type { WebSocketsReply } from "../../../src/server/backend/topics.ts";

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
    const clients = Array.from({ length: 8_000 }, (_, index) => ({
      ...{ clientId: `client-${index}`, user: "ben", hub: "node-2", pipes: [`cat-${index}.tunnel.example.test`] },
    }));
    const parts: string[] = [];
    const lossy = new NodeTopics({
      nodeId: "node-3",
      warn: expect.fail,
      send: async (_to, text) => {
        parts.push(text);
        if (parts.length !== 2) asker.receive(null, text);
      },
    });
    lossy.handle("websockets", () => ({ kind: "user", clients }));
    acting = lossy;
    const { replies, missing } = await kick("ben", ["node-3"]);
    expect(missing).toEqual([]);
    expect(replies).toMatchObject([{ outcome: { reply: { kind: "user" } } }]);
    const [first] = replies;
    expect(first?.outcome).toEqual({ status: "done", reply: { kind: "user", clients } });
    expect(parts.length).toBeGreaterThan(5);
    expect(new Set(parts).size * 2).toBe(parts.length);
  });
});
