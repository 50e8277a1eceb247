// A connection to Redis, or to a Redis Cluster, on which no call hangs and none is made twice: what was sent and not
// answered is given up, never sent again. Knows no store.

import { isIP } from "node:net";
import { Cluster, Redis } from "ioredis";
import { DuplexityError } from "../../protocol/index.ts";
import type { RedisAddress } from "./redis-url.ts";

/** From a call to its answer, with the wait for a connection in it. */
export const CALL_TIMEOUT_MS = 1_000;
/** From opening to the first answer. A Redis that still reads its data from the disk is not ready. */
const OPEN_TIMEOUT_MS = 5_000;
const MAX_RETRY_DELAY_MS = 1_000;
/** Calls without an answer yet. */
export const MAX_CALLS = 10_000;
/** A connection on which an answer is due for so long is dead: then a new one is made. */
const SOCKET_TIMEOUT_MS = 5_000;
const PING_MS = 10_000;

type Warn = (message: string) => void;
type Client = Redis | Cluster;

export class RedisConnection {
  readonly #client: Client;
  readonly #address: RedisAddress;
  /** Calls that wait for a connection: a set, since those that give up have to leave it. */
  readonly #waiting = new Set<() => void>();
  #calls = 0;
  #isClosed = false;
  #pings: NodeJS.Timeout | undefined;

  private constructor(client: Client, address: RedisAddress) {
    this.#client = client;
    this.#address = address;
    client.on("ready", () => {
      for (const wake of [...this.#waiting]) wake();
    });
  }

  /** @throws {DuplexityError} `DPX_STORE` if there is no answer. */
  static async open(address: RedisAddress, warn: Warn): Promise<RedisConnection> {
    const single = await RedisConnection.openNode(address, warn);
    try {
      const info = await single.call("INFO", ["cluster"]);
      if (typeof info !== "string" || !info.includes("cluster_enabled:1")) return single;
    } catch (error) {
      single.close();
      throw error;
    }
    single.close();
    const { database: _none, ...rest } = address;
    return RedisConnection.#connect(
      new Cluster([{ host: address.host, port: address.port }], {
        lazyConnect: true,
        enableOfflineQueue: false,
        // A call whose connection was lost may have been made.
        retryDelayOnFailover: 0,
        slotsRefreshTimeout: CALL_TIMEOUT_MS,
        clusterRetryStrategy: retryDelay,
        redisOptions: optionsFor({ ...rest, database: 0 }),
      }),
      address,
      warn,
    );
  }

  /** One that speaks with this node only, whether it is part of a cluster or not: for what is told to every node. */
  static openNode(address: RedisAddress, warn: Warn): Promise<RedisConnection> {
    return RedisConnection.#connect(new Redis({ ...optionsFor(address), lazyConnect: true }), address, warn);
  }

  /**
   * Sends a command and answers its reply.
   *
   * @throws {DuplexityError} `DPX_STORE` if Redis refuses it, or does not answer within `CALL_TIMEOUT_MS`.
   */
  async call(command: string, args: readonly (string | number)[]): Promise<unknown> {
    if (this.#calls >= MAX_CALLS) throw unavailable(this.#address, `${MAX_CALLS} calls wait for it already`);
    this.#calls++;
    const deadline = performance.now() + CALL_TIMEOUT_MS;
    try {
      await this.#ready(deadline);
      const unanswered = `no answer within ${CALL_TIMEOUT_MS} ms, so whether it is done is unknown`;
      return await within(this.#client.call(command, [...args]), deadline, () =>
        unavailable(this.#address, unanswered),
      );
    } catch (error) {
      throw error instanceof DuplexityError ? error : unavailable(this.#address, error);
    } finally {
      this.#calls--;
    }
  }

  /** Calls `listener` with each message of `channel`, over all connections that come. Only after `openNode`. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<void> {
    this.#client.on("message", (from: string, message: string) => {
      if (from === channel) listener(message);
    });
    await this.call("SUBSCRIBE", [channel]);
    // It only listens: without a question now and then it would not see that its connection is dead.
    this.#pings = setInterval(() => void this.call("PING", []).catch(() => {}), PING_MS).unref();
    // If this fails, the connection does: then the next one becomes ready and is asked again.
    const again = (): void => {
      if (!this.#isClosed) this.#client.disconnect(true);
    };
    this.#client.on("ready", () => void this.call("SUBSCRIBE", [channel]).catch(again));
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#pings);
    // This end of it is no news.
    this.#client.removeAllListeners("close");
    this.#client.disconnect();
  }

  static async #connect(client: Client, address: RedisAddress, warn: Warn): Promise<RedisConnection> {
    let reason: unknown = "no answer";
    let isUp = false;
    let isLost = false;
    const lost = (why: unknown): void => {
      if (isUp && !isLost) warn(unavailable(address, why).message);
      isLost = true;
    };
    client.on("error", (error: Error) => {
      reason = error;
      lost(error);
    });
    // Redis may be back before the next connection could fail: calls were refused all the same.
    client.on("close", () => lost("the connection ended"));
    client.on("ready", () => {
      if (isUp && isLost) warn(`the store at "${address.shown}" answers again`);
      isUp = true;
      isLost = false;
    });
    try {
      const deadline = performance.now() + OPEN_TIMEOUT_MS;
      await within(client.connect(), deadline, () => unavailable(address, reason));
      return new RedisConnection(client, address);
    } catch (error) {
      client.disconnect();
      throw error instanceof DuplexityError ? error : unavailable(address, reason);
    }
  }

  async #ready(deadline: number): Promise<void> {
    if (this.#client.status === "ready") return;
    let wake = (): void => {};
    const ready = new Promise<void>((resolve) => {
      wake = resolve;
    });
    this.#waiting.add(wake);
    try {
      await within(ready, deadline, () => unavailable(this.#address, "there is no connection"));
    } finally {
      this.#waiting.delete(wake);
    }
  }
}

function optionsFor(address: RedisAddress) {
  const { host, port, username, password, database, isTls } = address;
  return {
    host,
    port,
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(isTls ? { tls: isIP(host) === 0 ? { servername: host } : {} } : {}),
    db: database,
    connectTimeout: OPEN_TIMEOUT_MS,
    socketTimeout: SOCKET_TIMEOUT_MS,
    retryStrategy: retryDelay,
    // Together: what is sent is either answered or given up when its connection ends.
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    autoResubscribe: false,
    // After a failover this may be a replica now; the next connection leads to the new primary.
    reconnectOnError: (error: Error) => error.message.startsWith("READONLY"),
  };
}

function retryDelay(attempt: number): number {
  return Math.min(25 * 2 ** Math.min(attempt, 10), MAX_RETRY_DELAY_MS) * (0.5 + Math.random() / 2);
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

/** Not the client's error itself as the cause: it holds the command with its arguments, the password among them. */
function unavailable({ shown, password }: RedisAddress, reason: unknown): DuplexityError {
  const text = reason instanceof Error ? reason.message : String(reason);
  const safe = password === undefined ? text : text.replaceAll(password, "…");
  return new DuplexityError("DPX_STORE", `Cannot use the store at "${shown}": ${safe}`, {
    hint: "Look whether Redis runs there and takes this user and password; the server goes on when it answers.",
  });
}
