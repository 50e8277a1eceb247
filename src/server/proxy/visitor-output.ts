// What goes out on a visitor's socket, in as few writes as possible, and whether the visitor takes it.

import type { RequestHead } from "../../http/index.ts";
import type { ErrorCode } from "../../protocol/index.ts";
import type { AnswerSink } from "./answer-reader.ts";
import { errorAnswer } from "./error-answer.ts";
import type { VisitorSocket } from "./options.ts";

/** Up to this much body goes out in one string with the head: cheaper than a vectored write. */
const MAX_TEXT_BODY_BYTES = 8_192;

export abstract class VisitorOutput implements AnswerSink {
  /** Whether bytes wait for the visitor to read. `onDrain` of the socket ends it. */
  isBlocked = false;
  protected readonly socket: VisitorSocket;

  constructor(socket: VisitorSocket) {
    this.socket = socket;
  }

  /** Bytes that came and that went on this connection so far. */
  get receivedBytes(): number {
    return this.socket.bytesRead;
  }

  get sentBytes(): number {
    return this.socket.bytesWritten;
  }

  abstract mayKeepAlive(): boolean;

  /** Something was written. */
  protected abstract onWritten(): void;

  writeText(text: string): void {
    this.#wrote(this.socket.write(text, "latin1"));
  }

  writeBytes(chunk: Buffer): void {
    if (chunk.length > 0) this.#wrote(this.socket.write(chunk));
  }

  writeTextAndBytes(text: string, chunk: Buffer, from: number, end: number): void {
    const { socket } = this;
    if (end - from <= MAX_TEXT_BODY_BYTES) {
      this.writeText(from === end ? text : text + chunk.toString("latin1", from, end));
      return;
    }
    socket.cork();
    socket.write(text, "latin1");
    const isTaken = socket.write(chunk.subarray(from, end));
    socket.uncork();
    this.#wrote(isTaken);
  }

  writeError(code: ErrorCode, head: RequestHead, keepAlive: boolean, fields = ""): void {
    const { method, host } = head;
    const accept = head.field("accept") ?? "";
    this.writeText(errorAnswer({ code, method, accept, hostname: host, close: !keepAlive, fields }));
  }

  /** Answers bytes that are no request. */
  protected writeRefusal(code: ErrorCode): void {
    this.writeText(errorAnswer({ code, method: "", accept: "", hostname: "", close: true }));
  }

  #wrote(isTaken: boolean): void {
    // `write` may answer false although the kernel has taken all.
    if (!isTaken && this.socket.writableLength > 0) this.isBlocked = true;
    this.onWritten();
  }
}
