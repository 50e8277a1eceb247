// What topics must do, whatever carries them.

import { beforeEach, describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import type { RegistryRecord } from "../../../src/server/backend/registry.ts";
import {
  type Handler,
  MAX_TOPIC_MESSAGE_BYTES,
  MAX_TOPIC_REQUESTS,
  type Topics,
  type WebSocketsMessage,
  type WebSocketsReply,
} from "../../../src/server/backend/topics.ts";
import { deferred, poll } from "../../support/wait.ts";
import { registration } from "./registration.ts";

const KICK = { type: "disconnect", who: "cat1", by: "ann", reason: "tests", until: "forever" } as const;

export const NOBODY: WebSocketsReply = { kind: null, clients: [] };

function reached(hub: string): WebSocketsReply {
  const roundTrips = [{ clientId: "client-a", rttMs: 0.4 }];
  return { kind: "hostname", clients: [{ clientId: "client-a", user: "ben", hub, pipes: ["cat1.test"] }], roundTrips };
}

/** @param make Topics of `node-1`, and of the others that hear each other, if there can be any. */
export function describeTopics(name: string, make: () => Promise<readonly [Topics, ...Topics[]]>): void {
  describe(name, () => {
    let topics: readonly [Topics, ...Topics[]];
    let nodes: readonly string[];

    beforeEach(async () => {
      topics = await make();
      nodes = topics.map((_, index) => `node-${index + 1}`);
    });

    it("tells every node what one publishes, this one too, and who it was", async () => {
      const heard: unknown[] = [];
      for (const [index, node] of topics.entries()) {
        node.handle("websockets", (message, from) => {
          heard.push({ index, message, from });
          return NOBODY;
        });
      }
      await topics[0].publish("websockets", KICK);
      await poll(() => heard.length === topics.length, 5_000, "all to hear", 2);
      expect(heard).toHaveLength(topics.length);
      for (const index of topics.keys()) expect(heard).toContainEqual({ index, message: KICK, from: "node-1" });
    });

    it("carries every kind of message as it was", async () => {
      const gate = { login: true } as const;
      const tcp = registration("cat1.test", { protocol: "tcp", wantsReports: true, gate });
      const record: RegistryRecord = { ...tcp, tcpPort: 20_000, epoch: 7, state: "up", since: 1, expires: 2 };
      const sent: WebSocketsMessage[] = [
        KICK,
        { ...KICK, until: 1_800_000_000_000 },
        { ...KICK, until: null },
        {
          type: "banish",
          by: "ann",
          reason: "tests",
          until: null,
          clients: [{ clientId: "client-a", user: "ben", hub: "node-2", pipes: [] }],
        },
        { type: "find", who: "cat1" },
        { type: "find", who: null },
        { type: "roundTrips", clientIds: ["client-a", "client-b"] },
        { type: "replaced", clientIds: ["client-a"] },
        { type: "judge" },
        {
          type: "pipesAreRegistered",
          response: {
            type: "pipesAreRegisteredResponse",
            clientId: "client-a",
            pipes: [{ status: "refused", name: "cat1", code: "DPX_NAME_TAKEN", message: "It is taken" }],
          },
        },
      ];
      const heard: unknown[] = [];
      const last = topics.at(-1) ?? topics[0];
      last.handle("websockets", (message) => {
        heard.push(message);
        return NOBODY;
      });
      last.handle("routes", (message) => {
        heard.push(message);
        return null;
      });
      for (const message of sent) await topics[0].publish("websockets", message);
      const routes = [
        { hostname: "cat1.test", epoch: 7, record },
        { hostname: "cat1.test", epoch: 7, record: null },
      ];
      for (const message of routes) await topics[0].publish("routes", message);
      await poll(() => heard.length === sent.length + routes.length, 5_000, "all messages", 2);
      expect(heard).toEqual([...sent, ...routes]);
    });

    it("brings whoever asks the reply of each node, and ends with the last one that was expected", async () => {
      for (const [index, node] of topics.entries()) node.handle("websockets", () => reached(`node-${index + 1}`));
      const asker = topics.at(-1) ?? topics[0];
      const result = await asker.request("websockets", KICK, { timeoutMs: 60_000, nodes });
      expect(result.missing).toEqual([]);
      expect(new Set(result.replies)).toEqual(
        new Set(nodes.map((nodeId) => ({ nodeId, outcome: { status: "done", reply: reached(nodeId) } }))),
      );
    });

    it("brings replies that are longer than one message", async () => {
      const clients = Array.from({ length: 12_000 }, (_, index) => ({
        ...{ clientId: `client-${index}`, user: "bén@ci", hub: "node-1", pipes: [`cat-${index}.tunnel.example.test`] },
      }));
      const reply: WebSocketsReply = { kind: "user", clients };
      expect(JSON.stringify(reply).length).toBeGreaterThan(3 * MAX_TOPIC_MESSAGE_BYTES);
      for (const node of topics) node.handle("websockets", () => reply);
      const result = await topics[0].request("websockets", KICK, { timeoutMs: 60_000, nodes });
      expect(result.missing).toEqual([]);
      for (const { outcome } of result.replies) expect(outcome).toEqual({ status: "done", reply });
    });

    it("says who did not reply in time, and who failed with what", async () => {
      topics[0].handle("websockets", () => {
        throw new DuplexityError("DPX_USAGE", "Cannot tell who it is");
      });
      const result = await topics[0].request("websockets", KICK, { timeoutMs: 200, nodes: [...nodes, "node-x"] });
      expect(result.replies).toEqual([
        { nodeId: "node-1", outcome: { status: "failed", code: "DPX_USAGE", message: "Cannot tell who it is" } },
      ]);
      expect(result.missing).toEqual([...nodes.slice(1), "node-x"]);
    });

    it("waits for a handler that takes its time", async () => {
      const work = deferred<WebSocketsReply>();
      for (const node of topics) node.handle("websockets", () => work.promise);
      const answer = topics[0].request("websockets", KICK, { timeoutMs: 60_000, nodes });
      work.resolve(NOBODY);
      expect((await answer).replies).toHaveLength(topics.length);
    });

    it("has one handler for a topic, and none after it was taken back", async () => {
      const handler: Handler<"websockets"> = () => NOBODY;
      const stop = topics[0].handle("websockets", handler);
      expect(() => topics[0].handle("websockets", handler)).toThrow(expect.objectContaining({ code: "DPX_INTERNAL" }));
      stop();
      const result = await topics[0].request("websockets", KICK, { timeoutMs: 100, nodes: ["node-1"] });
      expect(result).toEqual({ replies: [], missing: ["node-1"] });
      topics[0].handle("websockets", handler)();
    });

    it("has a bound on requests that wait, and ends them all when it is closed", async () => {
      const options = { timeoutMs: 60_000, nodes: ["node-x"] };
      const waiting = Array.from({ length: MAX_TOPIC_REQUESTS }, () =>
        topics[0].request("websockets", { type: "judge" }, options),
      );
      await expect(topics[0].request("websockets", { type: "judge" }, options)).rejects.toMatchObject({
        code: "DPX_LIMIT",
      });
      await Promise.race([...waiting, topics[0].publish("websockets", { type: "judge" })]);
      await topics[0].close();
      const results = await Promise.allSettled(waiting);
      expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(MAX_TOPIC_REQUESTS);
    });
  });
}
