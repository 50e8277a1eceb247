// The nodes of a single node: itself.

import type { NodeRecord, Presence } from "./presence.ts";

export class MemoryPresence implements Presence {
  #node: NodeRecord | null = null;

  async join(node: NodeRecord): Promise<void> {
    this.#node = node;
  }

  async tell(node: NodeRecord): Promise<void> {
    if (this.#node !== null) this.#node = node;
  }

  async look(): Promise<void> {}

  async leave(): Promise<void> {
    this.#node = null;
  }

  nodes(): readonly NodeRecord[] {
    return this.#node === null ? [] : [this.#node];
  }

  urlOf(nodeId: string): string | null {
    return this.#node?.nodeId === nodeId ? this.#node.internalUrl : null;
  }

  vanished(): readonly string[] {
    return [];
  }

  /** Nobody else comes or goes. */
  onChange(): () => void {
    return () => {};
  }

  async close(): Promise<void> {
    await this.leave();
  }
}
