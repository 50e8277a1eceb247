// Public TCP ports: one listener for each registered TCP route, each accepted socket joined to a stream. It never
// chooses a port: whoever registers the route does.

import { createServer, type Server, type Socket } from "node:net";
import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import type { Route, Routes } from "../routes.ts";
import { HoldQueue } from "./hold.ts";
import { DEFAULT_PROXY_LIMITS, type ProxyLimits, type ProxyLog } from "./options.ts";
import { TcpVisitor } from "./tcp-visitor.ts";

export interface TcpPortsOptions {
  /** First and last port that may be opened. */
  readonly from: number;
  readonly to: number;
  readonly host: string;
  readonly routes: Routes;
  readonly limits?: Partial<Pick<ProxyLimits, "maxVisitors" | "maxHeld" | "maxHeldBytes" | "holdTimeoutMs">>;
  readonly log?: ProxyLog;
}

export interface TcpPortsStatistics {
  readonly openPorts: number;
  readonly openVisitors: number;
  readonly heldVisitors: number;
  /** On all connections, those that are over as well. */
  readonly receivedBytes: number;
  readonly sentBytes: number;
}

export interface TcpPorts {
  readonly statistics: TcpPortsStatistics;
  /**
   * Listens on `route.tcpPort`. When it is open already, its next visitors go to this route's hostname.
   *
   * @throws {DuplexityError} `DPX_TCP_PORTS` when the route names no port of the range, or something else holds it.
   */
  open(route: Route): Promise<void>;
  /** Stops listening. Connections that run go on; they end with their session. */
  close(port: number): Promise<void>;
  /**
   * Listens no more and waits for the connections that run, at most `deadlineMs`; then cuts the rest. Visitors who wait for a
   * client that is away are cut at once.
   */
  drain(deadlineMs: number): Promise<void>;
  /** Cuts everything now. */
  closeAll(): Promise<void>;
}

export function createTcpPorts(options: TcpPortsOptions): TcpPorts {
  return new TcpListeners(options);
}

interface OpenPort {
  hostname: string;
  readonly server: Server;
  /** Resolves when it listens. */
  readonly listening: Promise<void>;
}

const SWEEP_MS = 1_000;

class TcpListeners implements TcpPorts {
  readonly #options: TcpPortsOptions;
  readonly #limits: ProxyLimits;
  readonly #holds: HoldQueue;
  readonly #ports = new Map<number, OpenPort>();
  readonly #visitors = new Set<TcpVisitor>();
  readonly #timer: NodeJS.Timeout;
  /** Of connections that are over. */
  #receivedBytes = 0;
  #sentBytes = 0;
  #isDraining = false;
  #onEmpty: (() => void) | null = null;

  constructor(options: TcpPortsOptions) {
    this.#options = options;
    this.#limits = { ...DEFAULT_PROXY_LIMITS, ...options.limits };
    this.#holds = new HoldQueue(options.routes, this.#limits);
    const sweepMs = Math.max(10, Math.min(SWEEP_MS, this.#limits.holdTimeoutMs / 4));
    this.#timer = setInterval(() => this.#holds.sweep(performance.now()), sweepMs).unref();
  }

  get statistics(): TcpPortsStatistics {
    let receivedBytes = this.#receivedBytes;
    let sentBytes = this.#sentBytes;
    for (const visitor of this.#visitors) {
      receivedBytes += visitor.receivedBytes;
      sentBytes += visitor.sentBytes;
    }
    const { size: openVisitors } = this.#visitors;
    return { openPorts: this.#ports.size, openVisitors, heldVisitors: this.#holds.count, receivedBytes, sentBytes };
  }

  async open(route: Route): Promise<void> {
    const port = route.tcpPort;
    const { from, to } = this.#options;
    if (port === undefined || port < from || port > to) {
      throw new DuplexityError(
        "DPX_TCP_PORTS",
        `Cannot open port ${port ?? "(none)"} for "${route.hostname}": the server's TCP ports are ${from}-${to}`,
      );
    }
    const open = this.#ports.get(port);
    if (open !== undefined) {
      open.hostname = route.hostname;
      return open.listening;
    }
    const server = createServer({ allowHalfOpen: true, noDelay: true, pauseOnConnect: true });
    const listening = this.#listen(server, port, route.hostname);
    const opened: OpenPort = { hostname: route.hostname, server, listening };
    this.#ports.set(port, opened);
    server.on("connection", (socket) => this.#accept(socket, opened.hostname));
    return listening;
  }

  async close(port: number): Promise<void> {
    const open = this.#ports.get(port);
    if (open === undefined) return;
    this.#ports.delete(port);
    // At once if it can be, so that the next registration finds the port free. The connections are the visitors' business.
    if (!open.server.listening) await open.listening.catch(() => {});
    open.server.close();
  }

  async drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    const closed = [...this.#ports.keys()].map((port) => this.close(port));
    this.#holds.wakeAll();
    await Promise.all(closed);
    if (this.#visitors.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, deadlineMs);
        this.#onEmpty = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
    await this.closeAll();
  }

  async closeAll(): Promise<void> {
    clearInterval(this.#timer);
    await Promise.all([...this.#ports.keys()].map((port) => this.close(port)));
    this.#holds.close("DPX_DRAINING");
    for (const visitor of this.#visitors) visitor.destroy();
  }

  #listen(server: Server, port: number, hostname: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const onError = (error: Error): void => {
        this.#ports.delete(port);
        const message = `Cannot open port ${port} for "${hostname}": ${asDuplexityError(error).message}`;
        reject(new DuplexityError("DPX_TCP_PORTS", message, { cause: error }));
      };
      server.once("error", onError);
      server.listen({ port, host: this.#options.host, exclusive: true }, () => {
        server.off("error", onError);
        server.on("error", (error) => this.#options.log?.("warn", `Port ${port}: ${error.message}`));
        resolve();
      });
    });
  }

  #accept(socket: Socket, hostname: string): void {
    if (this.#visitors.size >= this.#limits.maxVisitors) {
      socket.resetAndDestroy();
      return;
    }
    const visitor = new TcpVisitor({
      socket,
      hostname,
      routes: this.#options.routes,
      holds: this.#holds,
      holdTimeoutMs: this.#limits.holdTimeoutMs,
      isDraining: () => this.#isDraining,
      onClosed: (closed) => {
        this.#visitors.delete(closed);
        this.#receivedBytes += closed.receivedBytes;
        this.#sentBytes += closed.sentBytes;
        if (this.#visitors.size === 0) this.#onEmpty?.();
      },
    });
    this.#visitors.add(visitor);
    visitor.start();
  }
}
