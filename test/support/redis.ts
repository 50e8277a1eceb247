// A real redis-server on a free loopback port, with nothing kept on disk, and redis-cli to speak to it.

import { execFile, spawn } from "node:child_process";
import { promisify } from "node:util";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { poll } from "./wait.ts";

const execute = promisify(execFile);

export interface RedisOptions {
  /** One that was free a moment ago. @default any */
  readonly port?: number;
  /** More arguments for redis-server. */
  readonly args?: readonly string[];
  /** What redis-cli shows to get in. */
  readonly password?: string;
}

export interface RunningRedis {
  readonly port: number;
  /** `SIGSTOP`: takes connections and answers nothing. */
  signal(name: NodeJS.Signals): void;
  /** Kills it; resolves when it is gone. */
  end(): Promise<void>;
}

export async function startRedis(stage: Stage): Promise<number> {
  return (await startRedisServer(stage)).port;
}

export async function startRedisServer(stage: Stage, options: RedisOptions = {}): Promise<RunningRedis> {
  const port = options.port ?? (await freePort());
  const folder = await stage.folder("redis");
  const child = spawn(
    "redis-server",
    [
      ...["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder],
      ...(options.args ?? []),
    ],
    { stdio: "ignore" },
  );
  const gone = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const end = (): Promise<void> => {
    child.kill("SIGKILL");
    return gone;
  };
  stage.defer(end);
  const ping = () => redisCli(port, ["PING"], options.password).catch(() => null);
  await poll(async () => (await ping()) === "PONG", 10_000, "redis-server");
  return { port, signal: (name) => void child.kill(name), end };
}

/** What redis-cli prints for one command. */
export async function redisCli(port: number, args: readonly string[], password?: string): Promise<string> {
  const { stdout } = await execute("redis-cli", ["-h", "127.0.0.1", "-p", String(port), ...args], {
    timeout: 30_000,
    maxBuffer: 64 * 1024 * 1024,
    ...(password === undefined ? {} : { env: { ...process.env, REDISCLI_AUTH: password } }),
  });
  return stdout.trimEnd();
}

/** Resolves when the replica of the primary at `port` says that it has all that was written there. */
export async function untilReplicated(port: number): Promise<void> {
  const hasAll = async (): Promise<boolean> => {
    const text = await redisCli(port, ["INFO", "replication"]);
    const [, written] = /master_repl_offset:(\d+)/.exec(text) ?? [];
    return written !== undefined && text.includes(`state=online,offset=${written},`);
  };
  await poll(hasAll, 20_000, "the replica to have it all");
}
