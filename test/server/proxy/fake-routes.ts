// Routes without a session: each stream is a socket to a real origin in this process, with credit windows of its own.
// A test cuts and restores "the link", takes names away and gives them back, and kills streams with what they delivered.

import { connect, type Socket } from "node:net";
import {
  DuplexityError,
  type ErrorCode,
  type OpenRequest,
  type RequestReport,
  type Stream,
  type StreamHandler,
} from "../../../src/protocol/index.ts";
import type { Route, Routes } from "../../../src/server/routes.ts";
import type { Stage } from "../../support/stage.ts";

/** Credit of each direction. */
export const FAKE_WINDOW_BYTES = 262_144;

export class FakeRoutes implements Routes {
  readonly reports: RequestReport[] = [];
  /** Every stream that was opened, in order. */
  readonly streams: FakeStream[] = [];
  /** What `open` throws instead of opening, if set. */
  refuseOpen: ErrorCode | null = null;
  /** Streams that may be open at once; those beyond are refused with DPX_LIMIT. */
  maxOpen = Number.POSITIVE_INFINITY;
  isLinkUp = true;
  /** Answers of `locate` come as promises. */
  isSlow = false;
  readonly #routes = new Map<string, { route: Route; port: number }>();
  readonly #waiting = new Map<string, Set<() => void>>();
  #epoch = 0;
  #nextId = 0;

  constructor(stage: Stage) {
    stage.defer(() => {
      for (const stream of this.streams) stream.destroy();
    });
  }

  /** Registers a hostname for the origin at `port`; again: replaces it. */
  register(hostname: string, port: number, change: Partial<Route> = {}): Route {
    const route: Route = {
      hostname,
      protocol: "http",
      clientId: "client-1",
      epoch: ++this.#epoch,
      state: "up",
      wantsReports: true,
      ...change,
    };
    this.#routes.set(hostname, { route, port });
    this.#tell(hostname);
    return route;
  }

  /** Changes a route; its object is replaced, as the contract says. */
  change(hostname: string, change: Partial<Route>): void {
    const entry = this.#routes.get(hostname);
    if (entry === undefined) throw new Error(`No route ${hostname}`);
    this.#routes.set(hostname, { ...entry, route: { ...entry.route, ...change } });
    this.#tell(hostname);
  }

  remove(hostname: string): void {
    this.#routes.delete(hostname);
    this.#tell(hostname);
  }

  /** No link is up: `open` throws, streams keep what is written to them. */
  cutLink(): void {
    this.isLinkUp = false;
  }

  restoreLink(): void {
    this.isLinkUp = true;
    for (const stream of this.streams) stream.flush();
    for (const hostname of this.#routes.keys()) this.#tell(hostname);
  }

  /** How many hostnames somebody waits for. */
  get watched(): number {
    return [...this.#waiting.values()].filter((waiting) => waiting.size > 0).length;
  }

  locate(hostname: string): Route | null | Promise<Route | null> {
    const route = this.#routes.get(hostname)?.route ?? null;
    return this.isSlow ? new Promise((resolve) => setImmediate(() => resolve(route))) : route;
  }

  open(route: Route, request: OpenRequest, handler: StreamHandler): Stream {
    if (!this.isLinkUp) throw new DuplexityError("DPX_CLIENT_AWAY", "Cannot open a stream: no link is up");
    if (this.refuseOpen !== null) throw new DuplexityError(this.refuseOpen, "Cannot open a stream: told so");
    const open = this.streams.filter(({ isReset }) => !isReset).length;
    if (open >= this.maxOpen) throw new DuplexityError("DPX_LIMIT", `Cannot open a stream: ${open} are open`);
    const port = this.#routes.get(route.hostname)?.port ?? 0;
    const stream = new FakeStream(this, ++this.#nextId, port, request, handler);
    this.streams.push(stream);
    return stream;
  }

  changed(hostname: string, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(hostname) ?? new Set();
      this.#waiting.set(hostname, waiting);
      waiting.add(resolve);
      signal.addEventListener("abort", () => {
        waiting.delete(resolve);
        reject(new DuplexityError("DPX_CANCELLED", "Nobody waits any more"));
      });
    });
  }

  report(_route: Route, report: RequestReport): void {
    this.reports.push(report);
  }

  #tell(hostname: string): void {
    const waiting = this.#waiting.get(hostname);
    this.#waiting.delete(hostname);
    for (const resolve of waiting ?? []) resolve();
  }
}

