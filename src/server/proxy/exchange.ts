// One request and its answer: sends the request, sends it again where that is safe, and passes the answer on. Objects
// are reused, by one connection at a time. It never touches the visitor's socket itself.

import type { FieldEdit, RequestHead } from "../../http/index.ts";
import type { DuplexityError, ErrorCode } from "../../protocol/index.ts";
import { AnswerReader } from "./answer-reader.ts";
import type { ProxyContext } from "./context.ts";
import type { ExchangeVisitor } from "./exchange-visitor.ts";
import { type GateRedirect, type GateRefusal, REDIRECT_STATUS, redirectAnswer } from "./gate-answer.ts";
import { TARGET_END_GRACE_MS } from "./options.ts";
import type { OriginStream, OriginUser } from "./origin-stream.ts";
import { requestIdOf, traceIdOf } from "./request-id.ts";
import { requestReport, statusOf, VISITOR_GONE_STATUS } from "./request-report.ts";
import { RequestSender } from "./request-sender.ts";
import { Attempts, visitorCode } from "./retry.ts";
import { type Searcher, StreamSearch } from "./stream-search.ts";
import { addressBehind, withPort } from "./visitor-address.ts";

/** One request, from when its head was read until it is answered. */
interface Running {
  readonly visitor: ExchangeVisitor;
  readonly head: RequestHead;
}

export class Exchange implements OriginUser, Searcher {
  readonly #context: ProxyContext;
  readonly #search: StreamSearch;
  readonly #sender = new RequestSender();
  readonly #answer: AnswerReader;
  #running: Running | null = null;
  #origin: OriginStream | null = null;
  #unconsumed = 0;
  /** Whether it was on its way once: its name existed then. */
  #wasSent = false;
  /** Who signed in for it: gone when they are not welcome any more. */
  #person: string | null = null;
  readonly #attempts = new Attempts();
  #startedAt = 0;
  /** Of all requests of this proxy: a name for it is made of this only when one is needed. */
  #number = 0;
  /** Whether something came from either side since the last sweep: the sweeps measure how long an upload rests. */
  #hasMoved = true;
  #restsSince = 0;
  /** Since when its stream has had no link, in the proxy's time, as the sweeps saw it; 0: it has one. */
  #awaySince = 0;
  /** When a target's end without an answer counts as a break, in the proxy's time; Infinity when no word is awaited. */
  #deadline = Number.POSITIVE_INFINITY;

  constructor(context: ProxyContext) {
    this.#context = context;
    this.#search = new StreamSearch(context, this);
    this.#answer = new AnswerReader(context.responseHeads);
  }

  /** Whether all of the request's bytes are here. */
  get isRequestComplete(): boolean {
    return this.#sender.body.isComplete;
  }

  /** Whether the answer's head is out. */
  get isAnswering(): boolean {
    return this.#answer.head !== null;
  }

  /** Whether only the end of the visitor's connection tells it where the answer ends. */
  get isUntilClose(): boolean {
    return this.#answer.isUntilClose;
  }

  /** Begins with a head; its body's first bytes are in `chunk` from `from` on. Returns where the request's part of it ends. */
  begin(visitor: ExchangeVisitor, head: RequestHead, chunk: Buffer, from: number): number {
    const { counters, pseudonym } = this.#context;
    this.#number = ++counters.requests;
    counters.openExchanges++;
    this.#running = { visitor, head };
    this.#attempts.begin(head);
    this.#wasSent = false;
    this.#startedAt = performance.now();
    this.#hasMoved = true;
    this.#search.begin(head);
    this.#answer.begin();
    this.#sender.begin(head, visitor.forwarding);
    let end = from;
    if (!this.isRequestComplete && from < chunk.length) {
      end = this.#sender.take(chunk, from);
      if (end < 0) {
        this.#fail("DPX_REQUEST_INVALID");
        return chunk.length;
      }
    }
    // RFC 9110 §7.6.3: our own name in Via means that it came back to us.
    if (head.wentThrough(pseudonym)) this.#fail("DPX_LOOP");
    // The target may have closed what is idle, and the word of it still be on its way: what cannot be sent again goes over
    // a fresh stream.
    else this.#search.search(this.#sender.staysReplayable);
    return end;
  }

