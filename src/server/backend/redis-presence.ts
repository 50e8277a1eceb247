// The board of a cluster's nodes: one hash in Redis, in which each has its line.

import { type RedisConnection, scriptOf } from "../redis/index.ts";
import {
  type BoardRead,
  NODE_LEASE_MS,
  type PresenceBoard,
  SharedPresence,
  type SharedPresenceOptions,
} from "./shared-presence.ts";

export interface RedisBoardOptions {
  readonly connection: RedisConnection;
  /** @default "duplexity" */
  readonly prefix?: string;
  /** How long a line stays that is not renewed. @default 6_000 */
  readonly leaseMs?: number;
}

/**
 * ARGV: lease ms, node id, its line, or empty: it goes. Answers the lines of those that are there, and the ids of those
 * that said goodbye within a lease.
 */
const BEAT = scriptOf(`
local time = redis.call("TIME")
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = string.format("%.0f", now + tonumber(ARGV[1]))
redis.call("HSET", KEYS[1], ARGV[2], ends .. " " .. ARGV[3])
redis.call("PEXPIRE", KEYS[1], ARGV[1])
local there, left = {}, {}
local lines = redis.call("HGETALL", KEYS[1])
for at = 1, #lines, 2 do
  local ends, line = string.match(lines[at + 1], "^(%d+) (.*)$")
  if not ends or tonumber(ends) <= now then redis.call("HDEL", KEYS[1], lines[at])
  elseif line == "" then left[#left + 1] = lines[at]
  else there[#there + 1] = line end
end
return {there, left}`);

export class RedisBoard implements PresenceBoard {
  readonly #connection: RedisConnection;
  readonly #key: string;
  readonly #leaseMs: number;

  constructor({ connection, prefix = "duplexity", leaseMs = NODE_LEASE_MS }: RedisBoardOptions) {
    this.#connection = connection;
    this.#key = `${prefix}:{nodes}`;
    this.#leaseMs = leaseMs;
  }

  async write(nodeId: string, line: string): Promise<BoardRead> {
    const reply = await this.#connection.run(BEAT, [this.#key], [this.#leaseMs, nodeId, line]);
    const [there, left]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    return { there: texts(there), left: texts(left) };
  }
}

export type RedisPresenceOptions = RedisBoardOptions & Omit<SharedPresenceOptions, "board">;

/** The nodes that share a Redis. */
export class RedisPresence extends SharedPresence {
  constructor(options: RedisPresenceOptions) {
    super({ ...options, board: new RedisBoard(options) });
  }
}

function texts(reply: unknown): readonly string[] {
  return Array.isArray(reply) ? reply.filter((item) => typeof item === "string") : [];
}
