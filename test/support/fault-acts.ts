// How one thing is broken and mended again. Knows no world: whoever does it holds what is broken.

import { setTimeout as delay } from "node:timers/promises";
import { type Fault, isOfName } from "./fault-plan.ts";
import type { FaultProxy } from "./fault-proxy.ts";
import { redisCli } from "./redis.ts";

/** FLUSHALL, but for the accounts. */
const FLUSH = `for _, key in ipairs(redis.call("KEYS", "*")) do
  if string.sub(key, 1, 17) ~= "duplexity:{store}" then redis.call("DEL", key) end
end`;

/** What cannot be broken a second time meanwhile. */
export function brokenBy({ kind, target }: Fault): string {
  if (kind.endsWith("Redis")) return "Redis";
  if (kind.startsWith("clock")) return `clock ${target}`;
  return `${isOfName(kind) ? "name" : "node"} ${target}`;
}

export async function frozen(signal: (name: NodeJS.Signals) => void, forMs: number): Promise<void> {
  signal("SIGSTOP");
  await delay(forMs);
  signal("SIGCONT");
}

/** As in a network that has forgotten its connections. */
export async function swallowed(wire: FaultProxy | undefined, forMs: number): Promise<void> {
  wire?.blackhole(true);
  await delay(forMs);
  wire?.heal();
}

/** All records are lost, and no account. */
export async function flushed(redisPort: number): Promise<void> {
  await redisCli(redisPort, ["EVAL", FLUSH, "0"]);
}
