// How ioredis is to behave: never wait for long, never send again what may have been done. Opens nothing.

import type { HostAndPort, RedisAddress } from "./redis-url.ts";

/** From a call to its answer, with the wait for a connection in it. A command that needs one says so within a second. */
export const CALL_TIMEOUT_MS = 600;
const CONNECT_TIMEOUT_MS = 2_000;
/** A connection on which an answer is due for so long is dead: then a new one is made. */
const SOCKET_TIMEOUT_MS = 5_000;
const FIRST_RETRY_MS = 25;
const MAX_RETRY_MS = 1_000;
/** Answers "it is elsewhere" that one call follows in a Redis Cluster. */
const MAX_REDIRECTIONS = 8;

/** For the one Redis, or for the primary that Sentinels name. */
export function optionsFor(address: RedisAddress, seed: HostAndPort) {
  return {
    ...commonOptions(address),
    ...placeOf(address, seed),
    db: address.database,
    socketTimeout: SOCKET_TIMEOUT_MS,
    retryStrategy: retryDelay,
  };
}

/** For messages only: `topics` sees the end of the connection and makes another one. */
export function optionsForSubscriber(address: RedisAddress, host: HostAndPort) {
  return { ...commonOptions(address), ...placeOf(address, host), autoResubscribe: false, retryStrategy: () => null };
}

export function clusterOptionsFor(address: RedisAddress) {
  return {
    lazyConnect: true,
    enableOfflineQueue: false,
    // A call whose connection was lost may have been made.
    retryDelayOnFailover: 0,
    maxRedirections: MAX_REDIRECTIONS,
    slotsRefreshTimeout: CALL_TIMEOUT_MS,
    slotsRefreshInterval: SOCKET_TIMEOUT_MS,
    clusterRetryStrategy: retryDelay,
    redisOptions: { ...commonOptions(address), socketTimeout: SOCKET_TIMEOUT_MS },
  };
}

function commonOptions({ username, password, isTls }: RedisAddress) {
  return {
    lazyConnect: true,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(isTls ? { tls: {} } : {}),
    connectTimeout: CONNECT_TIMEOUT_MS,
    commandTimeout: CALL_TIMEOUT_MS,
    // Together: what is sent is either answered or given up when its connection ends.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    // After a failover this may be a replica now; the next connection leads to the new primary.
    reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
  };
}

function placeOf({ hosts, sentinelName, isTls }: RedisAddress, host: HostAndPort) {
  if (sentinelName === null) return { host: host.host, port: host.port };
  return {
    sentinels: [...hosts],
    name: sentinelName,
    sentinelCommandTimeout: CALL_TIMEOUT_MS,
    sentinelRetryStrategy: retryDelay,
    enableTLSForSentinelMode: isTls,
  };
}

function retryDelay(attempt: number): number {
  return Math.min(FIRST_RETRY_MS * 2 ** Math.min(attempt, 10), MAX_RETRY_MS) * (0.5 + Math.random() / 2);
}