export class FakeStream implements Stream {
  readonly sendCredit = 16_777_216;
  readonly id: number;
  readonly request: OpenRequest;
  handler: StreamHandler;
  writtenBytes = 0;
  /** Bytes that the origin's socket was given. */
  deliveredBytes = 0;
  /** The most that was ever received and not consumed. */
  peakUnconsumed = 0;
  /** Ended by either side's reset. */
  isReset = false;
  resetCode: ErrorCode | null = null;
  /** Holds what is written back, as a client would that has not read it yet. */
  isStuck = false;
  readonly socket: Socket;
  readonly #routes: FakeRoutes;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #unconsumed = 0;
  #wantsDrain = false;
  #isConnected = false;
  #isEnding = false;
  #hasOriginEnded = false;

  constructor(routes: FakeRoutes, id: number, port: number, request: OpenRequest, handler: StreamHandler) {
    this.#routes = routes;
    this.id = id;
    this.request = request;
    this.handler = handler;
    this.socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true });
    this.socket.on("connect", () => {
      this.#isConnected = true;
      if (!this.isReset) this.handler.onAccept();
      this.flush();
    });
    this.socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.socket.on("end", () => {
      this.#hasOriginEnded = true;
      if (!this.isReset) this.handler.onEnd();
    });
    this.socket.on("error", (error: NodeJS.ErrnoException) => {
      this.kill(error.code === "ECONNREFUSED" ? "DPX_TARGET_REFUSED" : "DPX_TARGET_BROKE", this.deliveredBytes);
    });
    this.socket.on("drain", () => this.#drain());
  }

  get isLive(): boolean {
    return this.#routes.isLinkUp;
  }

  accept(): void {
    throw new Error("Only the acceptor's side accepts");
  }

  write(chunk: Buffer | string): boolean {
    if (this.isReset || this.#isEnding) return true;
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, "latin1") : Buffer.from(chunk);
    this.writtenBytes += bytes.length;
    if (this.#hasOriginEnded && this.request.protocol === "http") {
      // What a client does with bytes for a target that has closed: nothing of them was delivered.
      setImmediate(() => this.kill("DPX_TARGET_CLOSED", this.deliveredBytes));
      return true;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.flush();
    this.#wantsDrain = this.#queuedBytes + this.socket.writableLength >= FAKE_WINDOW_BYTES;
    return !this.#wantsDrain;
  }

  end(): void {
    this.#isEnding = true;
    this.flush();
  }

  reset(code: ErrorCode): void {
    if (this.isReset) return;
    this.isReset = true;
    this.resetCode = code;
    this.socket.destroy();
  }

  consume(bytes: number): void {
    this.#unconsumed -= bytes;
    if (this.#unconsumed < 0) throw new Error("More was consumed than came");
    if (this.#unconsumed < FAKE_WINDOW_BYTES / 2) this.socket.resume();
  }

  /** What is received and not consumed at this moment. */
  get unconsumed(): number {
    return this.#unconsumed;
  }

  /** Ends the stream from the other side, as if the client or the session had. */
  kill(code: ErrorCode, deliveredBytes: number | null): void {
    if (this.isReset) return;
    this.isReset = true;
    this.socket.destroy();
    this.handler.onReset(new DuplexityError(code, `Stream ${this.id} was killed`), deliveredBytes);
  }

  destroy(): void {
    this.isReset = true;
    this.socket.destroy();
  }

  /** Sends on what waits, if it may. */
  flush(): void {
    if (!this.#isConnected || !this.isLive || this.isStuck || this.isReset) return;
    for (const bytes of this.#queue) {
      this.deliveredBytes += bytes.length;
      this.socket.write(bytes);
    }
    this.#queue = [];
    this.#queuedBytes = 0;
    if (this.#isEnding) this.socket.end();
    if (this.socket.writableLength < FAKE_WINDOW_BYTES) this.#drain();
  }

  #drain(): void {
    if (!this.#wantsDrain || this.isReset || this.#queuedBytes > 0) return;
    this.#wantsDrain = false;
    setImmediate(() => {
      if (!this.isReset) this.handler.onDrain();
    });
  }

  #receive(chunk: Buffer): void {
    if (this.isReset) return;
    this.#unconsumed += chunk.length;
    this.peakUnconsumed = Math.max(this.peakUnconsumed, this.#unconsumed);
    if (this.#unconsumed >= FAKE_WINDOW_BYTES) this.socket.pause();
    this.handler.onData(chunk);
  }
}
