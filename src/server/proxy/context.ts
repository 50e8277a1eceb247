// What all visitors' connections of one proxy share. It decides nothing.

import type { BlockList } from "node:net";
import type { HttpLimits, RequestHeadCache, ResponseHeadCache } from "../../http/index.ts";
import type { Routes } from "../routes.ts";
import type { AnswerCounts } from "./answer-counts.ts";
import type { Gatekeeper } from "./gatekeeper.ts";
import type { HoldQueue } from "./hold.ts";
import type { ProxyLimits, ProxyLog, VisitorSocket } from "./options.ts";
import type { StreamPool } from "./stream-pool.ts";

/** Running totals, and what is open at this moment. */
export interface ProxyCounters {
  /** Visitors' connections that are open, upgraded ones included; not those given to `serveOwn`. */
  openVisitors: number;
  /** Requests whose answer is not complete yet. Held ones are among them. */
  openExchanges: number;
  /** Upgraded connections. */
  openTunnels: number;
  /** Requests seen since the start, refused ones included. */
  requests: number;
  /** Those that the proxy answered itself because they could not be served. */
  failures: number;
  /** Requests sent again because they provably reached nobody, or were safe to repeat. */
  replays: number;
  /** How requests ended. */
  readonly answers: AnswerCounts;
  /** Bytes on visitors' connections that are over, heads included; from them and to them. */
  receivedBytes: number;
  sentBytes: number;
}

export interface ProxyContext {
  readonly routes: Routes;
  readonly pool: StreamPool;
  readonly holds: HoldQueue;
  /** Asked for routes with a gate, and for no others. */
  readonly gates: Gatekeeper;
  readonly limits: ProxyLimits;
  readonly headLimits: HttpLimits;
  readonly counters: ProxyCounters;
  readonly requestHeads: RequestHeadCache;
  readonly responseHeads: ResponseHeadCache;
  readonly domain: string;
  /** Peers whose forwarding fields are believed. */
  readonly trustProxy: BlockList | null;
  /** This node's name in Via. */
  readonly pseudonym: string;
  readonly nodeId: string;
  readonly log: ProxyLog;
  /** Monotonic time in ms as of the last sweep: good enough for deadlines, and free. */
  now: number;
  isDraining(): boolean;
  serveOwn(socket: VisitorSocket, head: Buffer): void;
}
