// The connection to the shared Redis: a single one, one behind Sentinels, or a Redis Cluster. No call on it hangs, and
// none is made twice: what was sent and not answered is given up. Knows neither registry nor topics.

import { createHash } from "node:crypto";
import { Cluster, Redis } from "ioredis";
import { DuplexityError } from "../../protocol/index.ts";
import { ClusterNodes } from "./cluster-nodes.ts";
import { factsOf } from "./redis-facts.ts";
import { CALL_TIMEOUT_MS, clusterOptionsFor, optionsFor, optionsForSubscriber } from "./redis-options.ts";
import { slotOf } from "./redis-slot.ts";
import type { RedisAddress } from "./redis-url.ts";

/** From opening to the first answer. A Redis that still reads its data from the disk is not ready. */
const OPEN_TIMEOUT_MS = 5_000;
/** Calls without an answer yet; more are refused. */
export const MAX_CALLS = 20_000;

/** What Redis says to those whose user or password is wrong. */
const REFUSALS = /^(WRONGPASS|NOAUTH|NOPERM)\b/;
const NO_CLUSTER = "several hosts are for a Redis Cluster, and this Redis is none";
const NO_ANSWER = `no answer within ${CALL_TIMEOUT_MS} ms, so whether it is done is unknown`;
const NO_CONNECTION = "there is no connection";

type Client = Redis | Cluster;
type Argument = string | number;

/** A Lua script, sent by its hash once Redis knows it. */
export interface Script {
  readonly text: string;
  readonly sha: string;
}

export function scriptOf(text: string): Script {
  return { text, sha: createHash("sha1").update(text).digest("hex") };
}

export class RedisConnection {
  readonly address: RedisAddress;
  /** Whether messages go to one shard only (SPUBLISH, Redis 7) instead of to all nodes of the Redis Cluster. */
  readonly isSharded: boolean;
  readonly #client: Client;
  /** Null: there is one connection for all. */
  readonly #nodes: ClusterNodes | null;
  readonly #listeners = new Set<() => void>();
  readonly #lossListeners = new Set<(failure: DuplexityError) => void>();
  /** Calls that wait for a connection. */
  readonly #waiting = new Set<() => void>();
  #calls = 0;
  #isLost = false;

