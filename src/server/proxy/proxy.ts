// The proxy as a whole: takes visitors' connections, holds what they share, sweeps deadlines, drains. It owns no
// listener and sees no WebSocket.

import { randomBytes } from "node:crypto";
import { HTTP_LIMITS, RequestHeadCache, ResponseHeadCache } from "../../http/index.ts";
import type { ErrorCode } from "../../protocol/index.ts";
import { createAttempts } from "../attempts.ts";
import type { Route } from "../routes.ts";
import { AnswerCounts } from "./answer-counts.ts";
import type { ProxyContext, ProxyCounters } from "./context.ts";
import { errorAnswer } from "./error-answer.ts";
import { ExchangePool } from "./exchange-pool.ts";
import { Forwardings } from "./forwardings.ts";
import { Gatekeeper } from "./gatekeeper.ts";
import { HoldQueue } from "./hold.ts";
import { DEFAULT_PROXY_LIMITS, type ProxyLimits, type ProxyOptions, type VisitorSocket } from "./options.ts";
import { isSameRegistration, StreamPool } from "./stream-pool.ts";
import { plainAddress, withPort } from "./visitor-address.ts";
import { VisitorConnection } from "./visitor-connection.ts";
import { attachVisitor } from "./visitor-socket.ts";

/** What is open and what has passed, at this moment. */
/** `receivedBytes` and `sentBytes` count the connections that are open, too. */
export interface ProxyStatistics extends Readonly<ProxyCounters> {
  readonly heldRequests: number;
  readonly heldBytes: number;
  readonly idleStreams: number;
}

export interface VisitorProxy {
  readonly statistics: ProxyStatistics;
  /** Serves one visitor's connection until it ends. The listener should be made with `noDelay: true`. */
  handleConnection(socket: VisitorSocket): void;
  /** A route changed or went: idle streams of a registration that is over are ended, so that its client can tell what runs. */
  routeChanged(previous: Route, next: Route | null): void;
  /** Answers get `Connection: close`, idle connections end; resolves when all have, or after `deadlineMs` with the rest cut. */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts everything now. Safe to call twice. */
  close(): void;
}

/** Deadlines are looked at this often at most; shorter limits are looked at four times within themselves. */
const SWEEP_MS = 1_000;

/**
 * Connections beyond `maxVisitors` whose head is read all the same: they get a proper 429, and a flood of visitors does
 * not shut the server's own clients out.
 */
const UNREAD_VISITORS = 256;

export function createProxy(options: ProxyOptions): VisitorProxy {
  return new HttpProxy(options);
}

