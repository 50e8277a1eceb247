// What the proxy is told when it is made, with every default. Holds no state.

import type { BlockList, Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import type { ServeLimits, ServeOptions } from "../index.ts";
import type { Routes } from "../routes.ts";
import type { GatekeeperOptions } from "./gatekeeper.ts";

/** The part of the server's limits that concerns visitors; defaults as in `ServeLimits`. */
export type ProxyLimits = Pick<
  ServeLimits,
  | "maxVisitors"
  | "maxHeld"
  | "maxHeldBytes"
  | "holdTimeoutMs"
  | "maxHeadBytes"
  | "headTimeoutMs"
  | "bodyIdleTimeoutMs"
  | "idleTimeoutMs"
>;

export const DEFAULT_PROXY_LIMITS: ProxyLimits = {
  maxVisitors: 20_000,
  maxHeld: 1_000,
  maxHeldBytes: 16_777_216,
  holdTimeoutMs: 30_000,
  maxHeadBytes: 65_536,
  headTimeoutMs: 30_000,
  bodyIdleTimeoutMs: 60_000,
  idleTimeoutMs: 75_000,
};

export type VisitorSocket = Socket | TLSSocket;

export type ProxyLog = NonNullable<ServeOptions["log"]>;

export interface ProxyOptions {
  readonly routes: Routes;
  /** The server's own hostname; requests for it, for `localhost` or for an IP literal go to `serveOwn`. */
  readonly domain: string;
  /** Names this node in `Via`, which is how a loop is noticed. Letters, digits and `-`. */
  readonly nodeId: string;
  /**
   * Takes over a visitor's socket whose next request is for the server itself. The proxy has removed its listeners and
   * paused the socket; `head` is what was read and not used: put it back with `socket.unshift(head)`, attach, then
   * `socket.resume()`. The receiver answers one request, with `Connection: close`, and owns the socket from then on.
   */
  serveOwn(socket: VisitorSocket, head: Buffer): void;
  /** Scheme and port as visitors see them, for X-Forwarded-Proto and -Port. Left out: those of the listener. */
  readonly publicScheme?: "http" | "https";
  readonly publicPort?: number;
  readonly limits?: Partial<ProxyLimits>;
  /** Peers whose forwarding fields are believed. @default nobody */
  readonly trustProxy?: BlockList;
  /** How visitors of pipes with a gate are known. @default nobody can sign in; passwords and networks work */
  readonly gates?: GatekeeperOptions;
  readonly log?: ProxyLog;
  /** Whether the server as a whole is draining: then answers get `Connection: close`. */
  readonly isDraining?: () => boolean;
}

/** A chunk of pipelined or early bytes larger than this makes the proxy stop reading from that visitor. */
export const MAX_PENDING_BYTES = 65_536;
/** What was sent of a request is kept up to this size, to send it again when it provably reached nobody. */
export const MAX_REPLAY_BYTES = 65_536;
/** After an early answer, this much of the upload is read and dropped before the connection is cut. */
export const MAX_LINGER_BYTES = 1_048_576;
/** And for no longer than this. */
export const LINGER_TIMEOUT_MS = 2_000;
/**
 * Whether a visitor that ended its side has left or only has nothing more to say, nobody can tell until it is written
 * to. It may wait this long for its answer to begin, …
 */
export const HALF_CLOSED_WAIT_MS = 60_000;
/** … and then for something more of it: an event stream must end at its target when the browser's tab is closed. */
export const HALF_CLOSED_IDLE_MS = 2_000;
/** How long a reset may stay out after the target ended a used connection, while there is a link, before the request counts as broken. */
export const TARGET_END_GRACE_MS = 1_000;
/**
 * On a node that drains, a visitor whose client is up waits no longer for a way to it: one over another hub is found, or
 * its client has come to one, by then.
 */
export const DRAINING_HOLD_MS = 5_000;
/** However long a request has waited on its stream: a client that has just come back is waited for so long. */
export const LATE_HOLD_MS = 1_000;
/** 1xx answers before a final one. */
export const MAX_INTERIM_ANSWERS = 32;
/** Idle streams kept for one hostname, and for how long. */
export const MAX_IDLE_STREAMS = 256;
export const IDLE_STREAM_MS = 60_000;
/** Times that one request may be sent again because it provably reached nobody. */
export const MAX_REPLAYS = 8;
