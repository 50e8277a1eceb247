// Hears channels of Redis, over one connection after another: when one ends the next is made, and it is told that
// messages may have been missed meanwhile. Reads no message.

import type { Redis } from "ioredis";
import { DuplexityError } from "../../protocol/index.ts";
import { connected, type RedisConnection } from "./redis-connection.ts";
import { CALL_TIMEOUT_MS } from "./redis-options.ts";

export interface RedisSubscriptionOptions {
  readonly connection: RedisConnection;
  /** All of one slot. */
  readonly channels: readonly [string, ...string[]];
  readonly onMessage: (channel: string, text: string) => void;
  /** Heard again, after a time without. */
  readonly onGap: () => void;
  /** How often it is looked whether the connection is dead, by those who do not hear themselves. @default never */
  readonly pingEveryMs?: number;
}

const CONNECT_MS = 3_000;
const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 1_000;

export class RedisSubscription {
  readonly #options: RedisSubscriptionOptions;
  /** Those that came later. */
  readonly #added = new Set<string>();
  /** Those that wait for a connection. */
  readonly #waiting = new Set<(client: Redis) => void>();
  #client: Redis | null = null;
  #attempts = 0;
  #retry: NodeJS.Timeout | undefined;
  #pings: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: RedisSubscriptionOptions) {
    this.#options = options;
  }

  /** @throws {DuplexityError} `DPX_STORE` if the first connection fails; later ones are tried until one does not. */
  async open(): Promise<void> {
    await this.#connect();
    const { pingEveryMs } = this.#options;
    if (pingEveryMs !== undefined) this.#pings = setInterval(() => void this.#ping(), pingEveryMs).unref();
  }

  /** Whether it hears, as far as is known. */
  get isOpen(): boolean {
    return this.#client !== null;
  }

  /**
   * Hears one more channel, of the same slot, from when it resolves; each further connection does so too, until `remove`.
   * While there is no connection it waits for the next one, as calls do.
   *
   * @throws {DuplexityError} `DPX_STORE` if it is not heard within `CALL_TIMEOUT_MS`.
   */
  async add(channel: string): Promise<void> {
    const { connection } = this.#options;
    const deadline = performance.now() + CALL_TIMEOUT_MS;
    this.#added.add(channel);
    for (;;) {
      const client = this.#client ?? (await this.#next(deadline));
      try {
        await client.call(connection.isSharded ? "ssubscribe" : "subscribe", channel);
        return;
      } catch (error) {
        if (client.status === "ready" || performance.now() >= deadline) throw connection.unavailable(error);
        // It has ended meanwhile, whether that was told yet or not: the next one is there in a moment.
        if (this.#client === client) this.#lost(client);
      }
    }
  }

  /** Hears it no more; without an answer, since nothing more depends on it. */
  remove(channel: string): void {
    if (!this.#added.delete(channel)) return;
    const { isSharded } = this.#options.connection;
    this.#client?.call(isSharded ? "sunsubscribe" : "unsubscribe", channel).catch(() => {});
  }

  /** This connection is not to be relied on: the next one. */
  restart(): void {
    if (this.#client !== null) this.#lost(this.#client);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#pings);
    this.#client?.disconnect();
    this.#client = null;
  }

  async #connect(): Promise<void> {
    const { connection, channels, onMessage } = this.#options;
    const [first] = channels;
    const { isSharded } = connection;
    const client = connection.subscriber(first);
    client.on(isSharded ? "smessage" : "message", (channel: string, text: string) => {
      if (!this.#isClosed) onMessage(channel, text);
    });
    try {
      await connected(client, connection.address, performance.now() + CONNECT_MS);
      await client.call(isSharded ? "ssubscribe" : "subscribe", [...channels, ...this.#added]);
      if (client.status !== "ready") throw new DuplexityError("DPX_STORE", "The connection has ended at once");
    } catch (error) {
      client.disconnect();
      throw error instanceof DuplexityError ? error : connection.unavailable(error);
    }
    if (this.#isClosed) {
      client.disconnect();
      return;
    }
    this.#client = client;
    this.#attempts = 0;
    for (const wake of [...this.#waiting]) wake(client);
    client.once("end", () => {
      if (this.#client === client) this.#lost(client);
    });
  }

  async #ping(): Promise<void> {
    const client = this.#client;
    try {
      await client?.call("ping");
    } catch {
      if (client !== null && this.#client === client) this.#lost(client);
    }
  }

  /** The next connection. */
  async #next(deadline: number): Promise<Redis> {
    let timer: NodeJS.Timeout | undefined;
    let wake: (client: Redis) => void = () => {};
    try {
      return await new Promise<Redis>((resolve, reject) => {
        wake = resolve;
        this.#waiting.add(wake);
        const late = (): void => reject(this.#options.connection.unavailable(new Error("it is not connected")));
        timer = setTimeout(late, Math.max(0, deadline - performance.now()));
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(wake);
    }
  }

  #lost(client: Redis): void {
    this.#client = null;
    // A peer that is gone without a word does not answer a polite end: the next connection does not wait for that.
    client.disconnect();
    this.#again();
  }

  #again(): void {
    if (this.#isClosed) return;
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#attempts, 10), MAX_RETRY_MS);
    this.#attempts += 1;
    this.#retry = setTimeout(
      () => {
        this.#connect().then(
          () => {
            if (this.isOpen) this.#options.onGap();
          },
          () => this.#again(),
        );
      },
      delayMs * (0.5 + Math.random() / 2),
    );
    this.#retry.unref();
  }
}
