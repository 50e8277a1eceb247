// The topics as a node without the backend's role has them: its envelopes are carried by a backend node.

import type { BackendLink } from "../calls/index.ts";
import { NodeTopics } from "./node-topics.ts";
import { isTopicName } from "./topic-codec.ts";
import type { Handler, MessageOf, RequestOptions, RequestResult, TopicName, Topics } from "./topics.ts";

export interface RemoteTopicsOptions {
  readonly link: Pick<BackendLink, "call" | "onEvent" | "onGap">;
  readonly nodeId: string;
  /** Told of messages that cannot be read. @default nobody */
  readonly warn?: (message: string) => void;
}

export class RemoteTopics implements Topics {
  readonly #link: RemoteTopicsOptions["link"];
  readonly #node: NodeTopics;
  readonly #stops: readonly (() => void)[];

  constructor({ link, nodeId, warn = () => {} }: RemoteTopicsOptions) {
    this.#link = link;
    // Twice is as good as once: whoever acts on it has done it already, whoever is told knows it already.
    const send: ConstructorParameters<typeof NodeTopics>[0]["send"] = async (to, text) => {
      await link.call("tell", { to, text });
    };
    const node = new NodeTopics({ nodeId, warn, send });
    this.#node = node;
    this.#stops = [
      link.onEvent((event) => {
        if (event.type !== "message") return;
        const { topic, text } = event;
        if (topic === null || isTopicName(topic)) node.receive(topic, text);
      }),
      link.onGap(() => node.askAgain()),
    ];
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
    return this.#link.onGap(listener);
  }

  async close(): Promise<void> {
    for (const stop of this.#stops) stop();
    this.#node.close();
  }
}
