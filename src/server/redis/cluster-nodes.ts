// The connections to a Redis Cluster's nodes: a call waits until the one to its node is made. The client itself refuses what
// comes while it is being made, or keeps it and sends it when it was given up long ago. Sends nothing.

import { type Cluster, Command, type Redis } from "ioredis";

type Argument = string | number;

export class ClusterNodes {
  readonly #cluster: Cluster;
  /** One promise for all calls that wait for a node. */
  readonly #opening = new WeakMap<Redis, Promise<void>>();

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  /** Resolves when the connection that this call needs is made, or has failed; null: it is there. */
  opening(command: string, args: readonly Argument[]): Promise<void> | null {
    const node = this.#nodeOf(new Command(command, [...args]).getSlot());
    if (node === undefined || node.status === "ready") return null;
    const known = this.#opening.get(node);
    if (known !== undefined) return known;
    const opening = new Promise<void>((resolve) => {
      node.once("ready", resolve);
      node.once("end", resolve);
    });
    this.#opening.set(node, opening);
    void opening.then(() => this.#opening.delete(node));
    // How it ends is told by the events.
    if (node.status === "wait") node.connect().catch(() => {});
    return opening;
  }

  /** Undefined: the client finds out whom to ask. */
  #nodeOf(slot: number | null): Redis | undefined {
    const key = slot === null ? undefined : this.#cluster.slots[slot]?.[0];
    if (key === undefined) return undefined;
    return this.#cluster.nodes("master").find(({ options }) => `${options.host}:${options.port}` === key);
  }
}
