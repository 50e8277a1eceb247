// One stream and one connection to its pipe's target, bytes both ways. Keeps
// back-pressure and half-closes; reads nothing of what passes.

import type { Socket } from "node:net";
import type { ErrorCode, Stream, StreamHandler } from "../protocol/index.ts";
import { ReadBuffer } from "./read-buffer.ts";
import type { Target } from "./target.ts";
import { abortSocket, acceptEvent, connectFailure, connectTarget } from "./target-socket.ts";

export interface SpliceOptions {
  /** @default 10_000 */
  readonly connectTimeoutMs: number;
  /** The connection to the target is closed and the stream has ended. Once. */
  readonly onClose: (splice: Splice) => unknown;
}

/** How the stream ends as soon as what was read before has been sent. */
type Ending = { readonly kind: "end" } | { readonly kind: "reset"; readonly code: ErrorCode };

const END: Ending = { kind: "end" };

export class Splice implements StreamHandler {
  readonly #stream: Stream;
  readonly #target: Target;
  readonly #options: SpliceOptions;
  readonly #buffer = new ReadBuffer();
  readonly #socket: Socket;
  #connectTimer: NodeJS.Timeout | undefined;
  #isAccepted = false;
  /** The stream has no credit: reading rests. */
  #isBlocked = false;
  /** What waits for credit: the stream's end, a reset, or the one and then the other. */
  readonly #endings: Ending[] = [];
  /** Nothing more may be written to the stream. */
  #hasEnded = false;
  /** The stream is over in both directions, or reset. */
  #isStreamOver = false;
  #hasPeerEnded = false;
  /** Nothing more will come from the target. */
  #hasTargetEnded = false;
  /** Bytes given to the socket since it is connected: what may have reached the target. */
  #deliveredBytes = 0;
  /** Whether the target was given something after the last byte that came from it. */
  #isUnanswered = false;
  /** Bytes written to the socket whose credit is not given back yet. */
  #owedBytes = 0;

  /** Connects at once; answers the stream's OPEN when the target has accepted, or resets it with the reason. */
  constructor(stream: Stream, target: Target, options: SpliceOptions) {
    this.#stream = stream;
    this.#target = target;
    this.#options = options;
    stream.handler = this;
    const buffer = this.#buffer;
    const socket = connectTarget(target, {
      buffer: () => buffer.current,
      callback: (length) => this.#read(length),
    });
    this.#socket = socket;
    socket.on(acceptEvent(target), () => this.#accepted());
    socket.on("drain", () => this.#giveCredit());
    socket.on("end", () => this.#targetEnded());
    socket.on("error", (error) => this.#targetFailed(error));
    socket.on("close", () => this.#closed());
    this.#connectTimer = setTimeout(onConnectTimeout, options.connectTimeoutMs, this);
  }

  /** Ends both sides now. */
  abort(code: ErrorCode): void {
    this.#reset(code);
    this.#dropSocket();
  }

  // ── From the visitor ───────────────────────────────────────────────────

  onAccept(): void {}

  onData(chunk: Buffer): void {
    const { length } = chunk;
    if (this.#hasTargetEnded) {
      // A pooled connection that its target closed meanwhile: the proxy can tell from `deliveredBytes` what to retry.
      if (this.#target.protocol === "http") this.#finish({ kind: "reset", code: "DPX_TARGET_CLOSED" });
      if (this.#target.protocol === "http" || this.#socket.destroyed) {
        this.#stream.consume(length);
        return;
      }
    }
    if (this.#isAccepted) this.#deliveredBytes += length;
    this.#owedBytes += length;
    this.#isUnanswered = true;
    const socket = this.#socket;
    socket.write(chunk);
    if (socket.writableLength === 0) this.#giveCredit();
  }

  onEnd(): void {
    this.#hasPeerEnded = true;
    this.#socket.end();
    this.#checkStreamOver();
  }

  onDrain(): void {
    this.#isBlocked = false;
    if (this.#endings.length > 0) for (const ending of this.#endings.splice(0)) this.#finish(ending);
    else if (!this.#socket.destroyed) this.#socket.resume();
  }

  onReset(): void {
    this.#isStreamOver = true;
    this.#hasEnded = true;
    this.#dropSocket();
  }

  // ── From the target ────────────────────────────────────────────────────

  #accepted(): void {
    clearTimeout(this.#connectTimer);
    this.#isAccepted = true;
    // All that came so far was waiting in the socket; it goes out now.
    this.#deliveredBytes = this.#owedBytes;
    this.#stream.accept();
  }

  #read(length: number): boolean {
    this.#isUnanswered = false;
    const chunk = this.#buffer.take(length, this.#stream.sendCredit - length);
    if (this.#hasEnded) return true;
    if (this.#stream.write(chunk)) return true;
    this.#isBlocked = true;
    this.#buffer.rest();
    return false;
  }

  #targetEnded(): void {
    this.#hasTargetEnded = true;
    // Over HTTP an answer may end with the connection, and nothing that is sent after it will be answered.
    if (this.#target.protocol === "http") this.#socket.end();
    this.#finish(END);
  }

  #targetFailed(error: Error): void {
    this.#hasTargetEnded = true;
    if (this.#isAccepted) this.#finish({ kind: "reset", code: "DPX_TARGET_BROKE" });
    else this.#reset(connectFailure(this.#target, error));
  }

  #closed(): void {
    clearTimeout(this.#connectTimer);
    this.#giveCredit();
    if (!this.#hasTargetEnded) {
      this.#hasTargetEnded = true;
      this.#finish({ kind: "reset", code: this.#isAccepted ? "DPX_TARGET_BROKE" : "DPX_TARGET_UNREACHABLE" });
    }
    this.#options.onClose(this);
  }

  #giveCredit(): void {
    const owed = this.#owedBytes;
    if (owed === 0 || !this.#isAccepted) return;
    this.#owedBytes = 0;
    if (!this.#isStreamOver) this.#stream.consume(owed);
  }

  // ── Ends ───────────────────────────────────────────────────────────────

  /** Ends the stream after what was read before: a reset would drop what waits for credit. */
  #finish(ending: Ending): void {
    if (this.#isStreamOver) return;
    if (this.#isBlocked) {
      if (this.#endings.at(-1)?.kind !== "reset") this.#endings.push(ending);
      return;
    }
    if (ending.kind === "reset") {
      this.#reset(ending.code);
    } else if (!this.#hasEnded) {
      this.#hasEnded = true;
      this.#stream.end();
      this.#checkStreamOver();
      // It crossed the target's end, which alone does not say whether it was delivered: who waits for an answer asks that.
      if (this.#target.protocol === "http" && this.#isUnanswered) this.abort("DPX_TARGET_CLOSED");
    }
  }

  #checkStreamOver(): void {
    if (this.#hasEnded && this.#hasPeerEnded) this.#isStreamOver = true;
  }

  #reset(code: ErrorCode): void {
    if (this.#isStreamOver) return;
    this.#isStreamOver = true;
    this.#hasEnded = true;
    this.#stream.reset(code, this.#deliveredBytes);
  }

  #dropSocket(): void {
    if (!this.#socket.destroyed) abortSocket(this.#socket, this.#target);
  }

  /** Called by the timer only. */
  connectTimedOut(): void {
    this.#reset("DPX_TARGET_TIMEOUT");
    this.#socket.destroy();
  }
}

function onConnectTimeout(splice: Splice): void {
  splice.connectTimedOut();
}
