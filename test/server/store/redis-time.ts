// Lets time pass for what a store keeps in Redis, without waiting for it.

import { redisCli } from "../../support/redis.ts";

const SHIFT_SCRIPT = `
for _, key in ipairs(redis.call("KEYS", "duplexity:{store}:entry:*")) do
  local left = redis.call("PTTL", key)
  if left > 0 and left <= tonumber(ARGV[1]) then redis.call("DEL", key)
  elseif left > 0 then redis.call("PEXPIRE", key, left - ARGV[1]) end
end
for _, key in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do redis.call("ZINCRBY", KEYS[1], -ARGV[1], key) end`;

/** @param port Of any node, in a Redis Cluster. */
export async function letTimePass(port: number, ms: number): Promise<void> {
  await redisCli(port, ["-c", "EVAL", SHIFT_SCRIPT, "1", "duplexity:{store}:ends", String(ms)]);
}