  private constructor(client: Client, address: RedisAddress, isSharded: boolean) {
    this.#client = client;
    this.#nodes = client instanceof Cluster ? new ClusterNodes(client) : null;
    this.address = address;
    this.isSharded = isSharded;
    client.on("error", (error: Error) => this.#lost(error));
    // Redis may be back before the next connection could fail: calls were refused all the same.
    client.on("close", () => this.#lost("the connection ended"));
    client.on("ready", () => {
      this.#isLost = false;
      for (const wake of [...this.#waiting]) wake();
      for (const listener of [...this.#listeners]) listener();
    });
  }

  /**
   * @throws {DuplexityError} `DPX_STORE` if none of the hosts answers within 5 s, `DPX_USAGE` if there are several and
   * they are no Redis Cluster, if Redis refuses user and password, if it is a Sentinel or a replica, has no such database, is
   * too old or drops keys.
   */
  static async open(address: RedisAddress): Promise<RedisConnection> {
    const deadline = performance.now() + OPEN_TIMEOUT_MS;
    let failure = unavailable(address, "no host was given");
    const seeds = address.sentinelName === null ? address.hosts : address.hosts.slice(0, 1);
    for (const seed of seeds) {
      const client = new Redis(optionsFor(address, seed));
      try {
        await connected(client, address, deadline);
        const info = await within(client.call("INFO"), deadline, () => unavailable(address, "no answer"));
        const facts = factsOf(typeof info === "string" ? info : "", address.shown);
        await checkDatabase(client, address, deadline);
        if (!facts.isCluster) {
          // Where Sentinels watch, it may be about to become the primary.
          if (facts.isReplica && address.sentinelName === null) throw replica(address);
          if (seeds.length > 1) throw new DuplexityError("DPX_USAGE", `Cannot use "${address.shown}": ${NO_CLUSTER}`);
          return new RedisConnection(client, address, false);
        }
        client.disconnect();
        const cluster = new Cluster([...address.hosts], clusterOptionsFor(address));
        await connected(cluster, address, deadline);
        return new RedisConnection(cluster, address, facts.hasShardedTopics);
      } catch (error) {
        client.disconnect();
        failure = error instanceof DuplexityError ? error : unusable(address, error);
        if (failure.code === "DPX_USAGE") throw failure;
      }
    }
    throw failure;
  }

  get isCluster(): boolean {
    return this.#client instanceof Cluster;
  }

  /**
   * Sends a command and answers its reply.
   *
   * @throws {DuplexityError} `DPX_STORE` if Redis refuses it, cannot be reached or does not answer within
   * `CALL_TIMEOUT_MS`, or if `MAX_CALLS` are waiting.
   */
  async call(command: string, args: readonly Argument[] = []): Promise<unknown> {
    try {
      return await this.#send(command, args);
    } catch (error) {
      throw error instanceof DuplexityError ? error : unavailable(this.address, error);
    }
  }

  /** Runs a script on keys of one slot. @throws {DuplexityError} As `call` does. */
  async run(script: Script, keys: readonly string[], args: readonly Argument[]): Promise<unknown> {
    const rest = [keys.length, ...keys, ...args];
    try {
      return await this.#send("evalsha", [script.sha, ...rest]);
    } catch (error) {
      // A Redis that was started anew, or another node, does not know it yet.
      if (error instanceof Error && error.message.startsWith("NOSCRIPT")) {
        return this.call("eval", [script.text, ...rest]);
      }
      throw error instanceof DuplexityError ? error : unavailable(this.address, error);
    }
  }

  /** Calls `listener` each time that the connection is back. */
  onReady(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` each time that the connection is lost, once until it is back. */
  onLost(listener: (failure: DuplexityError) => void): () => void {
    this.#lossListeners.add(listener);
    return () => this.#lossListeners.delete(listener);
  }

  /** The node that has the slot of `key`; one and the same outside a Redis Cluster. */
  shardOf(key: string): string {
    if (!(this.#client instanceof Cluster)) return "";
    return this.#client.slots[slotOf(key)]?.[0] ?? "";
  }

  /** A second connection, for messages only: to the node that has the slot of `channel`. Does not connect again by itself. */
  subscriber(channel: string): Redis {
    const shard = this.shardOf(channel);
    const colon = shard.lastIndexOf(":");
    const host = colon === -1 ? this.address.hosts[0] : hostOf(shard, colon);
    return new Redis(optionsForSubscriber(this.address, host ?? { host: "127.0.0.1", port: 6379 }));
  }

  /** What a failure of ioredis is to the rest of the server. */
  unavailable(reason: unknown): DuplexityError {
    return unavailable(this.address, reason);
  }

  close(): void {
    this.#listeners.clear();
    this.#lossListeners.clear();
    this.#client.disconnect();
  }

  async #send(command: string, args: readonly Argument[]): Promise<unknown> {
    if (this.#calls >= MAX_CALLS) throw unavailable(this.address, `${MAX_CALLS} calls wait for it already`);
    this.#calls += 1;
    const deadline = performance.now() + CALL_TIMEOUT_MS;
    try {
      await this.#ready(deadline);
      const opening = this.#nodes?.opening(command, args) ?? null;
      if (opening !== null) await within(opening, deadline, () => unavailable(this.address, NO_CONNECTION));
      return await within(this.#client.call(command, [...args]), deadline, () => unavailable(this.address, NO_ANSWER));
    } finally {
      this.#calls -= 1;
    }
  }

  #lost(reason: unknown): void {
    if (this.#isLost) return;
    this.#isLost = true;
    for (const listener of [...this.#lossListeners]) listener(unavailable(this.address, reason));
  }

  async #ready(deadline: number): Promise<void> {
    if (this.#client.status === "ready") return;
    let wake: () => void = () => {};
    const ready = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#waiting.add(wake);
    try {
      await within(ready, deadline, () => unavailable(this.address, NO_CONNECTION));
    } finally {
      this.#waiting.delete(wake);
    }
  }
}

/**
 * Resolves when `client` is ready for commands; else it is disconnected.
 *
 * @throws {DuplexityError} `DPX_STORE`, or `DPX_USAGE` if Redis refuses user and password.
 */
export async function connected(client: Client, address: RedisAddress, deadline: number): Promise<void> {
  let reason: unknown = "no answer";
  // Without a listener Node throws it.
  client.on("error", (error: Error) => {
    reason = error;
  });
  try {
    await within(client.connect(), deadline, () => unavailable(address, reason));
  } catch (error) {
    client.disconnect();
    throw error instanceof DuplexityError ? error : unusable(address, reason);
  }
}

/**
 * The client goes on in database 0 where it could not select another one: among the keys of somebody else.
 *
 * @throws {DuplexityError} `DPX_USAGE` if Redis has no such database, `DPX_STORE` if it does not answer.
 */
async function checkDatabase(client: Redis, address: RedisAddress, deadline: number): Promise<void> {
  const { database, shown } = address;
  if (database === 0) return;
  const selected = client.select(database).catch((error: unknown) => {
    if (!(error instanceof Error) || error.name !== "ReplyError") throw error;
    throw new DuplexityError("DPX_USAGE", `Cannot use database ${database} of Redis at "${shown}": ${error.message}`, {
      hint: "Name one that there is: 0 to 15 unless Redis was set up otherwise, 0 in a Redis Cluster.",
    });
  });
  await within(selected, deadline, () => unavailable(address, "no answer"));
}

function replica({ shown }: RedisAddress): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot use Redis at "${shown}": it is a replica, which takes no writes`, {
    hint: "Name its primary, or the Sentinels that know which one that is: redis+sentinel://HOST[:PORT],…/NAME",
  });
}

async function within<T>(work: Promise<T>, deadline: number, late: () => DuplexityError): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const end = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), Math.max(0, deadline - performance.now()));
  });
  try {
    return await Promise.race([work, end]);
  } finally {
    clearTimeout(timer);
  }
}

function wordsOf(reason: unknown): string {
  if (!(reason instanceof Error)) return String(reason);
  if (reason.message === "Command timed out") return NO_ANSWER;
  // The client's words for a call that was under way when its connection ended.
  return reason.name === "MaxRetriesPerRequestError"
    ? "the connection ended, so whether it is done is unknown"
    : reason.message;
}

function hostOf(shard: string, colon: number): { host: string; port: number } {
  return { host: shard.slice(0, colon), port: Number(shard.slice(colon + 1)) };
}

/** Why a connection could not be opened: trying again mends no wrong password. */
function unusable(address: RedisAddress, reason: unknown): DuplexityError {
  const { message, hint } = unavailable(address, reason);
  const isRefused = reason instanceof Error && REFUSALS.test(reason.message);
  return new DuplexityError(isRefused ? "DPX_USAGE" : "DPX_STORE", message, { hint });
}

/** Not the client's error itself as the cause: it holds the command with its arguments, the password among them. */
function unavailable({ shown, password }: RedisAddress, reason: unknown): DuplexityError {
  const text = wordsOf(reason);
  const safe = password === undefined || password === "" ? text : text.replaceAll(password, "…");
  return new DuplexityError("DPX_STORE", `Cannot use Redis at "${shown}": ${safe}`, {
    hint: "Look whether Redis runs there and takes this user and password; the server goes on when it answers.",
  });
}
