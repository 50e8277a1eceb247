// A kick of a user with so many clients at another hub that its reply is longer than one message: over real hubs, clients'
// sockets and topics in a real redis-server.

import { describe, expect, it } from "vitest";
import { newClientKey } from "../../src/client/index.ts";
import type { NodeRecord, Presence } from "../../src/server/backend/index.ts";
import { MAX_TOPIC_MESSAGE_BYTES } from "../../src/server/backend/topics.ts";
import { Broker } from "../../src/server/broker.ts";
import { DEFAULT_LIMITS } from "../../src/server/serve-options.ts";
import { startRedis } from "../support/redis.ts";
import { useStage } from "../support/stage.ts";
import { poll } from "../support/wait.ts";
import { connectTo, openTopics } from "./backend/redis-stage.ts";
import { startCluster } from "./hub/cluster.ts";
import { HandClient } from "./hub/stage.ts";

const stage = useStage();
const CROWD = 2_200;
/** Sockets that are opened at once: fewer than the lobby has places. */
const AT_ONCE = 100;

async function startBrokers() {
  const limits = { ...DEFAULT_LIMITS, maxClientsPerOwner: CROWD };
  const { nodes, registry } = await startCluster(stage, { limits });
  const connection = await connectTo(stage, await startRedis(stage));
  const records: readonly NodeRecord[] = nodes.map(({ nodeId, internalUrl }) => ({
    ...{ nodeId, internalUrl, dialerUri: null, roles: ["hub"], isDraining: false },
  }));
  const presence: Presence = {
    join: async () => {},
    look: async () => {},
    tell: async () => {},
    leave: async () => {},
    nodes: () => records,
    urlOf: () => null,
    vanished: () => [],
    onChange: () => () => {},
    close: async () => {},
  };
  const brokers: Broker[] = [];
  for (const { hub, nodeId } of nodes) {
    const topics = await openTopics(stage, { connection, nodeId });
    const urlOf = (hostname: string): string => `http://${hostname}`;
    const broker = new Broker({ hub, registry, topics, presence, nodeId, urlOf, lookAtBans: async () => {} });
    stage.defer(() => broker.close());
    brokers.push(broker);
  }
  return { nodes, brokers };
}

describe("Broker", () => {
  it.each([null, "forever"] as const)(
    "ends all of a user's many clients at another hub (banned: %s)",
    async (until) => {
      const { nodes, brokers } = await startBrokers();
      const [key, url] = [newClientKey(), nodes[1]?.url ?? ""];
      let user = "";
      for (let at = 0; at < CROWD; at += AT_ONCE) {
        const some = Array.from({ length: AT_ONCE }, (_, index) => `${at + index}-`.padEnd(64, "x"));
        const found = await Promise.all(
          some.map((clientId) => new HandClient(stage, url, { key, clientId }).discover()),
        );
        user = found[0]?.owner ?? "";
      }
      const kicked = (await brokers[0]?.kick({ who: `user:${user}`, by: "ana", reason: "tests", until })) ?? [];
      expect(kicked).toHaveLength(CROWD);
      expect(JSON.stringify(kicked).length).toBeGreaterThan(MAX_TOPIC_MESSAGE_BYTES);
      await poll(() => nodes[1]?.hub.statistics.clients === 0, 10_000, "nobody to be left", 5);
    },
    60_000,
  );
});
