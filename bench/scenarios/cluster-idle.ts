// What connected clients that do nothing cost the Redis of a cluster, with all that its nodes say besides.

import { join } from "node:path";
import { startCluster } from "../cluster.ts";
import { connectClients } from "../connect-clients.ts";
import type { Child } from "../proc.ts";
import { type RedisLoad, watchRedis } from "../redis-commands.ts";
import type { Bar, Scenario } from "../scenario.ts";

const NODES = 3;
/** The bar is for so many. */
const CLIENTS = 1_000;
/** One renewal of every lease: what comes with connecting is over by then. */
const SETTLE_MS = 10_000;
/** Two renewals: a whole number of them, so that none counts in part. */
const WATCH_MS = 20_000;

const bar = (metric: keyof RedisLoad, what: string): Bar => ({
  what: `1,000 idle clients in a cluster: ${what}`,
  metric,
  against: null,
  direction: "atMost",
  must: 50,
  aim: 10,
  unit: "a second",
});

export const clusterIdle: Scenario = {
  name: "clusterIdle",
  title: "1,000 connected clients that do nothing at one of three nodes: Redis, a second",
  endpoints: ["tunnel"],
  bars: [bar("calls", "calls to Redis"), bar("commands", "all that Redis runs")],
  async run({ node = process.execPath }, { tunnel, folder }) {
    const cluster = await startCluster({ ...tunnel, node, folder: join(folder, "cluster-idle") }, NODES);
    const children: Child[] = [];
    try {
      const [{ url } = { url: "" }] = cluster.nodes;
      children.push(await connectClients(url, { count: CLIENTS, prefix: "idle", tokenFile: cluster.tokenFile }));
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      return { ...(await watchRedis(cluster.redisPort, WATCH_MS)) };
    } finally {
      for (const child of children) await child.stop();
      await cluster.stop();
    }
  },
};
