// The topics of a single node: whoever is told is in this process.

import { TopicHandlers } from "./topic-handlers.ts";
import { TopicRequests } from "./topic-requests.ts";
import type { Handler, MessageOf, RequestOptions, RequestResult, TopicName, Topics } from "./topics.ts";

export class MemoryTopics implements Topics {
  readonly #nodeId: string;
  readonly #handlers = new TopicHandlers();
  readonly #requests = new TopicRequests();

  constructor(nodeId: string) {
    this.#nodeId = nodeId;
  }

  async publish<T extends TopicName>(topic: T, message: MessageOf<T>): Promise<void> {
    void this.#handlers.run(topic, message, this.#nodeId);
  }

  async request<T extends TopicName>(
    topic: T,
    message: MessageOf<T>,
    options: RequestOptions,
  ): Promise<RequestResult<T>> {
    const request = this.#requests.begin<T>(options);
    void this.#handlers.run(topic, message, this.#nodeId).then((outcome) => {
      if (outcome !== null) request.reply(this.#nodeId, outcome);
    });
    return request.result;
  }

  handle<T extends TopicName>(topic: T, handler: Handler<T>): () => void {
    return this.#handlers.set(topic, handler);
  }

  /** In one process no message is lost. */
  onGap(): () => void {
    return () => {};
  }

  async close(): Promise<void> {
    this.#requests.close();
  }
}
