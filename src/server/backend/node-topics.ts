// The topics of one node of many, whoever carries its envelopes: handlers that run for what comes, replies that go back,
// requests that wait for theirs. Opens no connection.

import { asDuplexityError } from "../../protocol/index.ts";
import { decodeEnvelope, encodeEnvelope, encodeReply, readMessage, readOutcome } from "./topic-codec.ts";
import { TopicHandlers } from "./topic-handlers.ts";
import { TopicRequests } from "./topic-requests.ts";
import {
  type Handler,
  MAX_TOPIC_REQUESTS,
  type MessageOf,
  type Outcome,
  type RequestOptions,
  type RequestResult,
  type TopicName,
} from "./topics.ts";

/** Where an envelope goes: to all that hear a topic, or to one node. */
export type Addressee = { readonly topic: TopicName } | { readonly nodeId: string };

export interface NodeTopicsOptions {
  readonly nodeId: string;
  /** @throws {DuplexityError} `DPX_STORE` if it cannot be sent. */
  readonly send: (to: Addressee, text: string) => Promise<void>;
  /** Told of messages that cannot be read, and of replies that cannot be sent. */
  readonly warn: (message: string) => void;
}

/** Handlers that run at once; further messages are answered with DPX_LIMIT. */
const MAX_RUNNING = 1_000;
/** Whoever has not replied by then is asked again: a message to it, or its reply, was lost. */
const RESEND_MS = 300;
/** Requests whose outcome is kept for those that come again, as many as may wait at a node; the oldest is forgotten. */
const MAX_REMEMBERED = MAX_TOPIC_REQUESTS;

export class NodeTopics {
  readonly #options: NodeTopicsOptions;
  readonly #handlers = new TopicHandlers();
  readonly #requests = new TopicRequests();
  /** Requests that were heard, by id, with what has become or will become of them. */
  readonly #heard = new Map<string, Promise<Outcome<TopicName> | null>>();
  /** Requests whose reply is on its way: one that is heard again has it soon, or asks once more. */
  readonly #replying = new Set<string>();
  /** What says each request again that waits for replies. */
  readonly #waiting = new Set<() => void>();
  #running = 0;
  #isClosed = false;

  constructor(options: NodeTopicsOptions) {
    this.#options = options;
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
    const { isThere = () => true } = options;
    const { id, result, reply, end, missing } = this.#requests.begin<T>(options, (body) => readOutcome(topic, body));
    try {
      await this.#send(topic, message, id);
    } catch (error) {
      end();
      throw error;
    }
    void this.#handlers.run(topic, message, nodeId).then((outcome) => {
      if (outcome !== null) reply(nodeId, outcome);
    });
    const resend = (): void => {
      const others = missing().filter((other) => other !== nodeId);
      if (!missing().some(isThere)) end();
      // What fails now is tried once more in a while.
      else if (others.length > 0) this.#send(topic, message, id).catch(() => {});
    };
    const timer = setInterval(resend, RESEND_MS);
    this.#waiting.add(resend);
    return result.finally(() => {
      clearInterval(timer);
      this.#waiting.delete(resend);
    });
  }

  handle<T extends TopicName>(topic: T, handler: Handler<T>): () => void {
    return this.#handlers.set(topic, handler);
  }

  /** Replies may have been missed: asks for them at once. */
  askAgain(): void {
    for (const resend of [...this.#waiting]) resend();
  }

  /**
   * An envelope has come: of a topic, or (null) for this node alone.
   *
   * @returns Its echo's id, if it is one: whoever carries it knows what that is for.
   */
  receive(topic: TopicName | null, text: string): string | null {
    try {
      const envelope = decodeEnvelope(text);
      if (envelope.kind === "echo") return topic === null ? envelope.id : null;
      if (topic === null) {
        if (envelope.kind === "reply") this.#requests.take(envelope);
      }
      // What this node says it has done itself already.
      else if (envelope.kind === "message" && envelope.from !== this.#options.nodeId) {
        void this.#run(topic, readMessage(topic, envelope.body), envelope.from, envelope.id);
      }
    } catch (error) {
      this.#options.warn(`A message of ${topic ?? "this node"} is dropped: ${asDuplexityError(error).message}`);
    }
    return null;
  }

  close(): void {
    this.#isClosed = true;
    this.#requests.close();
  }

  async #send(topic: TopicName, body: unknown, id: string | null): Promise<void> {
    const { nodeId, send } = this.#options;
    await send({ topic }, encodeEnvelope({ kind: "message", from: nodeId, id, body }));
  }

  async #run<T extends TopicName>(topic: T, message: MessageOf<T>, from: string, id: string | null): Promise<void> {
    const heard = id === null ? undefined : this.#heard.get(id);
    if (heard === undefined && this.#running >= MAX_RUNNING) {
      await this.#reply(from, id, { status: "failed", code: "DPX_LIMIT", message: "Too many messages are worked on" });
      return;
    }
    await this.#reply(from, id, await (heard ?? this.#act(topic, message, from, id)));
  }

  /** Once for each request, however often it is heard: whoever is kicked twice may be somebody who has come since. */
  #act<T extends TopicName>(
    topic: T,
    message: MessageOf<T>,
    from: string,
    id: string | null,
  ): Promise<Outcome<TopicName> | null> {
    this.#running += 1;
    const outcome = this.#handlers.run(topic, message, from).finally(() => {
      this.#running -= 1;
    });
    if (id === null) return outcome;
    this.#heard.set(id, outcome);
    const [oldest] = this.#heard.keys();
    if (oldest !== undefined && this.#heard.size > MAX_REMEMBERED) this.#heard.delete(oldest);
    return outcome;
  }

  /** Never rejects: who misses a reply knows of whom. */
  async #reply(to: string, id: string | null, outcome: Outcome<TopicName> | null): Promise<void> {
    if (id === null || outcome === null || this.#isClosed || this.#replying.has(id)) return;
    const { nodeId, warn } = this.#options;
    const send = async (body: Outcome<TopicName>): Promise<void> => {
      for (const text of encodeReply(nodeId, id, body)) await this.#options.send({ nodeId: to }, text);
    };
    this.#replying.add(id);
    try {
      await send(outcome);
    } catch (error) {
      const { code, message } = asDuplexityError(error);
      warn(`${to} gets no reply: ${message}`);
      if (code === "DPX_MESSAGE_TOO_LARGE") await send({ status: "failed", code, message }).catch(() => {});
    } finally {
      this.#replying.delete(id);
    }
  }
}
