// What both ends of a call agree on: paths, header fields, and what an event is. No code.

import type { fields } from "../../protocol/index.ts";

/** All calls are below it, on the internal listener of a backend node. */
export const CALLS_PATH = "/node";
export const SESSION_PATH = "/node/session";
export const EVENTS_PATH = "/node/events";

export const HEADERS = {
  session: "duplexity-session",
  number: "duplexity-call",
  proof: "duplexity-proof",
} as const;

export type CallName = "beat" | "count" | "list" | "locate" | "register" | "remove" | "renew" | "store" | "tell";

/** Does a call; what it returns is the answer. */
export type CallHandler = (body: fields.Fields, nodeId: string) => Promise<unknown>;

export type CallHandlers = ReadonlyMap<string, CallHandler>;

/** What a backend node tells the nodes that listen to it, unasked. */
export type BackendEvent =
  /** A message of a topic, or (null) of the node's own channel: an envelope as topic-codec.ts has it. */
  | { readonly type: "message"; readonly topic: string | null; readonly text: string }
  /** What has become of a name: its record as the registry has it; null: nobody has it. */
  | { readonly type: "route"; readonly hostname: string; readonly record: unknown }
  /** An entry of the store has changed. */
  | { readonly type: "changed"; readonly key: string }
  /** The backend node may itself have missed something. */
  | { readonly type: "gap" };

export interface EventSource {
  /**
   * Calls `send` with each event for that node from now on; resolves when it is sure to. The function ends it.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  listen(nodeId: string, send: (event: BackendEvent) => void): Promise<() => void>;
}
