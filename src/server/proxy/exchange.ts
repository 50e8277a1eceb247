// One request and its answer: finds the route, waits while its client is away, sends, sends again where that is safe,
// and passes the answer on. One object per visitor's connection, reused; it never touches the socket itself.

import type { Forwarding, RequestHead } from "../../http/index.ts";
import { asDuplexityError, type DuplexityError, type ErrorCode } from "../../protocol/index.ts";
import type { Route } from "../routes.ts";
import { type AnswerProgress, AnswerReader, type AnswerSink } from "./answer-reader.ts";
import type { ProxyContext } from "./context.ts";
import { visitorStatus } from "./error-answer.ts";
import type { Held } from "./hold.ts";
import { MAX_REPLAYS, TARGET_END_GRACE_MS } from "./options.ts";
import { OriginStream, type OriginUser } from "./origin-stream.ts";
import { RequestSender } from "./request-sender.ts";
import { isFinal, isRepeatable, visitorCode } from "./retry.ts";

/** The connection, as its exchange sees it. */
export interface ExchangeVisitor extends AnswerSink {
  /** `ip:port`, for the client's log. */
  readonly address: string;
  readonly isTls: boolean;
  /** Whether bytes wait for the visitor to read. */
  readonly isBlocked: boolean;
  /** The exchange can take body bytes now, or not. */
  setFlow(canTake: boolean): void;
  /** Writes an error answer; the exchange ends right after it. */
  writeError(code: ErrorCode, head: RequestHead, keepAlive: boolean): void;
  /** The answer is out. `keepAlive`: what the visitor was told. */
  onExchangeDone(keepAlive: boolean): void;
  /** The answer broke off: the visitor must not take it for a complete one. `isUntilClose`: an orderly end would look so. */
  onExchangeBroken(isUntilClose: boolean): void;
  /** A 101 is out. `early`: what the target sent behind it. */
  onSwitched(origin: OriginStream, early: Buffer): void;
  /** Whether this connection can never serve `host` (RFC 9110 §15.5.20). */
  isForeign(host: string): boolean;
}

type Phase = "idle" | "locating" | "held" | "sent" | "target-ended";

export class Exchange implements OriginUser, Held {
  readonly #context: ProxyContext;
  readonly #visitor: ExchangeVisitor;
  readonly #sender: RequestSender;
  readonly #answer: AnswerReader;
  #phase: Phase = "idle";
  #head: RequestHead | null = null;
  #route: Route | null = null;
  #origin: OriginStream | null = null;
  #unconsumed = 0;
  #replays = 0;
  #wasRepeated = false;
  #startedAt = 0;
  #turn = 0;
  heldUntil = 0;
  /** When a silent target end counts as a break, in the proxy's time; Infinity when none is awaited. */
  deadline = Number.POSITIVE_INFINITY;

  constructor(context: ProxyContext, visitor: ExchangeVisitor, forwarding: Forwarding) {
    this.#context = context;
    this.#visitor = visitor;
    this.#sender = new RequestSender(forwarding);
    this.#answer = new AnswerReader(context.responseHeads, visitor);
  }

  get isRunning(): boolean {
    return this.#phase !== "idle";
  }

  /** Whether all of the request's bytes are here. */
  get isRequestComplete(): boolean {
    return this.#sender.body.isComplete;
  }

  get hostname(): string {
    return this.#head?.host ?? "";
  }

  get heldBytes(): number {
    return this.#sender.keptBytes;
  }

  /** Begins with a head; its body's first bytes are in `chunk` from `from` on. Returns where the request's part of it ends. */
  begin(head: RequestHead, chunk: Buffer, from: number): number {
    const { counters } = this.#context;
    counters.requests++;
    counters.openExchanges++;
    this.#turn++;
    this.#head = head;
    this.#route = null;
    this.#replays = 0;
    this.#wasRepeated = false;
    this.#startedAt = performance.now();
    this.heldUntil = 0;
    this.#phase = "locating";
    this.#answer.begin();
    this.#sender.begin(head);
    let end = from;
    if (!this.#sender.body.isComplete && from < chunk.length) {
      end = this.#sender.take(chunk, from);
      if (end < 0) {
        this.#fail("DPX_REQUEST_INVALID");
        return chunk.length;
      }
    }
    this.#dispatch(head);
    return end;
  }

