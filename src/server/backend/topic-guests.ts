// Nodes that do not know what carries the topics, and hear and speak through a node that does. No code.

import type { Addressee } from "./node-topics.ts";
import type { TopicName } from "./topics.ts";

export interface TopicGuests {
  /**
   * Calls `onMessage` with each envelope of a topic, and (null) each for `nodeId` alone, from when it resolves; the
   * function ends it.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  hear(nodeId: string, onMessage: (topic: TopicName | null, text: string) => void): Promise<() => void>;
  /** @throws {DuplexityError} `DPX_STORE` if it cannot be sent. */
  send(to: Addressee, text: string): Promise<void>;
  /** Calls `listener` when envelopes may have been missed. */
  onGap(listener: () => void): () => void;
}
