// One visitor's connection: reads requests off the socket one after another, gives each to the exchange, and writes
// what comes back. It knows sockets and deadlines; routes, streams and retries are the exchange's.

import { type Forwarding, HeadCollector, type RequestHead } from "../../http/index.ts";
import type { ErrorCode } from "../../protocol/index.ts";
import type { ProxyContext } from "./context.ts";
import { visitorStatus } from "./error-answer.ts";
import type { Exchange } from "./exchange.ts";
import type { ExchangePool } from "./exchange-pool.ts";
import type { ExchangeVisitor, Switched } from "./exchange-visitor.ts";
import {
  HALF_CLOSED_IDLE_MS,
  HALF_CLOSED_WAIT_MS,
  LINGER_TIMEOUT_MS,
  MAX_LINGER_BYTES,
  type VisitorSocket,
} from "./options.ts";
import type { OriginStream } from "./origin-stream.ts";
import { isOwnHost } from "./own-host.ts";
import { requestIdOf } from "./request-id.ts";
import { breakSocket, Splice } from "./splice.ts";
import { VisitorInput } from "./visitor-input.ts";
import { detachVisitor, type SocketListener } from "./visitor-socket.ts";

/** `head`: between requests or reading one's head. `linger`: we have ended our side and drop what still comes. */
type Phase = "head" | "exchange" | "tunnel" | "linger" | "closed";

/** A connection that was opened just before a drain has this long to send its request. */
const DRAIN_FRESH_MS = 1_000;

/** Sweeps that found a request running, after which TCP probes the visitor; not before, since it costs a system call. */
const PROBED_AFTER_SWEEPS = 3;
const TCP_PROBE_MS = 60_000;

export interface VisitorOptions {
  readonly address: string;
  readonly forwarding: Forwarding;
  readonly exchanges: ExchangePool;
  readonly onClosed: (connection: VisitorConnection) => void;
}

export class VisitorConnection extends VisitorInput implements ExchangeVisitor, SocketListener {
  readonly address: string;
  readonly isTls: boolean;
  readonly forwarding: Forwarding;
  readonly #context: ProxyContext;
  readonly #onClosed: (connection: VisitorConnection) => void;
  readonly #exchanges: ExchangePool;
  /** Serves the present request; null between requests. */
  #exchange: Exchange | null = null;
  /** Whose tunnel it is, where they had to sign in for it. */
  #person: string | null = null;
  readonly #collector: HeadCollector;
  #phase: Phase = "head";
  #deadline: number;
  #isFresh = true;
  /** Whether the exchange can take more of its body. */
  #canTake = true;
  #hasEnded = false;
  #lingered = 0;
  #sweeps = 0;

  constructor(context: ProxyContext, socket: VisitorSocket, options: VisitorOptions) {
    super(socket);
    this.#context = context;
    this.#onClosed = options.onClosed;
    this.address = options.address;
    this.isTls = "encrypted" in socket;
    this.forwarding = options.forwarding;
    this.#exchanges = options.exchanges;
    this.#collector = new HeadCollector("request", context.headLimits);
    this.#deadline = context.now + context.limits.headTimeoutMs;
  }

  // What the socket says