class HttpProxy implements VisitorProxy {
  readonly #context: ProxyContext;
  readonly #exchanges: ExchangePool;
  readonly #forwardings: Forwardings;
  readonly #connections = new Set<VisitorConnection>();
  readonly #timer: NodeJS.Timeout;
  readonly #sweepMs: number;
  readonly #onClosed = (connection: VisitorConnection): void => this.#forget(connection);
  #isDraining = false;
  #isClosed = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: ProxyOptions) {
    const limits: ProxyLimits = { ...DEFAULT_PROXY_LIMITS, ...options.limits };
    const headLimits = { ...HTTP_LIMITS, maxHeadBytes: limits.maxHeadBytes };
    this.#context = {
      routes: options.routes,
      pool: new StreamPool(options.routes),
      holds: new HoldQueue(options.routes, limits),
      gates: new Gatekeeper(options.gates ?? { signIn: null, secret: randomBytes(32), attempts: createAttempts() }),
      limits,
      headLimits,
      counters: {
        ...{ openVisitors: 0, openExchanges: 0, openTunnels: 0, requests: 0, failures: 0, replays: 0 },
        ...{ answers: new AnswerCounts(), receivedBytes: 0, sentBytes: 0 },
      },
      requestHeads: new RequestHeadCache({ limits: headLimits }),
      responseHeads: new ResponseHeadCache(),
      domain: options.domain.toLowerCase(),
      trustProxy: options.trustProxy ?? null,
      pseudonym: `duplexity-${options.nodeId}`,
      nodeId: options.nodeId,
      log: options.log ?? (() => {}),
      now: performance.now(),
      isDraining: () => this.#isDraining || options.isDraining?.() === true,
      serveOwn: (socket, head) => options.serveOwn(socket, head),
    };
    this.#exchanges = new ExchangePool(this.#context);
    this.#forwardings = new Forwardings(options, this.#context.pseudonym);
    const bodyIdleMs = limits.bodyIdleTimeoutMs || Number.POSITIVE_INFINITY;
    const shortest = Math.min(limits.headTimeoutMs, limits.idleTimeoutMs, limits.holdTimeoutMs, bodyIdleMs);
    this.#sweepMs = Math.max(10, Math.min(SWEEP_MS, shortest / 4));
    this.#timer = setInterval(() => this.#sweep(), this.#sweepMs).unref();
  }

  get statistics(): ProxyStatistics {
    const { counters, holds, pool } = this.#context;
    let { receivedBytes, sentBytes } = counters;
    for (const connection of this.#connections) {
      receivedBytes += connection.receivedBytes;
      sentBytes += connection.sentBytes;
    }
    const { count: heldRequests, bytes: heldBytes } = holds;
    return { ...counters, receivedBytes, sentBytes, heldRequests, heldBytes, idleStreams: pool.count };
  }

  handleConnection(socket: VisitorSocket): void {
    const { counters, limits } = this.#context;
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    if (counters.openVisitors >= limits.maxVisitors + UNREAD_VISITORS) {
      refuseConnection(socket, "DPX_LIMIT");
      return;
    }
    const ip = plainAddress(socket.remoteAddress ?? "");
    // The visitor was gone before we looked.
    if (ip === "") {
      socket.destroy();
      return;
    }
    // A visitor that has ended its side still gets its answer.
    socket.allowHalfOpen = true;
    socket.setNoDelay(true);
    counters.openVisitors++;
    const port = socket.remotePort ?? 0;
    const connection = new VisitorConnection(this.#context, socket, {
      address: withPort(ip, port),
      forwarding: this.#forwardings.of(socket, ip),
      exchanges: this.#exchanges,
      onClosed: this.#onClosed,
    });
    this.#connections.add(connection);
    attachVisitor(socket, connection);
  }

  routeChanged(previous: Route, next: Route | null): void {
    if (next === null || !isSameRegistration(previous, next)) this.#context.pool.drop(previous);
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    this.#context.now = performance.now();
    for (const connection of this.#connections) connection.drain();
    this.#context.holds.wakeAll();
    this.#context.pool.close();
    if (this.#connections.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        this.#onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#isDraining = true;
    clearInterval(this.#timer);
    this.#context.holds.close("DPX_DRAINING");
    for (const connection of this.#connections) connection.destroy();
    this.#context.pool.close();
  }

  #forget(connection: VisitorConnection): void {
    if (!this.#connections.delete(connection)) return;
    const { counters } = this.#context;
    counters.openVisitors--;
    counters.receivedBytes += connection.receivedBytes;
    counters.sentBytes += connection.sentBytes;
    if (this.#connections.size === 0) this.#onEmpty?.();
  }

  #sweep(): void {
    const now = performance.now();
    this.#context.now = now;
    this.#context.holds.sweep(now);
    this.#context.pool.sweep(now);
    for (const connection of this.#connections) connection.sweep(now);
  }
}

/** Tells a visitor that there is no room, without reading what it wants. */
function refuseConnection(socket: VisitorSocket, code: ErrorCode): void {
  socket.on("error", () => {});
  socket.once("finish", () => socket.destroy());
  socket.resume();
  socket.end(errorAnswer({ code, method: "", accept: "", hostname: "", close: true }), "latin1");
}
