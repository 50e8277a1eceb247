// This node's handlers of topics. Turns what they return or throw into an outcome.

import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import type { Handler, MessageOf, Outcome, TopicName } from "./topics.ts";

type Handlers = { [T in TopicName]: Handler<T> | null };

export class TopicHandlers {
  readonly #handlers: Handlers = { websockets: null, routes: null };

  /** @throws {DuplexityError} `DPX_INTERNAL` if the topic has one. */
  set<T extends TopicName>(topic: T, handler: Handler<T>): () => void {
    const handlers: { [key in T]: Handler<T> | null } = this.#handlers;
    if (handlers[topic] !== null) throw new DuplexityError("DPX_INTERNAL", `The topic ${topic} has a handler already`);
    handlers[topic] = handler;
    return () => {
      if (handlers[topic] === handler) handlers[topic] = null;
    };
  }

  /** Never rejects. Null: nobody here listens. */
  async run<T extends TopicName>(topic: T, message: MessageOf<T>, from: string): Promise<Outcome<T> | null> {
    const handlers: { [key in T]: Handler<T> | null } = this.#handlers;
    const handler = handlers[topic];
    if (handler === null) return null;
    try {
      return { status: "done", reply: await handler(message, from) };
    } catch (error) {
      const { code, message: text } = asDuplexityError(error);
      return { status: "failed", code, message: text };
    }
  }
}
