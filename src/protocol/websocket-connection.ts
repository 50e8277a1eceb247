// RFC 6455 on a socket whose upgrade is done: frames in, messages out, and back.
// Written for the dialer, where `ws` cost a third of the CPU of a bulk transfer
// (docs/performance.md): a packet goes out in one vectored write, and one that
// arrives whole is passed on without a copy. No extensions.

import { randomFillSync } from "node:crypto";
import type { Socket } from "node:net";
import { LINK_HEADROOM_BYTES } from "./limits.ts";

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

const Opcode = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

const FIN = 0x80;
const RSV = 0x70;
const MASKED = 0x80;
const MAX_CONTROL_BYTES = 125;
const MASK_BYTES = 4;
const MAX_FRAGMENTS = 1_024;
/** More chunks of one message than this are joined: one that trickles in would cost many times its size. */
const MAX_CHUNKS = 1_024;
/** How long the peer may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 2_000;
const NO_STATUS = 1005;
const ABNORMAL = 1006;
/** Enough for any header that the first piece of a message is to hold. */
export const MIN_FIRST_PIECE_BYTES = 64;
const NOTHING = Buffer.alloc(0);
const NO_MORE: readonly Buffer[] = [];

const DEAF: WebSocketHandler = { onText() {}, onBinary() {}, onDrain() {}, onClose() {} };

/** What the parser waits for. */
type Expecting = "header" | "payload";

export class WebSocketConnection {
  handler: WebSocketHandler = DEAF;
  readonly #socket: Socket;
  readonly #options: WebSocketConnectionOptions;

  /** Chunks that have arrived and are not parsed yet. */
  #chunks: Buffer[] = [];
  #chunkedBytes = 0;
  #expecting: Expecting = "header";
  #opcode: number = Opcode.continuation;
  #isFinal = false;
  #payloadBytes = 0;
  readonly #mask = Buffer.alloc(MASK_BYTES);
  #isMaskZero = true;
  /** Message under way in fragments: its opcode and what has come of it. */
  #fragments: { readonly opcode: number; readonly parts: Buffer[]; byteLength: number } | null = null;

  #isClosing = false;
  #isClosed = false;
  #closeCode = ABNORMAL;
  #closeReason = "";
  #closeTimer: NodeJS.Timeout | undefined;

  constructor(socket: Socket, options: WebSocketConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    socket.setTimeout(0);
    socket.setNoDelay(true);
    if (options.head !== undefined && options.head.length > 0) socket.unshift(options.head);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
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
    const start = this.#writeHeader(first, LINK_HEADROOM_BYTES, Opcode.binary, byteLength);
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

  /** Writes a frame's header so that it ends at `end`; answers where it starts. */
  #writeHeader(target: Buffer, end: number, opcode: number, length: number): number {
    let at = end;
    let maskBit = 0;
    if (this.#options.role === "client") {
      at -= MASK_BYTES;
      target.fill(0, at, end);
      maskBit = MASKED;
    }
    if (length < 126) {
      target[at - 1] = maskBit | length;
      at -= 1;
    } else if (length < 65_536) {
      target.writeUInt16BE(length, at - 2);
      target[at - 3] = maskBit | 126;
      at -= 3;
    } else {
      target.writeUInt32BE(length, at - 4);
      target.writeUInt32BE(0, at - 8);
      target[at - 9] = maskBit | 127;
      at -= 9;
    }
    target[at - 1] = FIN | opcode;
    return at - 1;
  }

  #sendSmall(opcode: number, payload: Buffer): void {
    if (this.#isClosing || this.#isClosed) return;
    const frame = Buffer.allocUnsafe(LINK_HEADROOM_BYTES + payload.length);
    payload.copy(frame, LINK_HEADROOM_BYTES);
    const start = this.#writeHeader(frame, LINK_HEADROOM_BYTES, opcode, payload.length);
    if (this.#options.role === "client" && this.#options.mask !== "zero") {
      maskInto(frame, LINK_HEADROOM_BYTES - MASK_BYTES, LINK_HEADROOM_BYTES);
    }
    this.#socket.write(frame.subarray(start));
  }

