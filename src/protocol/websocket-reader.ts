// Reads the frames of RFC 6455 out of what a socket brings, and makes messages of
// them. Touches no socket: what is wrong with the bytes is told to its sink.

import { ChunkQueue } from "./chunk-queue.ts";
import { closeReason } from "./close-reason.ts";
import { ERRORS } from "./errors.ts";
import { FIN, MASK_BYTES, MASKED, MAX_CONTROL_BYTES, Opcode, RSV, unmasked } from "./websocket-frame.ts";

/** Where messages go. `onFault` ends the reading; `stop()` may be called in any of them. */
export interface WebSocketSink {
  onText(text: string): void;
  /** In pieces: the first has at least `MIN_FIRST_PIECE_BYTES` of the message, or all of it. */
  onBinary(message: Buffer, rest: readonly Buffer[]): void;
  onControl(opcode: number, payload: Buffer): void;
  /** @param code Close code of RFC 6455 §7.4.1 */
  onFault(code: number, reason: string): void;
}

export interface WebSocketReaderOptions {
  /** Whether the peer masks its frames: a client does, a server does not (RFC 6455 §5.1). */
  readonly isMasked: boolean;
  readonly maxMessageBytes: number;
  readonly maxTextBytes: number;
}

const MAX_FRAGMENTS = 1_024;
/** Enough for any header that the first piece of a message is to hold. */
export const MIN_FIRST_PIECE_BYTES = 64;
const NO_MORE: readonly Buffer[] = [];

/** What the parser waits for. */
type Expecting = "header" | "payload" | "nothing";

export class WebSocketReader {
  readonly #options: WebSocketReaderOptions;
  readonly #sink: WebSocketSink;
  readonly #queue = new ChunkQueue();
  #expecting: Expecting = "header";
  #opcode: number = Opcode.continuation;
  #isFinal = false;
  #payloadBytes = 0;
  readonly #mask = Buffer.alloc(MASK_BYTES);
  #isMaskZero = true;
  /** Message under way in fragments: its opcode and what has come of it. */
  #fragments: { readonly opcode: number; readonly parts: Buffer[]; byteLength: number } | null = null;

  constructor(options: WebSocketReaderOptions, sink: WebSocketSink) {
    this.#options = options;
    this.#sink = sink;
  }

  /** Takes what came and tells the sink of each message that is complete with it. */
  read(chunk: Buffer): void {
    if (this.#expecting === "nothing") return;
    this.#queue.push(chunk);
    while (this.#canGoOn()) {
      this.#expecting = "header";
      if (this.#isMaskZero && this.#opcode === Opcode.binary && this.#isFinal) {
        this.#deliverPieces(this.#payloadBytes);
      } else {
        const payload = this.#queue.take(this.#payloadBytes);
        this.#handle(this.#isMaskZero ? payload : unmasked(payload, this.#mask));
      }
    }
  }

  /** Drops what is kept; nothing is told any more. */
  stop(): void {
    this.#expecting = "nothing";
    this.#queue.clear();
    this.#fragments = null;
  }

  /** Whether a whole frame is there. */
  #canGoOn(): boolean {
    if (this.#expecting === "header") {
      if (!this.#readHeader()) return false;
      this.#expecting = "payload";
    }
    return this.#expecting === "payload" && this.#queue.byteLength >= this.#payloadBytes;
  }

  /** False: more bytes are needed. */
  #readHeader(): boolean {
    if (this.#queue.byteLength < 2) return false;
    const first = this.#queue.peek(0);
    const second = this.#queue.peek(1);
    const shortLength = second & 0x7f;
    const lengthBytes = shortLength < 126 ? 0 : shortLength === 126 ? 2 : 8;
    const maskBytes = (second & MASKED) === 0 ? 0 : MASK_BYTES;
    if (this.#queue.byteLength < 2 + lengthBytes + maskBytes) return false;

    const opcode = first & 0x0f;
    const isMasked = maskBytes > 0;
    if ((first & RSV) !== 0) return this.#fail(1002, "RSV bits are set, no extension was agreed on");
    if (isMasked !== this.#options.isMasked) return this.#fail(1002, "a client masks, a server does not");
    const header = this.#queue.take(2 + lengthBytes + maskBytes);
    this.#opcode = opcode;
    this.#isFinal = (first & FIN) !== 0;
    this.#payloadBytes = shortLength;
    if (lengthBytes === 2) this.#payloadBytes = header.readUInt16BE(2);
    if (lengthBytes === 8) {
      if (header.readUInt32BE(2) !== 0) return this.#failTooLarge("the length has more than 32 bits");
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
          return this.#failTooLarge(`at most ${MAX_FRAGMENTS} fragments are allowed`);
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
    const limit = this.#isText ? this.#options.maxTextBytes : this.#options.maxMessageBytes;
    if ((this.#fragments?.byteLength ?? 0) + this.#payloadBytes > limit) {
      return this.#failTooLarge(`at most ${limit} bytes are allowed`);
    }
    return true;
  }

  /** Of the message that is under way. */
  get #isText(): boolean {
    return (this.#fragments?.opcode ?? this.#opcode) === Opcode.text;
  }

  #handle(payload: Buffer): void {
    if (this.#opcode >= Opcode.close) {
      this.#sink.onControl(this.#opcode, payload);
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
    const { firstLength } = this.#queue;
    if (firstLength >= bytes || bytes === 0) {
      this.#sink.onBinary(this.#queue.take(bytes), NO_MORE);
      return;
    }
    const first = this.#queue.take(Math.min(bytes, Math.max(firstLength, MIN_FIRST_PIECE_BYTES)));
    const rest: Buffer[] = [];
    for (let left = bytes - first.length; left > 0; ) {
      const piece = this.#queue.take(Math.min(left, this.#queue.firstLength));
      left -= piece.length;
      rest.push(piece);
    }
    this.#sink.onBinary(first, rest);
  }

  #deliver(opcode: number, message: Buffer): void {
    if (opcode === Opcode.binary) this.#sink.onBinary(message, NO_MORE);
    else this.#sink.onText(message.toString("utf8"));
  }

  #failTooLarge(why: string): false {
    const [code, what] = this.#isText
      ? (["DPX_MESSAGE_TOO_LARGE", "message"] as const)
      : (["DPX_PACKET_TOO_LARGE", "packet"] as const);
    return this.#fail(ERRORS[code].closeCode, closeReason(code, `The ${what} is too large: ${why}`));
  }

  #fail(code: number, reason: string): false {
    this.stop();
    this.#sink.onFault(code, reason);
    return false;
  }
}