  onData(chunk: Buffer): void {
    switch (this.#phase) {
      case "head":
      case "exchange":
        this.accept(chunk);
        break;
      case "linger":
        this.#lingered += chunk.length;
        // Its deadline cuts it; until then the visitor may still find the answer.
        if (this.#lingered > MAX_LINGER_BYTES) this.socket.pause();
        break;
      case "tunnel":
      case "closed":
        break;
    }
  }

  onEnd(): void {
    this.#hasEnded = true;
    if (this.#exchange !== null) this.#deadline = this.#halfClosedDeadline();
    this.readOn();
  }

  onDrain(): void {
    this.isBlocked = false;
    if (this.#exchange !== null) this.#exchange.onVisitorDrain();
    else this.readOn();
  }

  onClose(): void {
    if (this.#phase === "closed" || this.#phase === "tunnel") return;
    this.#phase = "closed";
    this.takeWaiting();
    this.#abandon();
    this.#onClosed(this);
  }

  // What the proxy says

  /** Ends what has waited too long at `now`. */
  sweep(now: number): void {
    if (this.#exchange !== null) this.#sweepExchange(this.#exchange, now);
    if (this.#phase === "tunnel" && this.#person !== null && !this.#context.gates.isWelcome(this.#person)) {
      this.destroy();
    }
    if (this.#phase === "linger" && this.#deadline === Number.POSITIVE_INFINITY && this.socket.writableFinished) {
      // Counted from when all is out: a slow reader may take as long as it needs.
      this.#deadline = now + LINGER_TIMEOUT_MS;
    }
    if (this.#deadline > now) return;
    if (this.isBlocked && this.#phase !== "linger") {
      // The visitor still reads what it asked for.
      this.#deadline = now + HALF_CLOSED_IDLE_MS;
      return;
    }
    this.#deadline = Number.POSITIVE_INFINITY;
    if (this.#phase === "linger" || this.#phase === "exchange") this.destroy();
    else if (this.#phase === "head" && this.#collector.pendingBytes > 0) this.#refuse("DPX_HEAD_TIMEOUT", null);
    else if (this.#phase === "head") this.#linger();
  }

  #sweepExchange(exchange: Exchange, now: number): void {
    exchange.sweep(now);
    // The write of the head itself did not know yet that the answer had begun.
    if (this.#hasEnded && this.#exchange !== null)
      this.#deadline = Math.min(this.#deadline, this.#halfClosedDeadline());
    // A long answer may be silent for hours; a visitor whose machine is gone is found out by TCP itself.
    if (++this.#sweeps === PROBED_AFTER_SWEEPS) this.socket.setKeepAlive(true, TCP_PROBE_MS);
  }

  /** The proxy drains: an idle connection ends now, a busy one after its answer, a new one if it stays silent. */
  drain(): void {
    if (this.#phase !== "head" || this.#collector.pendingBytes > 0) return;
    if (this.#isFresh) this.#deadline = Math.min(this.#deadline, this.#context.now + DRAIN_FRESH_MS);
    else this.#linger();
  }

  /** Cuts the connection. What is not complete must not look so: without a length, an orderly end would be one. */
  destroy(): void {
    const { socket } = this;
    const isUnsent = this.#phase === "linger" && socket.writableLength > 0;
    if (this.#phase === "tunnel" || this.#exchange?.isUntilClose === true || isUnsent) breakSocket(socket);
    else socket.destroy();
  }

  // ExchangeVisitor

  override mayKeepAlive(): boolean {
    if (this.#exchange?.isRequestComplete !== true || this.#context.isDraining()) return false;
    // A visitor that has ended its side may have sent more requests before.
    return !this.#hasEnded || this.waitingBytes > 0;
  }

  protected override onWritten(): void {
    if (this.#hasEnded) this.#deadline = this.#halfClosedDeadline();
  }

  setFlow(canTake: boolean): void {
    this.#canTake = canTake;
    this.readOn();
  }

  onExchangeDone(keepAlive: boolean): void {
    this.#giveBack();
    if (!keepAlive || this.socket.destroyed) {
      this.#linger();
      return;
    }
    this.#phase = "head";
    this.#deadline = this.#context.now + this.#context.limits.idleTimeoutMs;
    this.readOn();
  }

  onExchangeBroken(isUntilClose: boolean): void {
    this.#giveBack();
    this.#phase = "linger";
    // Without a length, an orderly end would make the answer look complete.
    if (isUntilClose) breakSocket(this.socket);
    else this.socket.destroy();
  }

  onSwitched(origin: OriginStream, { early, person }: Switched): void {
    this.#giveBack();
    this.#person = person;
    const socket = this.socket;
    this.#phase = "tunnel";
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#context.counters.openTunnels++;
    this.#release();
    const splice = new Splice(socket, origin.stream, () => {
      this.#context.counters.openTunnels--;
      this.#phase = "closed";
      this.#onClosed(this);
    });
    if (early.length > 0) splice.onData(early);
    splice.start(this.takeWaiting());
  }

  // Reading requests

  protected override canRead(): boolean {
    const exchange = this.#exchange;
    // The next request waits until the visitor has taken the last answer.
    if (exchange === null) return this.#phase === "head" && !this.isBlocked;
    return this.#canTake && !exchange.isRequestComplete;
  }

  protected override read(chunk: Buffer): void {
    if (this.#exchange === null) this.#readHead(chunk);
    else this.putBack(chunk, this.#exchange.takeBody(chunk));
  }

  protected override mustRest(): boolean {
    return !this.#canTake && this.#exchange?.isRequestComplete === false;
  }

  /** Draws the conclusions when the visitor has ended its side and all that it sent is read. */
  protected override onRead(): void {
    if (!this.#hasEnded || this.waitingBytes > 0) return;
    if (this.#exchange !== null) {
      // RFC 9112 §8: a request that breaks off is not a request.
      if (!this.#exchange.isRequestComplete) this.#exchange.fail("DPX_REQUEST_INVALID");
    } else if (this.#phase === "head") {
      if (this.#collector.pendingBytes > 0) this.#refuse("DPX_REQUEST_INVALID", null);
      else if (!this.isBlocked) this.#linger();
    }
  }

  #readHead(chunk: Buffer): void {
    const collector = this.#collector;
    if (collector.pendingBytes === 0) this.#deadline = this.#context.now + this.#context.limits.headTimeoutMs;
    const next = collector.push(chunk, 0);
    if (next < 0) {
      const { fault } = collector;
      if (fault !== null) this.#refuse(fault.code, fault.message);
      return;
    }
    const head = this.#context.requestHeads.read(collector.buffer, collector.start, collector.end);
    if (head.kind === "fault") {
      this.#refuse(head.code, head.message);
      return;
    }
    if (isOwnHost(head.host, this.#context.domain)) {
      this.#giveAway(collector.buffer.subarray(collector.start, collector.end), chunk, next);
      return;
    }
    collector.clear();
    if (this.#isFresh && this.#context.counters.openVisitors > this.#context.limits.maxVisitors) {
      this.#refuse("DPX_LIMIT", null, head);
      return;
    }
    this.#isFresh = false;
    this.#phase = "exchange";
    this.#deadline = Number.POSITIVE_INFINITY;
    const exchange = this.#exchanges.take();
    this.#exchange = exchange;
    this.putBack(chunk, exchange.begin(this, head, chunk, next));
  }

  /** Hands the socket to the server's own endpoints, with all that was read and not used. */
  #giveAway(head: Buffer, chunk: Buffer, next: number): void {
    const parts = [head, chunk.subarray(next), ...this.takeWaiting()];
    this.#phase = "closed";
    this.#release();
    this.#onClosed(this);
    this.#context.serveOwn(this.socket, Buffer.concat(parts));
  }

  /** Leaves the socket, paused and without the proxy's listeners. */
  #release(): void {
    this.socket.pause();
    detachVisitor(this.socket);
  }

  // Ends

  #halfClosedDeadline(): number {
    return this.#context.now + (this.#exchange?.isAnswering === true ? HALF_CLOSED_IDLE_MS : HALF_CLOSED_WAIT_MS);
  }

  #abandon(): void {
    const exchange = this.#exchange;
    if (exchange === null) return;
    exchange.abandon();
    this.#giveBack();
  }

  #giveBack(): void {
    const exchange = this.#exchange;
    this.#exchange = null;
    this.#canTake = true;
    if (exchange !== null) this.#exchanges.put(exchange);
  }

  /** Answers without an exchange, and ends the connection: after bytes that are no request, nothing else can be read. */
  #refuse(code: ErrorCode, reason: string | null, head: RequestHead | null = null): void {
    const { counters } = this.#context;
    counters.requests++;
    counters.failures++;
    counters.answers.countUntimed(visitorStatus(code));
    const { log, nodeId } = this.#context;
    const requestId = requestIdOf(nodeId, counters.requests);
    if (reason !== null) log("debug", `Refused a request from ${this.address}: ${reason}`, { requestId });
    if (head === null) this.writeRefusal(code);
    else this.writeError(code, head, false);
    this.#linger();
  }

  /** Ends our side, and reads on for a while: to close with bytes unread would reset the answer on its way. */
  #linger(): void {
    if (this.#phase === "linger" || this.#phase === "closed") return;
    this.#phase = "linger";
    this.#deadline = Number.POSITIVE_INFINITY;
    this.takeWaiting();
    this.socket.end();
    this.readOn();
  }
}
