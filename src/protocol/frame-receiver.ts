// What each frame of a session does to its streams. Throws a DuplexityError where
// the peer breaks the protocol; the session closes with it.

import { DuplexityError, ERRORS, type ErrorCode } from "./errors.ts";
import type { FrameHandler } from "./frame-dispatch.ts";
import { MAX_CREDIT_BYTES, PRE_ACCEPT_WINDOW_BYTES } from "./limits.ts";
import type { SessionOptions } from "./session.ts";
import type { SessionSender } from "./session-sender.ts";
import type { OpenRequest, RequestReport } from "./stream.ts";

export class FrameReceiver implements FrameHandler {
  bytesIn = 0;
  readonly #options: SessionOptions;
  readonly #sender: SessionSender;

  constructor(options: SessionOptions, sender: SessionSender) {
    this.#options = options;
    this.#sender = sender;
  }

  open(id: number, request: OpenRequest, windowBytes: number): void {
    if (this.#options.role !== "acceptor") {
      throw new DuplexityError("DPX_STREAM_ID", `OPEN came for stream ${id}, but only the server's side opens streams`);
    }
    const { streams } = this.#sender;
    // A handler may have closed the session while an earlier frame of this packet was read.
    if (this.#sender.isClosed) return;
    const refusal = streams.whyNot(id);
    const stream = streams.accept(id, windowBytes, PRE_ACCEPT_WINDOW_BYTES);
    if (refusal !== null) stream.reset(refusal, 0);
    else if (this.#options.onOpen === undefined) stream.reset("DPX_PIPE_UNKNOWN", 0);
    else this.#options.onOpen(stream, request);
  }

  accept(id: number, credit: number): void {
    const stream = this.#sender.streams.get(id);
    if (this.#options.role !== "opener" || stream.isAccepted) {
      throw new DuplexityError("DPX_FRAME_INVALID", `ACCEPT for stream ${id} came twice or from the opener`);
    }
    stream.isAccepted = true;
    stream.addCredit(credit, MAX_CREDIT_BYTES);
    if (!stream.isRetired) stream.handler.onAccept();
  }

  data(id: number, payload: Buffer): void {
    this.bytesIn += payload.length;
    this.#sender.streams.get(id).receiveData(payload);
  }

  window(id: number, credit: number): void {
    this.#sender.streams.get(id).addCredit(credit, MAX_CREDIT_BYTES);
  }

  fin(id: number): void {
    const stream = this.#sender.streams.get(id);
    const wasReset = stream.state.phase === "reset";
    stream.receiveFin();
    if (!wasReset && stream.state.phase === "ended") this.#sender.retire(stream);
  }

  reset(id: number, code: ErrorCode, deliveredBytes: number | null): void {
    const stream = this.#sender.streams.get(id);
    stream.receiveReset(new DuplexityError(code, ERRORS[code].meaning), deliveredBytes);
    // The peer says no more of it; what we sent before may still be under way, and is the peer's to ignore.
    this.#sender.release(stream);
    this.#sender.streams.remove(stream);
  }

  report(report: RequestReport): void {
    if (this.#options.role !== "acceptor") {
      throw new DuplexityError("DPX_FRAME_INVALID", "REPORT came, but only the server's side sends it");
    }
    if (!this.#sender.isClosed) this.#options.onReport?.(report);
  }
}
