// Joins a visitor's socket and a stream as raw bytes, after an upgrade or for a TCP pipe. Each direction ends apart
// and waits for its own reader; a stream that breaks resets the socket, so that no reader takes it for an end.

import type { DuplexityError, Stream, StreamHandler } from "../../protocol/index.ts";
import { LINGER_TIMEOUT_MS, type VisitorSocket } from "./options.ts";

/** Called once, when both sides are over. `error`: why the stream was reset, null when it ended well or the visitor left. */
export type SpliceEnd = (error: DuplexityError | null) => void;

export class Splice implements StreamHandler {
  /** Bytes from the visitor, and to the visitor. */
  bytesUp = 0;
  bytesDown = 0;
  readonly #socket: VisitorSocket;
  readonly #stream: Stream;
  readonly #onEnd: SpliceEnd;
  #unconsumed = 0;
  #hasVisitorEnded = false;
  #hasOriginEnded = false;
  #error: DuplexityError | null = null;
  #isReset = false;
  #lingerTimer: NodeJS.Timeout | undefined;

  /** Takes both over: the caller has removed its listeners and paused the socket. Call `start` in the same turn. */
  constructor(socket: VisitorSocket, stream: Stream, onEnd: SpliceEnd) {
    this.#socket = socket;
    this.#stream = stream;
    this.#onEnd = onEnd;
    stream.handler = this;
  }

  /** Begins to pass bytes. `early`: what came from the visitor before. */
  start(early: readonly Buffer[]): void {
    const socket = this.#socket;
    socket.on("data", (chunk: Buffer) => this.#sendUp(chunk));
    socket.on("end", () => this.#endUp());
    socket.on("drain", () => this.#consume(0));
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.#close());
    // A visitor that is silent for hours is fine; one whose machine is gone is not.
    socket.setKeepAlive(true, 60_000);
    socket.resume();
    for (const chunk of early) this.#sendUp(chunk);
    if (socket.readableEnded) this.#endUp();
    if (socket.destroyed) this.#close();
  }

  onAccept(): void {}

  onData(chunk: Buffer): void {
    this.bytesDown += chunk.length;
    const isTaken = this.#socket.write(chunk) || this.#socket.writableLength === 0;
    if (isTaken) this.#consume(chunk.length);
    else this.#unconsumed += chunk.length;
  }

  onEnd(): void {
    this.#hasOriginEnded = true;
    this.#socket.end();
  }

  onDrain(): void {
    this.#socket.resume();
  }

  onReset(error: DuplexityError): void {
    this.#isReset = true;
    if (this.#hasOriginEnded && error.code === "DPX_TARGET_CLOSED") {
      this.#linger();
      return;
    }
    this.#error = error;
    breakSocket(this.#socket);
  }

  /** The visitor gets all there is; what it still says goes nowhere, and not for long. */
  #linger(): void {
    const socket = this.#socket;
    const cutLater = (): void => {
      this.#lingerTimer = setTimeout(() => socket.destroy(), LINGER_TIMEOUT_MS);
    };
    socket.resume();
    if (socket.writableFinished) cutLater();
    else socket.once("finish", cutLater);
  }

  #sendUp(chunk: Buffer): void {
    this.bytesUp += chunk.length;
    if (!this.#isReset && !this.#stream.write(chunk)) this.#socket.pause();
  }

  #endUp(): void {
    if (this.#hasVisitorEnded) return;
    this.#hasVisitorEnded = true;
    if (!this.#isReset) this.#stream.end();
  }

  #consume(bytes: number): void {
    const all = this.#unconsumed + bytes;
    this.#unconsumed = 0;
    if (all > 0 && !this.#isReset) this.#stream.consume(all);
  }

  #close(): void {
    clearTimeout(this.#lingerTimer);
    if (!this.#isReset && !(this.#hasVisitorEnded && this.#hasOriginEnded)) {
      this.#isReset = true;
      this.#stream.reset("DPX_VISITOR_GONE");
    }
    this.#onEnd(this.#error);
  }
}

/** Cuts a socket so that its peer sees a break, not an end: TCP's RST where there is no other sign. */
export function breakSocket(socket: VisitorSocket): void {
  if ("encrypted" in socket) socket.destroy();
  else socket.resetAndDestroy();
}
