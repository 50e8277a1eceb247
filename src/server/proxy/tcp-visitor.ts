// One visitor of a public TCP port: waits, unread, until its route has a stream, then is joined to it.

import type { Socket } from "node:net";
import { asDuplexityError, type ErrorCode, type PipeGate, type RequestReport } from "../../protocol/index.ts";
import type { Route, Routes } from "../routes.ts";
import { isFrom, planOf } from "./gate-plan.ts";
import type { Held, HoldQueue } from "./hold.ts";
import { DRAINING_HOLD_MS } from "./options.ts";
import { breakSocket, Splice } from "./splice.ts";
import { plainAddress, withPort } from "./visitor-address.ts";

export interface TcpVisitorOptions {
  /** Paused, with half-open allowed. */
  readonly socket: Socket;
  readonly hostname: string;
  readonly routes: Routes;
  readonly holds: HoldQueue;
  readonly holdTimeoutMs: number;
  readonly isDraining: () => boolean;
  readonly onClosed: (visitor: TcpVisitor) => void;
}

/** What a paused socket may have in memory, for the bound on held bytes. */
const HELD_SOCKET_BYTES = 4_096;

export class TcpVisitor implements Held {
  readonly heldBytes = HELD_SOCKET_BYTES;
  heldUntil: number;
  readonly #options: TcpVisitorOptions;
  readonly #startedAt = performance.now();
  readonly #address: string;
  #phase: "waiting" | "spliced" | "closed" = "waiting";
  readonly #onEarlyClose = (): void => this.#close();
  readonly #onEarlyError = (): void => {};

  constructor(options: TcpVisitorOptions) {
    this.#options = options;
    this.heldUntil = this.#startedAt + options.holdTimeoutMs;
    const { remoteAddress = "", remotePort = 0 } = options.socket;
    this.#address = withPort(plainAddress(remoteAddress), remotePort);
  }

  /** Bytes that came and that went on this connection so far. */
  get receivedBytes(): number {
    return this.#options.socket.bytesRead;
  }

  get sentBytes(): number {
    return this.#options.socket.bytesWritten;
  }

  get hostname(): string {
    return this.#options.hostname;
  }

  start(): void {
    this.#options.socket.on("error", this.#onEarlyError);
    this.#options.socket.on("close", this.#onEarlyClose);
    this.#locate();
  }

  /** Cuts the connection so that the visitor sees it. */
  destroy(): void {
    breakSocket(this.#options.socket);
  }

  onRouteChanged(): void {
    this.#locate();
  }

  onHoldEnded(_code: ErrorCode): void {
    // TCP has no way to say why.
    this.destroy();
  }

  #locate(): void {
    const { routes, hostname } = this.#options;
    const located = routes.locate(hostname);
    if (located === null || !(located instanceof Promise)) {
      this.#onLocated(located);
      return;
    }
    located.then(
      (route) => {
        if (this.#phase === "waiting") this.#onLocated(route);
      },
      () => this.destroy(),
    );
  }

  #onLocated(route: Route | null): void {
    if (route === null || route.protocol !== "tcp") {
      this.destroy();
      return;
    }
    if (route.gate !== undefined && !this.#mayCome(route.gate)) {
      this.#report(route, null, "DPX_VISITOR_FORBIDDEN");
      this.destroy();
      return;
    }
    if (route.state === "away") {
      // A client that may be long in coming is not waited for by a node that goes.
      if (this.#options.isDraining()) this.destroy();
      else this.#hold();
      return;
    }
    const { socket, routes, hostname } = this.#options;
    const ignore = (): void => {};
    try {
      const stream = routes.open(
        route,
        { hostname, protocol: "tcp", visitor: this.#address, isTls: false },
        { onAccept: ignore, onData: ignore, onEnd: ignore, onDrain: ignore, onReset: ignore },
      );
      const splice: Splice = new Splice(socket, stream, (error) => this.#end(route, splice, error?.code ?? null));
      this.#phase = "spliced";
      socket.off("error", this.#onEarlyError);
      socket.off("close", this.#onEarlyClose);
      splice.start([]);
    } catch (error) {
      if (asDuplexityError(error).code === "DPX_CLIENT_AWAY") this.#hold();
      else this.destroy();
    }
  }

  #hold(): void {
    const now = performance.now();
    if (this.#options.isDraining()) this.heldUntil = Math.min(this.heldUntil, now + DRAINING_HOLD_MS);
    if (now >= this.heldUntil || !this.#options.holds.add(this)) this.destroy();
  }

  /** Raw bytes say nothing of who sends them: a gate that asks for more than an address lets nobody in. */
  #mayCome(gate: PipeGate): boolean {
    const { networks, users, needsLogin } = planOf(gate);
    return users === null && !needsLogin && isFrom(plainAddress(this.#options.socket.remoteAddress ?? ""), networks);
  }

  #end(route: Route, splice: Splice, code: ErrorCode | null): void {
    this.#report(route, splice, code);
    this.#close();
  }

  #report(route: Route, splice: Splice | null, code: ErrorCode | null): void {
    if (!route.wantsReports) return;
    const report: RequestReport = {
      hostname: route.hostname,
      method: "TCP",
      path: "",
      status: 0,
      durationMs: performance.now() - this.#startedAt,
      responseBytes: splice?.bytesDown ?? 0,
      requestBytes: splice?.bytesUp ?? 0,
      visitor: this.#address,
      ...(code === null ? {} : { errorCode: code }),
    };
    this.#options.routes.report(route, report);
  }

  #close(): void {
    if (this.#phase === "closed") return;
    if (this.#phase === "waiting") this.#options.holds.remove(this);
    this.#phase = "closed";
    this.#options.onClosed(this);
  }
}
