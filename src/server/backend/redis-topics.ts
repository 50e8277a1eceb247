// The topics of a cluster: messages of Redis (in a Redis Cluster those of one shard), and a channel of each node for the
// replies. Hears itself now and then, so that it knows whether it hears.

import { randomBytes } from "node:crypto";
import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import { CALL_TIMEOUT_MS, type RedisConnection, RedisSubscription } from "../redis/index.ts";
import { decodeEnvelope, type Envelope, encodeEnvelope, readMessage, readOutcome } from "./topic-codec.ts";
import { TopicHandlers } from "./topic-handlers.ts";
import { TopicRequests } from "./topic-requests.ts";
import type { Handler, MessageOf, Outcome, RequestOptions, RequestResult, TopicName, Topics } from "./topics.ts";

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
/** Handlers that run at once; further messages are answered with DPX_LIMIT. */
const MAX_RUNNING = 1_000;

export class RedisTopics implements Topics {
  readonly #options: RedisTopicsOptions;
  readonly #handlers = new TopicHandlers();
  readonly #requests = new TopicRequests();
  readonly #gapListeners = new Set<() => void>();
  readonly #channels: ReadonlyMap<string, TopicName>;
  readonly #subscription: RedisSubscription;
  /** What this node last said to itself, and when it gives up listening for it. */
  #echo: { readonly id: string; readonly timer: NodeJS.Timeout } | null = null;
  #echoes: NodeJS.Timeout | undefined;
  #running = 0;
  #isClosed = false;

  private constructor(options: RedisTopicsOptions) {
    this.#options = options;
    const { connection, nodeId } = options;
    this.#channels = new Map(TOPICS.map((topic) => [this.#channelOf(topic), topic]));
    this.#subscription = new RedisSubscription({
      connection,
      channels: [this.#nodeChannel(nodeId), ...this.#channels.keys()],
      onMessage: (channel, text) => this.#receive(channel, text),
      onGap: () => {
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

  async publish<T extends TopicName>(topic: T, message: MessageOf<T>): Promise<void> {
    await this.#send(topic, message, null);
    void this.#handlers.run(topic, message, this.#options.nodeId);
  }

  async request<T extends TopicName>(
    topic: T,
    message: MessageOf<T>,
    options: RequestOptions,
  ): Promise<RequestResult<T>> {
    const { nodeId } = this.#options;
    const { id, result, reply, end } = this.#requests.begin<T>(options, (body) => readOutcome(topic, body));
    try {
      await this.#send(topic, message, id);
    } catch (error) {
      end();
      throw error;
    }
    void this.#handlers.run(topic, message, nodeId).then((outcome) => {
      if (outcome !== null) reply(nodeId, outcome);
    });
    return result;
  }

  handle<T extends TopicName>(topic: T, handler: Handler<T>): () => void {
    return this.#handlers.set(topic, handler);
  }

  onGap(listener: () => void): () => void {
    this.#gapListeners.add(listener);
    return () => this.#gapListeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#echoes);
    clearTimeout(this.#echo?.timer);
    this.#subscription.close();
    this.#requests.close();
    this.#gapListeners.clear();
  }

  async #send(topic: TopicName, body: unknown, id: string | null): Promise<void> {
    if (this.#isClosed) throw new DuplexityError("DPX_STORE", "Cannot tell the other nodes: this one is closing");
    await this.#publish(this.#channelOf(topic), { kind: "message", from: this.#options.nodeId, id, body });
  }

  async #publish(channel: string, envelope: Envelope): Promise<void> {
    const { connection } = this.#options;
    await connection.call(connection.isSharded ? "spublish" : "publish", [channel, encodeEnvelope(envelope)]);
  }

  #receive(channel: string, text: string): void {
    try {
      const envelope = decodeEnvelope(text);
      const topic = this.#channels.get(channel);
      if (topic === undefined) this.#receiveOwn(envelope);
      // What this node says it has done itself already.
      else if (envelope.kind === "message" && envelope.from !== this.#options.nodeId) {
        void this.#run(topic, readMessage(topic, envelope.body), envelope.from, envelope.id);
      }
    } catch (error) {
      this.#options.warn?.(`A message of ${channel} is dropped: ${asDuplexityError(error).message}`);
    }
  }

  #receiveOwn(envelope: Envelope): void {
    if (envelope.kind === "reply") this.#requests.take(envelope.id, envelope.from, envelope.body);
    if (envelope.kind !== "echo" || envelope.id !== this.#echo?.id) return;
    clearTimeout(this.#echo.timer);
    this.#echo = null;
  }

  async #run<T extends TopicName>(topic: T, message: MessageOf<T>, from: string, id: string | null): Promise<void> {
    if (this.#running >= MAX_RUNNING) {
      await this.#reply(from, id, { status: "failed", code: "DPX_LIMIT", message: "Too many messages are worked on" });
      return;
    }
    this.#running += 1;
    const outcome = await this.#handlers.run(topic, message, from);
    this.#running -= 1;
    await this.#reply(from, id, outcome);
  }

  /** Never rejects: who misses a reply knows of whom. */
  async #reply(to: string, id: string | null, outcome: Outcome<TopicName> | null): Promise<void> {
    if (id === null || outcome === null || this.#isClosed) return;
    const { nodeId, warn } = this.#options;
    const send = (body: Outcome<TopicName>): Promise<void> =>
      this.#publish(this.#nodeChannel(to), { kind: "reply", from: nodeId, id, body });
    try {
      await send(outcome);
    } catch (error) {
      const { code, message } = asDuplexityError(error);
      warn?.(`${to} gets no reply: ${message}`);
      if (code === "DPX_MESSAGE_TOO_LARGE") await send({ status: "failed", code, message }).catch(() => {});
    }
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
      await this.#publish(this.#nodeChannel(nodeId), { kind: "echo", from: nodeId, id });
    } catch {
      // Redis does not answer at all; that says nothing about hearing.
      clearTimeout(timer);
      if (this.#echo?.id === id) this.#echo = null;
    }
  }

  /** One hash tag for all: one slot, one connection, and so one echo for all of them. Databases share their channels. */
  #channelOf(topic: TopicName): string {
    return `${this.#channelPrefix()}:${topic}`;
  }

  #nodeChannel(nodeId: string): string {
    return `${this.#channelPrefix()}:node:${nodeId}`;
  }

  #channelPrefix(): string {
    const { prefix = "duplexity", connection } = this.#options;
    return `${prefix}:{topics}:${connection.address.database}`;
  }
}
