// A link over a WebSocket. It is handed an open socket of `ws`, by shape: this folder imports node: only.

import { DuplexityError, ERRORS, type ErrorCode, isErrorCode } from "./errors.ts";
import { LINK_HEADROOM_BYTES } from "./limits.ts";
import { LINK_LOW_WATER_BYTES, type Link, type LinkHandler } from "./link.ts";
import type { OutgoingPacket } from "./packet-builder.ts";

/** What is used of a WebSocket of the package `ws`. */
export interface WebSocketLike {
  readonly bufferedAmount: number;
  send(message: Buffer, options: { binary: true }, callback: ((error?: Error | null) => void) | undefined): void;
  close(code: number, reason: string): void;
  terminate(): void;
  on(event: "message", listener: (message: unknown, isBinary: boolean) => void): unknown;
  on(event: "close", listener: (code: number, reason: Buffer) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
}

const BINARY = { binary: true } as const;

/** RFC 6455 §5.5: a control frame has at most 125 bytes, two of which are the code. */
const MAX_CLOSE_REASON_BYTES = 123;

const DEAF: LinkHandler = {
  onPacket() {},
  onDrain() {},
  onClose() {},
};

/**
 * Takes over an open WebSocket on which no more texts are expected.
 *
 * A text, or a message that is too large, closes the link with DPX_PROTOCOL.
 */
export function createWebSocketLink(socket: WebSocketLike): Link {
  return new WebSocketLink(socket);
}

/** A close reason that fits: `DPX_CODE: message`, cut to 123 bytes. */
export function closeReason(code: ErrorCode, message: string): string {
  const reason = Buffer.from(`${code}: ${message}`);
  // Cut at a character's border: bytes 10xxxxxx go on with a character that began before.
  let end = Math.min(reason.length, MAX_CLOSE_REASON_BYTES);
  while (end < reason.length && end > 0 && ((reason[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return reason.toString("utf8", 0, end);
}

/** The error that a close frame stands for: its `DPX_…` reason, else DPX_LINK_LOST. */
export function errorOfClose(closeCode: number, reason: string): DuplexityError {
  const [, code, message] = /^(DPX_[A-Z_]+): (.*)$/s.exec(reason) ?? [];
  if (isErrorCode(code)) return new DuplexityError(code, message ?? "");
  return new DuplexityError("DPX_LINK_LOST", `The link closed with ${closeCode}${reason === "" ? "" : `: ${reason}`}`);
}

class WebSocketLink implements Link {
  handler: LinkHandler = DEAF;
  readonly #socket: WebSocketLike;
  #error: DuplexityError | null = null;
  #isClosed = false;

  constructor(socket: WebSocketLike) {
    this.#socket = socket;
    socket.on("message", (message, isBinary) => {
      if (isBinary && Buffer.isBuffer(message)) this.handler.onPacket(message);
      else this.close("DPX_PROTOCOL", "A text came on a link that carries packets");
    });
    socket.on("close", (code, reason) => this.#closed(errorOfClose(code, reason.toString("utf8"))));
    socket.on("error", (error) => {
      this.#error ??= new DuplexityError("DPX_LINK_LOST", `The link broke: ${error.message}`, { cause: error });
    });
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  send(packet: OutgoingPacket): void {
    const [first, ...rest] = packet.parts;
    if (first === undefined || this.#isClosed) return;
    const body = first.subarray(LINK_HEADROOM_BYTES);
    const message = rest.length === 0 ? body : Buffer.concat([body, ...rest], packet.byteLength);
    const mayCongest = this.#socket.bufferedAmount + message.length > LINK_LOW_WATER_BYTES;
    this.#socket.send(message, BINARY, mayCongest ? this.#sent : undefined);
  }

  close(code: ErrorCode, reason: string): void {
    if (this.#isClosed) return;
    this.#socket.close(ERRORS[code].closeCode, closeReason(code, reason));
    // A peer that is gone would not answer: nothing waits for it.
    this.#closed(new DuplexityError(code, reason));
  }

  abort(error: DuplexityError): void {
    if (this.#isClosed) return;
    this.#socket.terminate();
    this.#closed(error);
  }

  readonly #sent = (): void => {
    if (!this.#isClosed && this.#socket.bufferedAmount < LINK_LOW_WATER_BYTES) this.handler.onDrain();
  };

  #closed(error: DuplexityError): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.handler.onClose(this.#error ?? error);
  }
}
