// RFC 6455 on a socket whose upgrade is done: frames in, messages out, and back.
// Written for the dialer, where `ws` cost a third of the CPU of a bulk transfer
// (docs/performance.md): a packet goes out in one vectored write, and one that
// arrives whole is passed on without a copy. No extensions.

import type { Socket } from "node:net";
import { LINK_HEADROOM_BYTES } from "./limits.ts";
import { LINK_HIGH_WATER_BYTES } from "./link.ts";
import { MASK_BYTES, MAX_CONTROL_BYTES, maskInto, Opcode, writeWebSocketHeader } from "./websocket-frame.ts";
import { WebSocketReader, type WebSocketSink } from "./websocket-reader.ts";

export interface WebSocketHandler {
  onText(text: string): void;
  /**
   * One whole message, in the pieces in which it came: the first has at least `MIN_FIRST_PIECE_BYTES` of it, or all. The
   * buffers may be kept: they are never written again.
   */
  onBinary(message: Buffer, rest: readonly Buffer[]): void;
  /** The socket's queue is empty again after `bufferedBytes` was above 0. */
  onDrain(): void;
  /** At most once; nothing follows. `code` 1006: the connection broke without a close frame (RFC 6455 §7.1.5). */
  onClose(code: number, reason: string): void;
}

export interface WebSocketConnectionOptions {
  /** A server's peer masks what it sends, a client masks itself (RFC 6455 §5.1). */
  readonly role: "server" | "client";
  /**
   * Client only. `zero` uses the mask 00000000, which leaves the bytes as they are. RFC 6455 §5.3 asks for an
   * unpredictable one, so that no cache in the middle can be fed: right for wss:// and loopback, where none can be.
   */
  readonly mask?: "random" | "zero";
  /** A longer message closes the connection with 1009. */
  readonly maxMessageBytes: number;
  /** A longer text closes the connection with 1009. */
  readonly maxTextBytes: number;
  /** Bytes that came with the handshake. */
  readonly head?: Buffer;
}

