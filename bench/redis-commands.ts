// How busy a Redis is: the commands that it runs in a while, and which of them its clients have sent.

import { Redis } from "ioredis";

export interface RedisLoad {
  /**
   * Commands that clients sent, each a way to Redis and back, a second; a script counts as one. From MONITOR, which
   * marks what comes from inside a script.
   */
  readonly calls: number;
  /** All commands that were run, those inside scripts too, a second: `total_commands_processed` of INFO. */
  readonly commands: number;
}

/** Watches the Redis at a loopback port for `forMs`. */
export async function watchRedis(port: number, forMs: number): Promise<RedisLoad> {
  const redis = new Redis({ host: "127.0.0.1", port });
  const monitor = await redis.monitor();
  try {
    let calls = 0;
    const before = await commandsProcessed(redis);
    const startedAt = performance.now();
    monitor.on("monitor", (_time: string, _args: readonly string[], source: string) => {
      if (source !== "lua") calls += 1;
    });
    await new Promise((resolve) => setTimeout(resolve, forMs));
    monitor.removeAllListeners("monitor");
    const seconds = (performance.now() - startedAt) / 1_000;
    // The first look itself is counted after it has answered.
    const commands = (await commandsProcessed(redis)) - before - 1;
    return { calls: calls / seconds, commands: commands / seconds };
  } finally {
    monitor.disconnect();
    redis.disconnect();
  }
}

async function commandsProcessed(redis: Redis): Promise<number> {
  return Number(/^total_commands_processed:(\d+)/m.exec(await redis.info("stats"))?.[1]);
}
