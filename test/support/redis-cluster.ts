// A real Redis Cluster on free loopback ports: three primaries, each with a replica, nothing kept on disk.

import { type RunningRedis, redisCli, startRedisServer } from "./redis.ts";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

const NODES = 6;

/** The processes, in no order of roles. Resolves when all say that the cluster is whole and the replicas can take over. */
export async function startRedisCluster(stage: Stage): Promise<readonly [RunningRedis, ...RunningRedis[]]> {
  const start = async (): Promise<RunningRedis> => {
    const busPort = String(await freePort());
    const args = ["--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-node-timeout", "2000"];
    return startRedisServer(stage, { args: [...args, "--repl-diskless-sync-delay", "0"] });
  };
  const first = await start();
  const others: RunningRedis[] = [];
  while (others.length < NODES - 1) others.push(await start());
  const nodes = [first, ...others] as const;
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`);
  await redisCli(first.port, ["--cluster", "create", ...addresses, "--cluster-replicas", "1", "--cluster-yes"]);
  for (const { port } of nodes) {
    const isWhole = async (): Promise<boolean> => {
      const info = await redisCli(port, ["CLUSTER", "INFO"]);
      return info.includes("cluster_state:ok") && info.includes(`cluster_known_nodes:${NODES}`);
    };
    await poll(isWhole, 30_000, "the Redis Cluster to be whole");
    const isInStep = async (): Promise<boolean> => {
      const info = await redisCli(port, ["INFO", "replication"]);
      return info.includes("master_link_status:up") || info.includes("state=online");
    };
    await poll(isInStep, 30_000, "primary and replica to be in step");
  }
  return nodes;
}
