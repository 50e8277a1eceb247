// Requests of this node that wait for other nodes' replies. Bounded in number and in time.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { ReplyParts } from "./reply-parts.ts";
import type { Envelope } from "./topic-codec.ts";
import {
  MAX_TOPIC_REQUESTS,
  type NodeOutcome,
  type Outcome,
  type RequestOptions,
  type RequestResult,
  type TopicName,
} from "./topics.ts";

/** More nodes than a cluster has; further replies are dropped. */
const MAX_REPLIES = 1_024;

/** As it came over the network. */
type Reply = Extract<Envelope, { readonly kind: "reply" }>;

export interface PendingRequest<T extends TopicName> {
  readonly id: string;
  readonly result: Promise<RequestResult<T>>;
  reply(nodeId: string, outcome: Outcome<T>): void;
  /** Those that did not reply yet. */
  missing(): readonly string[];
  /** Waits no longer. */
  end(): void;
}

export class TopicRequests {
  /** By its id: takes a reply as it came over the network. */
  readonly #waiting = new Map<string, { take(reply: Reply): void; end(): void }>();
  readonly #parts = new ReplyParts();

  /**
   * @param read What a reply that comes over the network is; what it throws is thrown by `take`.
   * @throws {DuplexityError} `DPX_LIMIT` if `MAX_TOPIC_REQUESTS` wait already.
   */
  begin<T extends TopicName>(
    { nodes, timeoutMs }: RequestOptions,
    read: ((body: unknown) => Outcome<T>) | null = null,
  ): PendingRequest<T> {
    if (this.#waiting.size >= MAX_TOPIC_REQUESTS) {
      throw new DuplexityError("DPX_LIMIT", `Cannot ask the other nodes: ${MAX_TOPIC_REQUESTS} requests wait already`);
    }
    const id = randomBytes(9).toString("base64url");
    const replies = new Map<string, NodeOutcome<T>>();
    const missing = new Set(nodes);
    let resolve: () => void = () => {};
    const isOver = new Promise<void>((done) => {
      resolve = done;
    });
    const timer = setTimeout(() => end(), timeoutMs);
    const end = (): void => {
      clearTimeout(timer);
      this.#waiting.delete(id);
      this.#parts.forget(id);
      resolve();
    };
    const reply = (nodeId: string, outcome: Outcome<T>): void => {
      // Whoever is asked again and has forgotten that it did it finds nothing more to do: the first reply says what it did.
      if (replies.size < MAX_REPLIES && !replies.has(nodeId)) replies.set(nodeId, { nodeId, outcome });
      missing.delete(nodeId);
      if (missing.size === 0) end();
    };
    const take = ({ from, body, part }: Reply): void => {
      if (read === null || replies.has(from)) return;
      // Parts are kept: only of those that were asked.
      if (part !== undefined && !missing.has(from)) return;
      const whole = part === undefined ? { body } : this.#parts.add({ id, from }, part, body);
      if (whole !== null) reply(from, read(whole.body));
    };
    this.#waiting.set(id, { take, end });
    if (missing.size === 0) end();
    const result = isOver.then(() => ({ replies: [...replies.values()], missing: [...missing] }));
    return { id, result, reply, end, missing: () => [...missing] };
  }

  /** A reply that nobody waits for any more is dropped. */
  take(reply: Reply): void {
    this.#waiting.get(reply.id)?.take(reply);
  }

  /** Nobody waits any longer. */
  close(): void {
    for (const { end } of [...this.#waiting.values()]) end();
  }
}