/** How long the peer may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 2_000;
const NO_STATUS = 1005;
const ABNORMAL = 1006;
const NOTHING = Buffer.alloc(0);

const DEAF: WebSocketHandler = { onText() {}, onBinary() {}, onDrain() {}, onClose() {} };

export class WebSocketConnection implements WebSocketSink {
  handler: WebSocketHandler = DEAF;
  readonly #socket: Socket;
  readonly #options: WebSocketConnectionOptions;

  readonly #reader: WebSocketReader;
  #isClosing = false;
  #isClosed = false;
  #closeCode = ABNORMAL;
  #closeReason = "";
  #closeTimer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: WebSocketConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#reader = new WebSocketReader({ ...options, isMasked: options.role === "server" }, this);
    socket.setTimeout(0);
    socket.setNoDelay(true);
    if (options.head !== undefined && options.head.length > 0) socket.unshift(options.head);
    socket.on("data", (chunk: Buffer) => this.#reader.read(chunk));
    socket.on("drain", () => this.handler.onDrain());
    socket.on("end", () => this.#ended());
    socket.on("error", () => this.#finish());
    socket.on("close", () => this.#finish());
  }

  /** Bytes that the kernel has not taken yet. */
  get bufferedBytes(): number {
    return this.#socket.writableLength;
  }

  sendText(text: string): void {
    this.#sendSmall(Opcode.text, Buffer.from(text));
  }

  /**
   * Sends one binary message given in parts, the first of which starts with `LINK_HEADROOM_BYTES` that are not part of
   * the message: the frame's header is written there.
   */
  sendBinary(parts: readonly Buffer[], byteLength: number): void {
    const [first] = parts;
    if (first === undefined || this.#isClosing || this.#isClosed) return;
    if (this.#options.role === "client" && this.#options.mask !== "zero") {
      this.#sendMasked(parts, byteLength);
      return;
    }
    const isMasked = this.#options.role === "client";
    const start = writeWebSocketHeader(first, LINK_HEADROOM_BYTES, Opcode.binary, byteLength, isMasked);
    const head = first.subarray(start);
    if (parts.length === 1) {
      this.#socket.write(head);
      return;
    }
    this.#socket.cork();
    this.#socket.write(head);
    for (let index = 1; index < parts.length; index += 1) this.#socket.write(parts[index] ?? NOTHING);
    this.#socket.uncork();
  }

  /** Sends a close frame, waits a little for the peer's, and closes. */
  close(code: number, reason: string): void {
    if (this.#isClosing || this.#isClosed) return;
    const text = Buffer.from(reason).subarray(0, MAX_CONTROL_BYTES - 2);
    const payload = Buffer.allocUnsafe(2 + text.length);
    payload.writeUInt16BE(code, 0);
    text.copy(payload, 2);
    this.#sendSmall(Opcode.close, payload);
    this.#isClosing = true;
    this.#closeTimer = setTimeout(() => this.terminate(), CLOSE_TIMEOUT_MS);
  }

  /** Drops the connection without a word. */
  terminate(): void {
    this.#socket.destroy();
    this.#finish();
  }

  // ── Sending ────────────────────────────────────────────────────────────

  #sendSmall(opcode: number, payload: Buffer): void {
    if (this.#isClosing || this.#isClosed) return;
    const frame = Buffer.allocUnsafe(LINK_HEADROOM_BYTES + payload.length);
    payload.copy(frame, LINK_HEADROOM_BYTES);
    const isMasked = this.#options.role === "client";
    const start = writeWebSocketHeader(frame, LINK_HEADROOM_BYTES, opcode, payload.length, isMasked);
    if (isMasked && this.#options.mask !== "zero") {
      maskInto(frame, LINK_HEADROOM_BYTES - MASK_BYTES, LINK_HEADROOM_BYTES);
    }
    this.#socket.write(frame.subarray(start));
  }

  /** The parts are kept for a resume, so the masked bytes are a copy. */
  #sendMasked(parts: readonly Buffer[], byteLength: number): void {
    const frame = Buffer.concat(parts, LINK_HEADROOM_BYTES + byteLength);
    const start = writeWebSocketHeader(frame, LINK_HEADROOM_BYTES, Opcode.binary, byteLength, true);
    maskInto(frame, LINK_HEADROOM_BYTES - MASK_BYTES, LINK_HEADROOM_BYTES);
    this.#socket.write(frame.subarray(start));
  }

  // ── What the reader says ───────────────────────────────────────────────

  onText(text: string): void {
    this.handler.onText(text);
  }

  onBinary(message: Buffer, rest: readonly Buffer[]): void {
    this.handler.onBinary(message, rest);
  }

  onControl(opcode: number, payload: Buffer): void {
    if (opcode === Opcode.close) this.#receiveClose(payload);
    // To a peer that pings and does not read, what waits for it is answer enough.
    else if (opcode === Opcode.ping && this.bufferedBytes < LINK_HIGH_WATER_BYTES)
      this.#sendSmall(Opcode.pong, payload);
  }

  onFault(code: number, reason: string): void {
    this.#closeCode = code;
    this.#closeReason = reason;
    this.close(code, reason);
    this.#socket.end();
    this.#finish();
  }

  // ── Ends ───────────────────────────────────────────────────────────────

  #receiveClose(payload: Buffer): void {
    if (payload.length === 1) {
      this.onFault(1002, "a close frame has half a code");
      return;
    }
    this.#closeCode = payload.length === 0 ? NO_STATUS : payload.readUInt16BE(0);
    this.#closeReason = payload.toString("utf8", 2);
    // RFC 6455 §5.5.1: answer with a close frame; the server is the one who closes the connection.
    this.#sendSmall(Opcode.close, payload.subarray(0, 2));
    this.#isClosing = true;
    this.#socket.end();
    this.#finish();
  }

  #ended(): void {
    this.#socket.end();
    this.#finish();
  }

  #finish(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#socket.destroyed) clearTimeout(this.#closeTimer);
    else this.#closeTimer ??= setTimeout(() => this.#socket.destroy(), CLOSE_TIMEOUT_MS);
    this.#socket.once("close", () => clearTimeout(this.#closeTimer));
    this.#reader.stop();
    this.handler.onClose(this.#closeCode, this.#closeReason);
  }
}
