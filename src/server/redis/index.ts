// The way to the shared Redis, single, behind Sentinels or a Cluster: calls that never hang, and messages. Knows nothing
// of what is kept or said there.

export { MAX_CALLS, RedisConnection, type Script, scriptOf } from "./redis-connection.ts";
export { CALL_TIMEOUT_MS } from "./redis-options.ts";
export { RedisSubscription } from "./redis-subscription.ts";
export { parseRedisUrl } from "./redis-url.ts";
