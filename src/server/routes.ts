// What the proxy may ask the rest of the server: where a hostname leads, and a
// stream to there. The proxy knows no more than this and cannot see a WebSocket.

import type { OpenRequest, PipeGate, RequestReport, Stream, StreamHandler } from "../protocol/index.ts";

/** A registered hostname. Replaced whole on every change, so identity (`===`) says whether it is still the same. */
export interface Route {
  /** Canonical: lower case, no port, no trailing dot. */
  readonly hostname: string;
  readonly protocol: "http" | "tcp";
  readonly clientId: string;
  readonly epoch: number;
  /**
   * `up`: its client holds a lease. `away`: the client went without a word and its name's grace runs; visitors wait,
   * then get 503.
   */
  readonly state: "up" | "away";
  /** The public port, for a TCP pipe. */
  readonly tcpPort?: number;
  /** Whether the client asked for a report of each request. */
  readonly wantsReports: boolean;
  /** Who may come in. Left out: everybody. */
  readonly gate?: PipeGate;
}

export interface Routes {
  /** The route of a canonical hostname, or null if there is none. Synchronous when it is known: that is the hot path. */
  locate(hostname: string): Route | null | Promise<Route | null>;
  /**
   * Opens a stream to the route's client. Synchronous: frames are queued, the answer comes by `handler`.
   *
   * @throws {DuplexityError} `DPX_CLIENT_AWAY` when no link is up at this moment: wait for `changed`, locate again.
   * @throws {DuplexityError} `DPX_STREAMS_LIMIT` or `DPX_OPEN_RATE` when the session has no room.
   */
  open(route: Route, request: OpenRequest, handler: StreamHandler): Stream;
  /** Resolves at the next change that could make `open` work for this hostname; rejects when `signal` aborts. */
  changed(hostname: string, signal: AbortSignal): Promise<void>;
  /** Tells the route's client of a request that passed. Drops it when the client is away or slow. */
  report(route: Route, report: RequestReport): void;
}
