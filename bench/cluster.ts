// Nodes that act as one, as an operator runs them: `duplexity serve` of the built package several times, on one real Redis,
// each with an address of its own for clients. No balancer: whoever measures says which node is visited.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { answers, stopAll } from "./origin.ts";
import { type Child, freePort, start } from "./proc.ts";
import { startServer, type TunnelOptions } from "./tunnel.ts";

const ADMIN_TOKEN = "benchmark-admin-token-0123456789abcdef";
const CLUSTER_SECRET = "benchmark-cluster-secret-0123456789abcdef";

export interface ClusterNode {
  readonly pid: number;
  /** For visitors and clients. */
  readonly port: number;
  /** For `--server`. */
  readonly url: string;
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly redisPort: number;
  /** For `--token-file`: nodes of a cluster know people, not keys of machines. */
  readonly tokenFile: string;
  stop(): Promise<void>;
}

/** Starts Redis and `count` nodes in the folder of `options`. */
export async function startCluster(options: TunnelOptions, count: number): Promise<Cluster> {
  mkdirSync(options.folder, { recursive: true });
  const tokenFile = writeSecret(options.folder, "admin-token", ADMIN_TOKEN);
  const secretFile = writeSecret(options.folder, "cluster-secret", CLUSTER_SECRET);
  const redisPort = await freePort();
  const redis = startRedis(options.folder, redisPort);
  const children: Child[] = [];
  const nodes: ClusterNode[] = [];
  const stop = async () => {
    await stopAll(children);
    await redis.stop();
  };
  try {
    await answers(redisPort);
    for (let number = 0; number < count; number += 1) {
      const port = await freePort();
      const url = `http://127.0.0.1:${port}`;
      const identity = [
        ...["--redis", `redis://127.0.0.1:${redisPort}`, "--admin-token-file", tokenFile],
        ...["--cluster-secret-file", secretFile, "--node-public-url", url],
        ...["--public-url", `http://localhost:${nodes[0]?.port ?? port}`],
      ];
      const { child } = await startServer(options, { port, identity });
      children.push(child);
      nodes.push({ pid: child.pid, port, url });
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { nodes, redisPort, tokenFile, stop };
}

/** Keeps nothing on disk. */
function startRedis(folder: string, port: number): Child {
  const place = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder];
  return start("redis-server", [...place, "--save", "", "--appendonly", "no", "--loglevel", "warning"]);
}

function writeSecret(folder: string, name: string, secret: string): string {
  const file = join(folder, name);
  writeFileSync(file, `${secret}\n`, { mode: 0o600 });
  return file;
}
