// A real primary and replica with three Sentinels over them, on free loopback ports.

import { spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type RunningRedis, redisCli, startRedisServer } from "./redis.ts";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

export interface WatchedRedis {
  readonly primary: RunningRedis;
  readonly replica: RunningRedis;
  readonly sentinelPorts: readonly number[];
}

/** The Sentinels call the primary `main`, and act when it has been silent for half a second. */
export async function startWatchedRedis(stage: Stage): Promise<WatchedRedis> {
  const primary = await startRedisServer(stage, { args: ["--repl-diskless-sync-delay", "0"] });
  const replica = await startRedisServer(stage, { args: ["--replicaof", "127.0.0.1", String(primary.port)] });
  const hasReplica = async (): Promise<boolean> =>
    (await redisCli(primary.port, ["INFO", "replication"])).includes("state=online");
  await poll(hasReplica, 20_000, "the replica");
  const sentinelPorts: number[] = [];
  for (let count = 0; count < 3; count += 1) sentinelPorts.push(await startSentinel(stage, primary.port));
  for (const port of sentinelPorts) {
    const knowsAll = async (): Promise<boolean> => {
      const fields = await redisCli(port, ["SENTINEL", "MASTER", "main"]).catch(() => "");
      return /num-other-sentinels\n2\n/.test(fields) && /num-slaves\n1\n/.test(fields);
    };
    await poll(knowsAll, 30_000, "the Sentinels to know each other");
  }
  return { primary, replica, sentinelPorts };
}

/** By which nodes find whichever of the two is the primary. */
export function urlOf({ sentinelPorts }: WatchedRedis): string {
  return `redis+sentinel://${sentinelPorts.map((port) => `127.0.0.1:${port}`).join(",")}/main`;
}

async function startSentinel(stage: Stage, primaryPort: number): Promise<number> {
  const port = await freePort();
  const path = join(await stage.folder("sentinel"), "sentinel.conf");
  const lines = [
    `port ${port}`,
    "bind 127.0.0.1",
    `sentinel monitor main 127.0.0.1 ${primaryPort} 2`,
    "sentinel down-after-milliseconds main 500",
    "sentinel failover-timeout main 3000",
  ];
  await writeFile(path, `${lines.join("\n")}\n`);
  const child = spawn("redis-server", [path, "--sentinel"], { stdio: "ignore" });
  const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
  stage.defer(() => {
    child.kill("SIGKILL");
    return gone;
  });
  await poll(() => redisCli(port, ["PING"]).catch(() => null), 10_000, "a Sentinel");
  return port;
}
