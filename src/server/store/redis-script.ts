// The script with which a Redis store changes an entry, together with the indexes and the message to those who watch.

import { scriptOf } from "../redis/index.ts";

export interface WriteMode {
  /** Ms until its end; the end that it has; none. 0 deletes. */
  readonly ttl: number | "keep" | "never";
  /** The JSON that must be there, empty for nothing; null: whatever is there. */
  readonly expected: string | null;
}

/** Keys whose entries have ended and that leave the indexes with each change: more than a change can add. */
const SWEPT = 10;

/**
 * KEYS: the entry, the index, the ends.
 * ARGV: its key, the JSON (empty: delete), ms or `keep` or `never`, `if` or `any`, the JSON that must be there,
 * `PUBLISH` or `SPUBLISH`, the channel, the message.
 * Answers whether it was done, and what was there before (empty: nothing).
 */
export const WRITE_SCRIPT = scriptOf(`
local key, json, ttl = ARGV[1], ARGV[2], ARGV[3]
local old = redis.call("GET", KEYS[1]) or ""
if ARGV[4] == "if" and old ~= ARGV[5] then return {0, old} end
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if json == "" then
  redis.call("DEL", KEYS[1])
  redis.call("ZREM", KEYS[2], key)
  redis.call("ZREM", KEYS[3], key)
else
  redis.call("ZADD", KEYS[2], 0, key)
  if ttl == "keep" and old ~= "" then
    redis.call("SET", KEYS[1], json, "KEEPTTL")
  elseif ttl == "keep" or ttl == "never" then
    redis.call("SET", KEYS[1], json)
    redis.call("ZREM", KEYS[3], key)
  else
    redis.call("SET", KEYS[1], json, "PX", ttl)
    redis.call("ZADD", KEYS[3], now + ttl, key)
  end
end
if json ~= "" or old ~= "" then redis.call(ARGV[6], ARGV[7], ARGV[8]) end
for _, gone in ipairs(redis.call("ZRANGEBYSCORE", KEYS[3], "-inf", "(" .. now, "LIMIT", 0, ${SWEPT})) do
  redis.call("ZREM", KEYS[2], gone)
  redis.call("ZREM", KEYS[3], gone)
end
return {1, old}`);
