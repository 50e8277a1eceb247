// Which nodes there are, and where each can be reached by the others.

import type { Load } from "../load-level.ts";

/** A node as it tells the others of itself. */
export interface NodeRecord {
  readonly nodeId: string;
  /** `http://10.0.0.7:7070`: its internal listener. */
  readonly internalUrl: string;
  /** `wss://node1.example.com/dialer`: its hub, where clients can reach this very node; null where they cannot. */
  readonly dialerUri: string | null;
  readonly roles: readonly NodeRole[];
  /** It takes no new work. */
  readonly isDraining: boolean;
  /** Who may open pipes there. A node of an older version does not say it. */
  readonly identity?: NodeIdentity;
  /**
   * How much it has to do. Not sealed, since nodes of an older version could not check it: whoever can write this can take
   * the whole record away as well. @default normal
   */
  readonly load?: Load;
}

export type NodeRole = "auth" | "backend" | "hub" | "proxy";

/** Nodes of one cluster have the same: a pipe of one is served by all. */
export type NodeIdentity = "accounts" | "no-auth";

export const NODE_IDENTITIES: readonly NodeIdentity[] = ["accounts", "no-auth"];

export const NODE_ROLES: readonly NodeRole[] = ["auth", "backend", "hub", "proxy"];

export interface Presence {
  /** This node is there from now on. @throws {DuplexityError} `DPX_STORE` if the others cannot be told. */
  join(node: NodeRecord): Promise<void>;
  /** Tells the others what is new of this node, with the next beat at the latest. Never rejects. Before `join`: nothing. */
  tell(node: NodeRecord): Promise<void>;
  /** Looks which nodes there are, now and not with the next beat. Never rejects. */
  look(): Promise<void>;
  /** This node goes. Never rejects: without the word it is gone when its lease ends. */
  leave(): Promise<void>;
  /** Those that are there, this one too, as of the last beat, in the order in which this node heard of them. No I/O. */
  nodes(): readonly NodeRecord[];
  /** The internal URL of a node that is there: nothing else says where a node is. No I/O. */
  urlOf(nodeId: string): string | null;
  /** Those that have gone without a word, within the time of a lease: what they held is theirs still. No I/O. */
  vanished(): readonly string[];
  /** Calls `listener` with who came and who went. */
  onChange(listener: (change: PresenceChange) => void): () => void;
  close(): Promise<void>;
}

export interface PresenceChange {
  readonly came: readonly NodeRecord[];
  readonly went: readonly NodeRecord[];
}
