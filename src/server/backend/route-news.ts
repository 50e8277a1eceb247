// What becomes of names, told to this node's watchers and to the other nodes. Knows no registry.

import type { RegistryRecord } from "./registry.ts";
import type { RoutesMessage, Topics } from "./topics.ts";

type Listener = (hostname: string, record: RegistryRecord | null) => void;

export class RouteNews {
  readonly #topics: Topics;
  readonly #listeners = new Set<Listener>();
  /** This node's own messages, which come back to it as they come to every other one. */
  readonly #sent = new WeakSet<RoutesMessage>();
  readonly #stop: () => void;

  /** @param onTold Another node has changed a record. */
  constructor(topics: Topics, onTold: (message: RoutesMessage) => void) {
    this.#topics = topics;
    this.#stop = topics.handle("routes", (message) => {
      if (!this.#sent.has(message)) onTold(message);
      return null;
    });
  }

  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** To the watchers here before it returns, and to the other nodes as soon as can be. */
  tell(hostname: string, epoch: number, record: RegistryRecord | null): void {
    this.notify(hostname, record);
    const message: RoutesMessage = { hostname, epoch, record };
    this.#sent.add(message);
    // Who misses it is wrong for a lease at most.
    this.#topics.publish("routes", message).catch(() => {});
  }

  /** To the watchers here only. */
  notify(hostname: string, record: RegistryRecord | null): void {
    for (const listener of [...this.#listeners]) listener(hostname, record);
  }

  close(): void {
    this.#stop();
    this.#listeners.clear();
  }
}
