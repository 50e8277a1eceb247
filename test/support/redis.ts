// A real redis-server on a free loopback port, with nothing kept on disk, and redis-cli to speak to it.

import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

const execute = promisify(execFile);

export async function startRedis(stage: Stage): Promise<number> {
  const port = await freePort();
  const folder = await stage.folder("redis");
  const child = spawn(
    "redis-server",
    ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder],
    { stdio: "ignore" },
  );
  const gone = new Promise((resolve) => child.on("close", resolve));
  stage.defer(() => {
    child.kill("SIGKILL");
    return gone;
  });
  await poll(() => redisCli(port, ["PING"]).catch(() => null), 10_000, "redis-server");
  return port;
}

/** What redis-cli prints for one command. */
export async function redisCli(port: number, args: readonly string[]): Promise<string> {
  const { stdout } = await execute("redis-cli", ["-h", "127.0.0.1", "-p", String(port), ...args], {
    timeout: 30_000,
    maxBuffer: 64 * 1024 * 1024,
  });
  return stdout.trimEnd();
}
