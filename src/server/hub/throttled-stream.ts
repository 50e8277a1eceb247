// A stream whose bytes, both ways, come out of a bucket. What must wait is kept here in order: on the way in the stream's
// own window bounds it, on the way out the writer, who is told to wait.

import {
  type DuplexityError,
  type ErrorCode,
  MAX_COPIED_BYTES,
  type Stream,
  type StreamHandler,
} from "../../protocol/index.ts";
import type { ByteBucket } from "./byte-bucket.ts";

/** What came and is not told yet: bytes, the end, or the reset that came behind the end. */
type Incoming = Buffer | "end" | { readonly error: DuplexityError; readonly deliveredBytes: number | null };

export class ThrottledStream implements Stream, StreamHandler {
  handler: StreamHandler;
  writtenBytes = 0;
  readonly #inner: Stream;
  readonly #bucket: ByteBucket;
  #incoming: Incoming[] = [];
  #outgoing: (Buffer | string)[] = [];
  #isWaitingIn = false;
  #isWaitingOut = false;
  #endsAfter = false;
  #isReset = false;

  /** @throws what `open` throws. */
  constructor(open: (handler: StreamHandler) => Stream, handler: StreamHandler, bucket: ByteBucket) {
    this.handler = handler;
    this.#bucket = bucket;
    this.#inner = open(this);
  }

  get id(): number {
    return this.#inner.id;
  }

  get isLive(): boolean {
    return this.#inner.isLive;
  }

  get sendCredit(): number {
    return this.#inner.sendCredit;
  }

  // ── On the way out ─────────────────────────────────────────────────────

  accept(): void {
    this.#inner.accept();
  }

  write(chunk: Buffer | string): boolean {
    this.writtenBytes += chunk.length;
    if (this.#outgoing.length === 0 && this.#bucket.take(chunk.length)) return this.#inner.write(chunk);
    // What is small may be written again by its owner as soon as this returns.
    const isBorrowed = typeof chunk !== "string" && chunk.length <= MAX_COPIED_BYTES;
    this.#outgoing.push(isBorrowed ? Buffer.from(chunk) : chunk);
    this.#waitOut();
    return false;
  }

  end(): void {
    if (this.#outgoing.length === 0) this.#inner.end();
    else this.#endsAfter = true;
  }

  reset(code: ErrorCode, deliveredBytes?: number): void {
    this.#isReset = true;
    this.#drop();
    this.#inner.reset(code, deliveredBytes);
  }

  consume(bytes: number): void {
    this.#inner.consume(bytes);
  }

  #waitOut(): void {
    if (this.#isWaitingOut) return;
    this.#isWaitingOut = true;
    this.#bucket.wait((take) => {
      this.#isWaitingOut = false;
      const chunk = this.#outgoing.shift();
      if (chunk === undefined) return;
      take(chunk.length);
      const hasRoom = this.#inner.write(chunk);
      if (this.#outgoing.length > 0) this.#waitOut();
      else if (this.#endsAfter) this.#inner.end();
      else if (hasRoom) this.handler.onDrain();
    });
  }

  // ── On the way in ──────────────────────────────────────────────────────

  onAccept(): void {
    this.handler.onAccept();
  }

  onData(chunk: Buffer): void {
    if (this.#incoming.length === 0 && this.#bucket.take(chunk.length)) {
      this.handler.onData(chunk);
      return;
    }
    this.#incoming.push(chunk);
    this.#waitIn();
  }

  onEnd(): void {
    if (this.#incoming.length === 0) this.handler.onEnd();
    else this.#incoming.push("end");
  }

  onDrain(): void {
    // Else the writer is told when the last piece has gone.
    if (this.#outgoing.length === 0 && !this.#endsAfter) this.handler.onDrain();
  }

  onReset(error: DuplexityError, deliveredBytes: number | null): void {
    // All had come before it: what waits here is whole, and nobody can send it again.
    const isWhole = this.#incoming.at(-1) === "end";
    this.#outgoing = [];
    if (isWhole) {
      this.#incoming.push({ error, deliveredBytes });
      return;
    }
    this.#drop();
    this.handler.onReset(error, deliveredBytes);
  }

  #waitIn(): void {
    if (this.#isWaitingIn) return;
    this.#isWaitingIn = true;
    this.#bucket.wait((take) => {
      this.#isWaitingIn = false;
      const chunk = this.#incoming.shift();
      if (!Buffer.isBuffer(chunk)) return;
      take(chunk.length);
      this.handler.onData(chunk);
      // The handler may have reset it.
      if (Buffer.isBuffer(this.#incoming[0])) this.#waitIn();
      else this.#tellEnd();
    });
  }

  #tellEnd(): void {
    for (const next of this.#incoming.splice(0)) {
      // Told of the end, it may have had enough.
      if (this.#isReset) return;
      if (next === "end") this.handler.onEnd();
      else if (!Buffer.isBuffer(next)) this.handler.onReset(next.error, next.deliveredBytes);
    }
  }

  #drop(): void {
    this.#incoming = [];
    this.#outgoing = [];
  }
}