  /** Takes more of the request's body. Returns where the body's part of `chunk` ends. */
  takeBody(chunk: Buffer): number {
    this.#hasMoved = true;
    const end = this.#sender.take(chunk, 0);
    if (end < 0) {
      // What a malformed chunk hides can't be known: the target must not take it for a whole request.
      this.fail("DPX_REQUEST_INVALID");
      return chunk.length;
    }
    if (this.#origin !== null && this.#sender.mustWait && !this.isRequestComplete) {
      this.#running?.visitor.setFlow(false);
    }
    return end;
  }

  /** The visitor's socket has taken all that was written. */
  onVisitorDrain(): void {
    this.#hasMoved = true;
    this.#consume(0);
  }

  /** The visitor is gone, or is being cut. */
  abandon(): void {
    if (this.#running === null) return;
    this.#report("DPX_VISITOR_GONE");
    this.#dropOrigin("DPX_VISITOR_GONE");
    this.#reset();
  }

  /** Ends the request with an error if nothing of its answer is out, else breaks the answer off. */
  fail(code: ErrorCode): void {
    this.#dropOrigin("DPX_CANCELLED");
    if (this.#answer.head === null) this.#fail(code);
    else this.#break(code);
  }

  sweep(now: number): void {
    const isAway = this.#origin?.stream.isLive === false;
    this.#awaySince = isAway ? this.#awaySince || now : 0;
    // Without a link the client's word cannot come. The session waits for one only so long, and resets the stream then.
    const isAwaited = this.#deadline !== Number.POSITIVE_INFINITY;
    if (isAwaited && isAway) this.#deadline = now + TARGET_END_GRACE_MS;
    if (this.#person !== null && !this.#context.gates.isWelcome(this.#person)) this.fail("DPX_VISITOR_FORBIDDEN");
    else if (this.#deadline <= now) this.fail("DPX_TARGET_BROKE");
    else this.#sweepUpload(now);
  }

  /** Ends an upload that has stopped before its answer began: it would hold its stream for ever. */
  #sweepUpload(now: number): void {
    const limitMs = this.#context.limits.bodyIdleTimeoutMs;
    if (limitMs === 0 || this.#running === null || this.isRequestComplete) return;
    // Whom we have asked to wait owes nothing. Once there is an answer, the two may be silent as long as they like.
    const isOurTurn = this.#origin === null || this.#sender.mustWait || this.#answer.head !== null;
    if (this.#hasMoved || isOurTurn) {
      this.#hasMoved = false;
      this.#restsSince = now;
    } else if (now - this.#restsSince >= limitMs) {
      this.fail("DPX_BODY_TIMEOUT");
    }
  }

  // Searcher

  get address(): string {
    // The field has no port.
    const behind = this.#addressBehind;
    if (behind !== null && behind !== "") return withPort(behind, 0);
    return this.#running?.visitor.address ?? "";
  }

  get plainAddress(): string {
    return this.#addressBehind ?? this.#running?.visitor.forwarding.options.address ?? "";
  }

  /** What a trusted proxy says of where the visitor comes from; null: it is the peer itself. */
  get #addressBehind(): string | null {
    const running = this.#running;
    const { trustProxy } = this.#context;
    if (trustProxy === null || running?.visitor.forwarding.options.isTrusted !== true) return null;
    return addressBehind(running.head.values("x-forwarded-for"), trustProxy);
  }

  get isTls(): boolean {
    return this.#running?.visitor.isTls === true;
  }

  get heldBytes(): number {
    return this.#sender.keptBytes;
  }

  onStream(origin: OriginStream): void {
    this.#origin = origin;
    this.#hasMoved = true;
    origin.user = this;
    this.#wasSent = true;
    this.#sender.send(origin);
    this.#running?.visitor.setFlow(!this.#sender.mustWait);
  }

  onSearchFailed(code: ErrorCode): void {
    if (code !== "DPX_NAME_UNKNOWN") this.#fail(code);
    // The pipe left while the request was on its way: the visitor has not asked for what never was.
    else if (this.#wasSent) this.#fail("DPX_CLIENT_AWAY");
    else this.#fail(this.#isMisdirected ? "DPX_MISDIRECTED" : code);
  }

  onWelcome(edit: FieldEdit, person: string | null): void {
    this.#person = person;
    this.#sender.edit(edit);
  }

  onTurnedAway(answer: GateRefusal | GateRedirect): void {
    if (answer.kind === "refused") this.#fail(answer.code, answer.fields);
    else this.#redirect(answer);
  }

  onWaiting(): void {
    this.#running?.visitor.setFlow(false);
  }

  // OriginUser

  onOriginData(chunk: Buffer): void {
    const running = this.#running;
    if (running === null) return;
    this.#hasMoved = true;
    const answer = this.#answer;
    if (!answer.isStarted) {
      this.#sender.forget();
      this.#deadline = Number.POSITIVE_INFINITY;
    }
    switch (answer.read(chunk, running.head, running.visitor)) {
      case "more":
        this.#consume(chunk.length);
        break;
      case "complete":
        this.#consume(chunk.length);
        this.#finish();
        break;
      case "switched":
        this.#switch(chunk.length);
        break;
      case "broken":
        this.#log(running.head, `Cannot read the answer of ${running.head.host}: ${answer.fault?.message ?? ""}`);
        this.fail("DPX_TARGET_ANSWER");
        break;
    }
  }

  onOriginEnd(): void {
    const origin = this.#origin;
    if (origin === null) return;
    if (this.#answer.isStarted) {
      if (this.#answer.end()) this.#finish();
      else this.fail("DPX_TARGET_BROKE");
    } else {
      const { isReused } = origin;
      const { canReplay } = this.#sender;
      switch (this.#attempts.afterEnd({ isReused, canReplay, isUndelivered: false })) {
        case "again":
          this.#dropOrigin("DPX_CANCELLED");
          this.#sendAgain();
          break;
        case "wait":
          this.#deadline = this.#context.now + TARGET_END_GRACE_MS;
          break;
        case "broken":
          this.fail("DPX_TARGET_BROKE");
          break;
      }
    }
  }

  onOriginDrain(): void {
    this.#hasMoved = true;
    this.#sender.mustWait = false;
    this.#running?.visitor.setFlow(true);
  }

  onOriginReset(error: DuplexityError, deliveredBytes: number | null): void {
    const origin = this.#origin;
    if (origin === null) return;
    this.#origin = null;
    this.#sender.detach();
    this.#deadline = Number.POSITIVE_INFINITY;
    if (this.#answer.head !== null) {
      this.#break();
      return;
    }
    // With the first byte of an answer the sender has forgotten what it sent: no replay then.
    const { canReplay } = this.#sender;
    const isUndelivered = deliveredBytes !== null && deliveredBytes <= origin.requestStart;
    const lost = { isReused: origin.isReused, isUndelivered, canReplay };
    if (this.#awaySince > 0) this.#search.waitedSince(this.#awaySince);
    if (this.#attempts.mayFollowReset(error.code, lost)) this.#sendAgain();
    // Not closed before it was used: what it has of the request is lost.
    else if (error.code === "DPX_TARGET_CLOSED" && !isUndelivered) this.#fail("DPX_TARGET_BROKE");
    else this.#fail(visitorCode(error.code));
  }

  #sendAgain(): void {
    this.#context.counters.replays++;
    // To a fresh stream: what was wrong with one idle stream may be wrong with all.
    this.#search.search(false);
  }

  /** RFC 9110 §15.5.20: browsers reuse a TLS connection for other hosts, and must be told when they are not ours at all. */
  get #isMisdirected(): boolean {
    return this.isTls && this.#running?.head.host.endsWith(`.${this.#context.domain}`) === false;
  }

  // Ends. Each gives the exchange back as its last act: the visitor may begin the next one before these return.

  #switch(chunkBytes: number): void {
    const running = this.#running;
    const origin = this.#origin;
    if (running === null || origin === null) return;
    if (!this.isRequestComplete) {
      this.#dropOrigin("DPX_CANCELLED");
      this.#break();
      return;
    }
    const early = this.#answer.afterSwitch;
    origin.stream.consume(this.#unconsumed + chunkBytes - early.length);
    this.#origin = null;
    origin.user = null;
    const person = this.#person;
    this.#report(null);
    this.#reset();
    running.visitor.onSwitched(origin, { early, person });
  }

  #finish(): void {
    const running = this.#running;
    const origin = this.#origin;
    if (running === null || origin === null) return;
    const answer = this.#answer;
    const isWhole = this.isRequestComplete;
    // The socket holds at most what one window let through; the next request waits until that is out.
    if (this.#unconsumed > 0) origin.stream.consume(this.#unconsumed);
    this.#origin = null;
    if (isWhole && answer.head?.keepAlive === true && !answer.hasLeftovers && !this.#sender.mustWait) {
      this.#context.pool.put(origin, this.#context.now);
    } else {
      origin.discard();
    }
    this.#report(null);
    this.#reset();
    running.visitor.onExchangeDone(answer.keepsVisitor && isWhole);
  }

  #fail(code: ErrorCode, fields = ""): void {
    const running = this.#running;
    if (running === null) return;
    const { visitor, head } = running;
    this.#context.counters.failures++;
    const keepAlive = code !== "DPX_REQUEST_INVALID" && head.keepAlive && visitor.mayKeepAlive();
    this.#report(code);
    this.#reset();
    this.#log(head, `Refused ${head.method} for ${head.host}: ${code}`);
    visitor.writeError(code, head, keepAlive, `${fields}Duplexity-Request: ${this.#requestId}\r\n`);
    visitor.onExchangeDone(keepAlive);
  }

  #redirect(answer: GateRedirect): void {
    const running = this.#running;
    if (running === null) return;
    const { visitor, head } = running;
    const keepAlive = head.keepAlive && visitor.mayKeepAlive();
    this.#report(answer.code, REDIRECT_STATUS);
    this.#reset();
    visitor.writeText(redirectAnswer(answer, keepAlive));
    visitor.onExchangeDone(keepAlive);
  }

  #break(code: ErrorCode = "DPX_TARGET_BROKE"): void {
    const running = this.#running;
    if (running === null) return;
    this.#context.counters.failures++;
    this.#log(running.head, `Broke off the answer to ${running.head.method} for ${running.head.host}: ${code}`);
    this.#report(code);
    this.#reset();
    running.visitor.onExchangeBroken(this.#answer.isUntilClose);
  }

  #dropOrigin(code: ErrorCode): void {
    const origin = this.#origin;
    this.#origin = null;
    this.#sender.detach();
    origin?.discard(code);
  }

  #consume(bytes: number): void {
    if (this.#running?.visitor.isBlocked === true) {
      this.#unconsumed += bytes;
      return;
    }
    const all = this.#unconsumed + bytes;
    this.#unconsumed = 0;
    if (all > 0) this.#origin?.stream.consume(all);
  }

  #reset(): void {
    this.#search.cancel();
    this.#running = null;
    this.#person = null;
    this.#unconsumed = 0;
    this.#awaySince = 0;
    this.#deadline = Number.POSITIVE_INFINITY;
    this.#sender.end();
    this.#context.counters.openExchanges--;
  }

  get #requestId(): string {
    return requestIdOf(this.#context.nodeId, this.#number);
  }

  /** Never the path: what stands in it may be a secret. */
  #log(head: RequestHead, message: string): void {
    const traceId = traceIdOf(head);
    this.#context.log("debug", message, { requestId: this.#requestId, ...(traceId === null ? {} : { traceId }) });
  }

  #report(code: ErrorCode | null, status = this.#answer.head?.status ?? statusOf(code)): void {
    const running = this.#running;
    if (running === null) return;
    const durationMs = performance.now() - this.#startedAt;
    this.#context.counters.answers.count(status === VISITOR_GONE_STATUS ? 0 : status, durationMs);
    const { route } = this.#search;
    if (route === null || !route.wantsReports) return;
    const { head } = running;
    const report = requestReport({
      hostname: route.hostname,
      head,
      status,
      durationMs,
      requestBytes: this.#sender.body.contentBytes,
      responseBytes: this.#answer.contentBytes,
      visitor: this.address,
      code,
    });
    this.#context.routes.report(route, report);
  }
}