  /** Takes more of the request's body. Returns where the body's part of `chunk` ends. */
  takeBody(chunk: Buffer): number {
    const end = this.#sender.take(chunk, 0);
    if (end < 0) {
      // RFC 9112 §7.1: what a malformed chunk hides can't be known; the target must not take it for a whole request.
      this.#dropOrigin("DPX_REQUEST_INVALID");
      if (this.#answer.head === null) this.#fail("DPX_REQUEST_INVALID");
      else this.#break();
      return chunk.length;
    }
    if (this.#origin !== null && this.#sender.mustWait && !this.isRequestComplete) this.#visitor.setFlow(false);
    return end;
  }

  /** The visitor's socket has taken all that was written. */
  onVisitorDrain(): void {
    this.#consume(0);
  }

  /** The visitor is gone, or is being cut. */
  abandon(): void {
    if (this.#phase === "idle") return;
    if (this.#phase === "held") this.#context.holds.remove(this);
    this.#dropOrigin("DPX_VISITOR_GONE");
    this.#report("DPX_VISITOR_GONE");
    this.#reset();
  }

  /** Ends the request with an error if nothing of its answer is out, else breaks the answer off. */
  fail(code: ErrorCode): void {
    if (this.#phase === "idle") return;
    if (this.#phase === "held") this.#context.holds.remove(this);
    this.#dropOrigin("DPX_CANCELLED");
    if (this.#answer.head === null) this.#fail(code);
    else this.#break();
  }

  /** Whether the answer's head is out already. */
  get isAnswering(): boolean {
    return this.#answer.head !== null;
  }

  sweep(now: number): void {
    if (this.deadline <= now && this.#phase === "target-ended") this.fail("DPX_TARGET_BROKE");
  }

  // Held

  onRouteChanged(): void {
    this.#phase = "locating";
    if (this.#head !== null) this.#dispatch(this.#head);
  }

  onHoldEnded(code: ErrorCode): void {
    this.#phase = "locating";
    this.#fail(visitorCode(code));
  }

  // OriginUser

  onOriginData(chunk: Buffer): void {
    const head = this.#head;
    if (head === null) return;
    if (!this.#answer.isStarted) {
      this.#sender.forget();
      this.deadline = Number.POSITIVE_INFINITY;
    }
    const progress = this.#answer.read(chunk, head);
    if (progress === "more") this.#consume(chunk.length);
    else this.#settle(progress, chunk.length);
  }

  onOriginEnd(): void {
    const origin = this.#origin;
    const head = this.#head;
    if (origin === null || head === null) return;
    if (this.#answer.isStarted) {
      if (this.#answer.end()) {
        this.#answer.hasLeftovers = true;
        this.#finish();
      } else this.fail("DPX_TARGET_BROKE");
    } else if (origin.isReused && this.#mayRepeat(head)) {
      // The target closed an idle connection just as the request came.
      this.#dropOrigin("DPX_CANCELLED");
      this.#repeat(head);
    } else if (origin.isReused) {
      // Only the client knows whether the request was delivered; its reset will say.
      this.#phase = "target-ended";
      this.deadline = this.#context.now + TARGET_END_GRACE_MS;
    } else {
      this.fail("DPX_TARGET_BROKE");
    }
  }

  onOriginDrain(): void {
    this.#sender.mustWait = false;
    this.#visitor.setFlow(true);
  }

  onOriginReset(error: DuplexityError, deliveredBytes: number | null): void {
    const origin = this.#origin;
    const head = this.#head;
    if (origin === null || head === null) return;
    this.#origin = null;
    this.#sender.detach();
    this.deadline = Number.POSITIVE_INFINITY;
    if (this.#answer.isStarted) {
      if (this.#answer.head === null) this.#fail(visitorCode(error.code));
      else this.#break();
      return;
    }
    const isUndelivered = deliveredBytes !== null && deliveredBytes <= origin.requestStart;
    if (isFinal(error.code) || !this.#sender.canReplay) {
      this.#fail(visitorCode(error.code));
    } else if (isUndelivered && this.#replays < MAX_REPLAYS) {
      this.#replays++;
      this.#context.counters.replays++;
      this.#phase = "locating";
      this.#dispatch(head);
    } else if (origin.isReused && this.#mayRepeat(head)) {
      this.#repeat(head);
    } else {
      this.#fail(visitorCode(error.code));
    }
  }

  // Finding a route and a stream

  #dispatch(head: RequestHead): void {
    const { routes, pseudonym } = this.#context;
    if (this.#route === null && head.wentThrough(pseudonym)) {
      this.#fail("DPX_LOOP");
      return;
    }
    const located = routes.locate(head.host);
    if (located === null || !(located instanceof Promise)) {
      this.#onLocated(head, located);
      return;
    }
    this.#visitor.setFlow(false);
    const turn = this.#turn;
    located.then(
      (route) => {
        if (turn === this.#turn && this.#phase === "locating") this.#onLocated(head, route);
      },
      (error: unknown) => {
        if (turn === this.#turn && this.#phase === "locating") this.#fail(visitorCode(asDuplexityError(error).code));
      },
    );
  }

  #onLocated(head: RequestHead, route: Route | null): void {
    if (route === null || route.protocol !== "http") {
      this.#fail(this.#visitor.isForeign(head.host) ? "DPX_MISDIRECTED" : "DPX_NAME_UNKNOWN");
      return;
    }
    this.#route = route;
    if (route.state === "away") {
      this.#hold();
      return;
    }
    const origin = (this.#isFirstTry ? this.#context.pool.take(route) : null) ?? this.#open(route);
    if (origin === null) return;
    this.#origin = origin;
    this.#phase = "sent";
    origin.user = this;
    this.#sender.send(origin);
    this.#visitor.setFlow(!this.#sender.mustWait);
  }

  #open(route: Route): OriginStream | null {
    try {
      return new OriginStream(this.#context.routes, route, this.#context.pool, this.#visitor);
    } catch (error) {
      const { code } = asDuplexityError(error);
      if (code === "DPX_CLIENT_AWAY") this.#hold();
      else this.#fail(visitorCode(code));
      return null;
    }
  }

  #hold(): void {
    const { holds, now, limits } = this.#context;
    // The first wait sets the time: a route that flaps does not make it longer.
    if (this.heldUntil === 0) this.heldUntil = now + limits.holdTimeoutMs;
    if (this.heldUntil <= now) {
      this.#fail("DPX_CLIENT_AWAY");
      return;
    }
    if (this.#context.isDraining()) {
      this.#fail("DPX_DRAINING");
      return;
    }
    if (!holds.add(this)) {
      this.#fail("DPX_HOLD_LIMIT");
      return;
    }
    this.#phase = "held";
    this.#visitor.setFlow(false);
  }

  /** A second try goes to a fresh stream: what is wrong with one idle stream may be wrong with all. */
  get #isFirstTry(): boolean {
    return !this.#wasRepeated && this.#replays === 0;
  }

  #mayRepeat(head: RequestHead): boolean {
    return !this.#wasRepeated && this.#sender.canReplay && isRepeatable(head);
  }

  #repeat(head: RequestHead): void {
    this.#wasRepeated = true;
    this.#context.counters.replays++;
    this.#phase = "locating";
    this.#dispatch(head);
  }

  // Ends

  #settle(progress: AnswerProgress, chunkBytes: number): void {
    const origin = this.#origin;
    if (origin === null) return;
    if (progress === "complete") {
      this.#consume(chunkBytes);
      this.#finish();
    } else if (progress === "switched") {
      this.#switch(origin, chunkBytes);
    } else {
      this.#context.log("debug", `Cannot read the answer of ${this.hostname}: ${this.#answer.fault?.message ?? ""}`);
      this.fail("DPX_TARGET_ANSWER");
    }
  }

  #switch(origin: OriginStream, chunkBytes: number): void {
    if (!this.isRequestComplete) {
      this.fail("DPX_TARGET_ANSWER");
      return;
    }
    const early = this.#answer.afterSwitch;
    origin.stream.consume(chunkBytes - early.length);
    this.#origin = null;
    origin.user = null;
    this.#report(null);
    this.#reset();
    this.#visitor.onSwitched(origin, early);
  }

  #finish(): void {
    const origin = this.#origin;
    const answer = this.#answer;
    const keepAlive = answer.keepsVisitor && this.isRequestComplete;
    this.#origin = null;
    if (origin !== null) {
      // The socket holds at most what one window let through; the next request waits until that is out.
      if (this.#unconsumed > 0) origin.stream.consume(this.#unconsumed);
      if (answer.head?.keepAlive === true && this.isRequestComplete && !answer.hasLeftovers && !this.#sender.mustWait) {
        this.#context.pool.put(origin, this.#context.now);
      } else origin.discard();
    }
    this.#report(null);
    this.#reset();
    this.#visitor.onExchangeDone(keepAlive);
  }

  #fail(code: ErrorCode): void {
    const head = this.#head;
    if (head === null) return;
    this.#context.counters.failures++;
    const keepAlive =
      head.keepAlive && code !== "DPX_REQUEST_INVALID" && this.isRequestComplete && this.#visitor.mayKeepAlive();
    this.#report(code);
    this.#reset();
    this.#visitor.writeError(code, head, keepAlive);
    this.#visitor.onExchangeDone(keepAlive);
  }

  #break(): void {
    this.#context.counters.failures++;
    const { isUntilClose } = this.#answer;
    this.#report("DPX_TARGET_BROKE");
    this.#reset();
    this.#visitor.onExchangeBroken(isUntilClose);
  }

  #dropOrigin(code: ErrorCode): void {
    const origin = this.#origin;
    this.#origin = null;
    this.#sender.detach();
    origin?.discard(code);
  }

  #consume(bytes: number): void {
    if (this.#visitor.isBlocked) {
      this.#unconsumed += bytes;
      return;
    }
    const all = this.#unconsumed + bytes;
    this.#unconsumed = 0;
    if (all > 0) this.#origin?.stream.consume(all);
  }

  #reset(): void {
    this.#phase = "idle";
    this.#head = null;
    this.#unconsumed = 0;
    this.deadline = Number.POSITIVE_INFINITY;
    this.#sender.forget();
    this.#context.counters.openExchanges--;
  }

  #report(code: ErrorCode | null): void {
    const route = this.#route;
    const head = this.#head;
    if (route === null || head === null || !route.wantsReports) return;
    const status = code === "DPX_VISITOR_GONE" ? 499 : code === null ? 0 : visitorStatus(code);
    this.#context.routes.report(route, {
      hostname: route.hostname,
      method: head.method,
      path: head.target.slice(0, 2_048),
      status: this.#answer.head?.status ?? status,
      durationMs: performance.now() - this.#startedAt,
      responseBytes: this.#answer.contentBytes,
      requestBytes: this.#sender.body.contentBytes,
      visitor: this.#visitor.address,
      ...(code === null ? {} : { errorCode: code }),
    });
  }
}
