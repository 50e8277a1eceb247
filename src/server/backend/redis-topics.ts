// The topics of a cluster: messages of Redis (in a Redis Cluster those of one shard), and a channel of each node for the
// replies. Hears itself now and then, so that it knows whether it hears. Nodes that do not know Redis hear through it.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { CALL_TIMEOUT_MS, type RedisConnection, RedisSubscription } from "../redis/index.ts";
import { type Addressee, NodeTopics } from "./node-topics.ts";
import { encodeEnvelope } from "./topic-codec.ts";
import type { TopicGuests } from "./topic-guests.ts";
import type { Handler, MessageOf, RequestOptions, RequestResult, TopicName, Topics } from "./topics.ts";

export interface RedisTopicsOptions {
  readonly connection: RedisConnection;
  /** This node, among those that share the Redis. */
  readonly nodeId: string;
  /** @default "duplexity" */
  readonly prefix?: string;
  /** How often this node looks whether it hears. @default 5_000 */
  readonly echoEveryMs?: number;
  /** Told of messages that cannot be read, and of deafness. @default nobody */
  readonly warn?: (message: string) => void;
}

const TOPICS: readonly TopicName[] = ["websockets", "routes"];

interface Guest {
  readonly nodeId: string;
  readonly onMessage: (topic: TopicName | null, text: string) => void;
}

export class RedisTopics implements Topics, TopicGuests {
  readonly #options: RedisTopicsOptions;
  readonly #node: NodeTopics;
  readonly #gapListeners = new Set<() => void>();
  readonly #channels: ReadonlyMap<string, TopicName>;
  readonly #subscription: RedisSubscription;
  readonly #guests = new Set<Guest>();
  /** What this node last said to itself, and when it gives up listening for it. */
  #echo: { readonly id: string; readonly timer: NodeJS.Timeout } | null = null;
  #echoes: NodeJS.Timeout | undefined;
  #isClosed = false;

  private constructor(options: RedisTopicsOptions) {
    this.#options = options;
    const { connection, nodeId, warn = () => {} } = options;
    this.#node = new NodeTopics({ nodeId, warn, send: (to, text) => this.send(to, text) });
    this.#channels = new Map(TOPICS.map((topic) => [this.#channelOf({ topic }), topic]));
    this.#subscription = new RedisSubscription({
      connection,
      channels: [this.#channelOf({ nodeId }), ...this.#channels.keys()],
      onMessage: (channel, text) => this.#receive(channel, text),
      onGap: () => {
        this.#node.askAgain();
        for (const listener of [...this.#gapListeners]) listener();
      },
    });
  }

  /** Resolves when it listens. @throws {DuplexityError} `DPX_STORE` */
  static async open(options: RedisTopicsOptions): Promise<RedisTopics> {
    const topics = new RedisTopics(options);
    await topics.#subscription.open();
    topics.#echoes = setInterval(() => void topics.#checkHearing(), options.echoEveryMs ?? 5_000).unref();
    return topics;
  }

  publish<T extends TopicName>(topic: T, message: MessageOf<T>): Promise<void> {
    return this.#node.publish(topic, message);
  }

  request<T extends TopicName>(topic: T, message: MessageOf<T>, options: RequestOptions): Promise<RequestResult<T>> {
    return this.#node.request(topic, message, options);
  }

  handle<T extends TopicName>(topic: T, handler: Handler<T>): () => void {
    return this.#node.handle(topic, handler);
  }

  onGap(listener: () => void): () => void {
    this.#gapListeners.add(listener);
    return () => this.#gapListeners.delete(listener);
  }

  async hear(nodeId: string, onMessage: Guest["onMessage"]): Promise<() => void> {
    const guest: Guest = { nodeId, onMessage };
    const channel = this.#channelOf({ nodeId });
    this.#guests.add(guest);
    const stop = (): void => {
      if (!this.#guests.delete(guest)) return;
      if (![...this.#guests].some((other) => other.nodeId === nodeId)) this.#subscription.remove(channel);
    };
    try {
      await this.#subscription.add(channel);
    } catch (error) {
      stop();
      throw error;
    }
    return stop;
  }

  async send(to: Addressee, text: string): Promise<void> {
    if (this.#isClosed) throw new DuplexityError("DPX_STORE", "Cannot tell the other nodes: this one is closing");
    const { connection } = this.#options;
    await connection.call(connection.isSharded ? "spublish" : "publish", [this.#channelOf(to), text]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#echoes);
    clearTimeout(this.#echo?.timer);
    this.#subscription.close();
    this.#node.close();
    this.#gapListeners.clear();
    this.#guests.clear();
  }

  #receive(channel: string, text: string): void {
    const { nodeId } = this.#options;
    const topic = this.#channels.get(channel) ?? null;
    for (const guest of [...this.#guests]) {
      if (topic !== null || channel === this.#channelOf(guest)) guest.onMessage(topic, text);
    }
    if (topic === null && channel !== this.#channelOf({ nodeId })) return;
    const echo = this.#node.receive(topic, text);
    if (echo === null || echo !== this.#echo?.id) return;
    clearTimeout(this.#echo.timer);
    this.#echo = null;
  }

  async #checkHearing(): Promise<void> {
    if (this.#echo !== null || this.#isClosed || !this.#subscription.isOpen) return;
    const { nodeId, warn } = this.#options;
    const id = randomBytes(6).toString("base64url");
    // Armed when it is said, since it can be heard before the call is answered; the call itself may take as long.
    const timer = setTimeout(() => {
      this.#echo = null;
      warn?.("This node does not hear the others: it listens anew");
      this.#subscription.restart();
    }, 2 * CALL_TIMEOUT_MS);
    this.#echo = { id, timer };
    try {
      await this.send({ nodeId }, encodeEnvelope({ kind: "echo", from: nodeId, id }));
    } catch {
      // Redis does not answer at all; that says nothing about hearing.
      clearTimeout(timer);
      if (this.#echo?.id === id) this.#echo = null;
    }
  }

  /** One hash tag for all: one slot, one connection, and so one echo for all of them. Databases share their channels. */
  #channelOf(to: Addressee): string {
    const { prefix = "duplexity", connection } = this.#options;
    const name = "topic" in to ? to.topic : `node:${to.nodeId}`;
    return `${prefix}:{topics}:${connection.address.database}:${name}`;
  }
}