  /** The parts are kept for a resume, so the masked bytes are a copy. */
  #sendMasked(parts: readonly Buffer[], byteLength: number): void {
    const frame = Buffer.concat(parts, LINK_HEADROOM_BYTES + byteLength);
    const start = this.#writeHeader(frame, LINK_HEADROOM_BYTES, Opcode.binary, byteLength);
    maskInto(frame, LINK_HEADROOM_BYTES - MASK_BYTES, LINK_HEADROOM_BYTES);
    this.#socket.write(frame.subarray(start));
  }

  // ── Receiving ──────────────────────────────────────────────────────────

  #receive(chunk: Buffer): void {
    if (this.#isClosed) return;
    if (this.#chunks.push(chunk) > MAX_CHUNKS) this.#chunks = [Buffer.concat(this.#chunks)];
    this.#chunkedBytes += chunk.length;
    while (!this.#isClosed) {
      if (this.#expecting === "header") {
        if (!this.#readHeader()) return;
        this.#expecting = "payload";
      }
      if (this.#chunkedBytes < this.#payloadBytes) return;
      this.#expecting = "header";
      if (this.#isMaskZero && this.#opcode === Opcode.binary && this.#isFinal) {
        this.#deliverPieces(this.#payloadBytes);
      } else {
        const payload = this.#take(this.#payloadBytes);
        this.#handle(this.#isMaskZero ? payload : unmasked(payload, this.#mask));
      }
    }
  }

  /** False: more bytes are needed. */
  #readHeader(): boolean {
    if (this.#chunkedBytes < 2) return false;
    const first = this.#peek(0);
    const second = this.#peek(1);
    const shortLength = second & 0x7f;
    const lengthBytes = shortLength < 126 ? 0 : shortLength === 126 ? 2 : 8;
    const maskBytes = (second & MASKED) === 0 ? 0 : MASK_BYTES;
    if (this.#chunkedBytes < 2 + lengthBytes + maskBytes) return false;

    const opcode = first & 0x0f;
    const isMasked = maskBytes > 0;
    if ((first & RSV) !== 0) return this.#fail(1002, "RSV bits are set, no extension was agreed on");
    if (isMasked !== (this.#options.role === "server")) return this.#fail(1002, "a client masks, a server does not");
    const header = this.#take(2 + lengthBytes + maskBytes);
    this.#opcode = opcode;
    this.#isFinal = (first & FIN) !== 0;
    this.#payloadBytes = shortLength;
    if (lengthBytes === 2) this.#payloadBytes = header.readUInt16BE(2);
    if (lengthBytes === 8) {
      if (header.readUInt32BE(2) !== 0) return this.#fail(1009, "the message is too large");
      this.#payloadBytes = header.readUInt32BE(6);
    }
    this.#isMaskZero = true;
    if (isMasked) {
      header.copy(this.#mask, 0, 2 + lengthBytes);
      this.#isMaskZero = this.#mask.readUInt32BE(0) === 0;
    }
    return this.#checkHeader();
  }

  #checkHeader(): boolean {
    switch (this.#opcode) {
      case Opcode.text:
      case Opcode.binary:
        if (this.#fragments !== null) return this.#fail(1002, "a new message began inside another");
        break;
      case Opcode.continuation:
        if (this.#fragments === null) return this.#fail(1002, "a continuation came without a start");
        if (this.#fragments.parts.length >= MAX_FRAGMENTS)
          return this.#fail(1009, "the message has too many fragments");
        break;
      case Opcode.close:
      case Opcode.ping:
      case Opcode.pong:
        // RFC 6455 §5.5: control frames are short and whole.
        if (!this.#isFinal || this.#payloadBytes > MAX_CONTROL_BYTES)
          return this.#fail(1002, "a control frame is too long");
        return true;
      default:
        return this.#fail(1002, "unknown opcode");
    }
    const isText = (this.#fragments?.opcode ?? this.#opcode) === Opcode.text;
    const limit = isText ? this.#options.maxTextBytes : this.#options.maxMessageBytes;
    if ((this.#fragments?.byteLength ?? 0) + this.#payloadBytes > limit) {
      return this.#fail(1009, `the message is larger than ${limit} bytes`);
    }
    return true;
  }

  #handle(payload: Buffer): void {
    switch (this.#opcode) {
      case Opcode.ping:
        this.#sendSmall(Opcode.pong, payload);
        return;
      case Opcode.pong:
        return;
      case Opcode.close:
        this.#receiveClose(payload);
        return;
    }
    if (this.#fragments === null) {
      if (this.#isFinal) this.#deliver(this.#opcode, payload);
      else this.#fragments = { opcode: this.#opcode, parts: [payload], byteLength: payload.length };
      return;
    }
    this.#fragments.parts.push(payload);
    this.#fragments.byteLength += payload.length;
    if (!this.#isFinal) return;
    const { opcode, parts, byteLength } = this.#fragments;
    this.#fragments = null;
    this.#deliver(opcode, Buffer.concat(parts, byteLength));
  }

  /** A message that came whole in its frame is not joined: whoever passes its bytes on needs no copy of them. */
  #deliverPieces(bytes: number): void {
    const chunk = this.#chunks[0] ?? NOTHING;
    if (chunk.length >= bytes || bytes === 0) {
      this.handler.onBinary(this.#take(bytes), NO_MORE);
      return;
    }
    const first = this.#take(Math.min(bytes, Math.max(chunk.length, MIN_FIRST_PIECE_BYTES)));
    const rest: Buffer[] = [];
    for (let left = bytes - first.length; left > 0; ) {
      const piece = this.#take(Math.min(left, this.#chunks[0]?.length ?? left));
      left -= piece.length;
      rest.push(piece);
    }
    this.handler.onBinary(first, rest);
  }

  #deliver(opcode: number, message: Buffer): void {
    if (opcode === Opcode.binary) this.handler.onBinary(message, NO_MORE);
    else this.handler.onText(message.toString("utf8"));
  }

  #receiveClose(payload: Buffer): void {
    if (payload.length === 1) {
      this.#fail(1002, "a close frame has half a code");
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

  #fail(code: number, reason: string): false {
    this.#closeCode = code;
    this.#closeReason = reason;
    this.close(code, reason);
    this.#socket.end();
    this.#finish();
    return false;
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
    this.#chunks = [];
    this.#fragments = null;
    this.handler.onClose(this.#closeCode, this.#closeReason);
  }

  #peek(index: number): number {
    let left = index;
    for (const chunk of this.#chunks) {
      if (left < chunk.length) return chunk[left] ?? 0;
      left -= chunk.length;
    }
    return 0;
  }

  /** The next `bytes` bytes: by reference when one chunk has them all. */
  #take(bytes: number): Buffer {
    this.#chunkedBytes -= bytes;
    const [first] = this.#chunks;
    if (first === undefined || bytes === 0) return NOTHING;
    if (first.length > bytes) {
      this.#chunks[0] = first.subarray(bytes);
      return first.subarray(0, bytes);
    }
    if (first.length === bytes) {
      this.#chunks.shift();
      return first;
    }
    const whole = Buffer.allocUnsafeSlow(bytes);
    let filled = 0;
    while (filled < bytes) {
      const chunk = this.#chunks[0] ?? NOTHING;
      const wanted = Math.min(chunk.length, bytes - filled);
      whole.set(wanted === chunk.length ? chunk : chunk.subarray(0, wanted), filled);
      filled += wanted;
      if (wanted === chunk.length) this.#chunks.shift();
      else this.#chunks[0] = chunk.subarray(wanted);
    }
    return whole;
  }
}

/** Makes a mask at `maskAt` and applies it to all from `start` on (RFC 6455 §5.3). */
function maskInto(frame: Buffer, maskAt: number, start: number): void {
  randomFillSync(frame, maskAt, MASK_BYTES);
  for (let index = start; index < frame.length; index += 1) {
    frame[index] = (frame[index] ?? 0) ^ (frame[maskAt + ((index - start) & 3)] ?? 0);
  }
}

function unmasked(payload: Buffer, mask: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(payload.length);
  for (let index = 0; index < payload.length; index += 1) {
    plain[index] = (payload[index] ?? 0) ^ (mask[index & 3] ?? 0);
  }
  return plain;
}
