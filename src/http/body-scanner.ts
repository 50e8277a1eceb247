// Finds a body's end in raw bytes. Never copies and never decodes: the proxy
// passes the bytes on by reference, chunk framing included.

import { CR, FIELD_VALUE, LF, TOKEN } from "./chars.ts";
import { type FaultCode, HttpFault } from "./fault.ts";
import type { Framing } from "./framing.ts";
import { HTTP_LIMITS, type HttpLimits } from "./limits.ts";
import { trailerError } from "./trailers.ts";

/** Where in a body the next byte is. RFC 9112 §7.1, in wire order. */
const State = {
  complete: 0,
  /** `Content-Length`: `#left` bytes to come. */
  length: 1,
  untilClose: 2,
  /** First digit of a chunk's size. */
  size: 3,
  /** More digits, ";" or CR. */
  sizeRest: 4,
  /** chunk-ext = ";" name [ "=" ( token / quoted-string ) ], without the white space that §7.1.1 calls bad. */
  extensionName: 5,
  extensionNameRest: 6,
  extensionValue: 7,
  extensionToken: 8,
  extensionQuoted: 9,
  extensionEscape: 10,
  extensionQuotedEnd: 11,
  /** The LF that ends the chunk's line. */
  sizeLf: 12,
  /** `#left` bytes of content to come. */
  content: 13,
  contentCr: 14,
  contentLf: 15,
  /** Trailer lines, to the empty one. */
  trailer: 16,
  failed: 17,
} as const;
type State = (typeof State)[keyof typeof State];

const SEMICOLON = 0x3b;
const EQUALS = 0x3d;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/** Value of a hex digit by byte; 255 for others. */
const HEX = Uint8Array.from({ length: 256 }, (_, code) => {
  const value = Number.parseInt(String.fromCharCode(code), 16);
  return Number.isNaN(value) ? 255 : value;
});
/** The largest size to which one more hex digit may be added and stay at most 2^53-1. */
const MAX_BEFORE_DIGIT = 2 ** 49 - 1;

/**
 * One per direction of a connection, reused for each message.
 *
 *     scanner.begin(head.framing);          // scanner.isComplete is true at once for `none` and length 0
 *     const end = scanner.scan(chunk, from); // chunk[from, end) belongs to this body
 *     if (end < 0) fail(scanner.fault);      // nothing of chunk may be passed on
 *     if (scanner.isComplete) next message starts at end;
 */
export class BodyScanner {
  fault: HttpFault | null = null;
  /** Bytes of content seen in this body, without chunk framing and trailers. */
  contentBytes = 0;
  readonly #code: FaultCode;
  readonly #limits: HttpLimits;
  #state: State = State.complete;
  /** Bytes to come of the content or chunk; while its digits are read, the chunk's size. */
  #left = 0;
  #lineBytes = 0;
  #extensionBytes = 0;
  #trailerBytes = 0;
  /** A trailer line that is not complete yet. */
  #trailerLine = "";

  /** @param code What a malformed body is called: DPX_REQUEST_INVALID or DPX_TARGET_ANSWER. */
  constructor(code: FaultCode, limits: HttpLimits = HTTP_LIMITS) {
    this.#code = code;
    this.#limits = limits;
  }

  get isComplete(): boolean {
    return this.#state === State.complete;
  }

  begin(framing: Framing): void {
    this.fault = null;
    this.contentBytes = 0;
    this.#left = 0;
    switch (framing.kind) {
      case "none":
        this.#state = State.complete;
        return;
      case "length":
        this.#left = framing.bytes;
        this.#state = framing.bytes === 0 ? State.complete : State.length;
        return;
      case "chunked":
        this.#lineBytes = 0;
        this.#extensionBytes = 0;
        this.#trailerBytes = 0;
        this.#trailerLine = "";
        this.#state = State.size;
        return;
      case "close":
        this.#state = State.untilClose;
        return;
    }
  }

  /**
   * Returns the index after the last byte of `chunk` (from `from`) that belongs to the body, or -1 with `fault` set.
   *
   * @param content Gets the pieces of content, by reference and in order. For `dechunk`.
   */
  scan(chunk: Buffer, from: number, content: Buffer[] | null = null): number {
    let at = from;
    while (at < chunk.length && this.#state !== State.complete) {
      at = this.#step(chunk, at, content);
      if (at < 0) return -1;
    }
    return at;
  }

  /** The sender ended its direction: true when the body is complete with that (it was, or its framing is `close`). */
  end(): boolean {
    if (this.#state === State.untilClose) this.#state = State.complete;
    return this.#state === State.complete;
  }

  #step(chunk: Buffer, at: number, content: Buffer[] | null): number {
    switch (this.#state) {
      case State.length:
        return this.#takeContent(chunk, at, State.complete, content);
      case State.untilClose:
        this.#left = chunk.length - at;
        return this.#takeContent(chunk, at, State.untilClose, content);
      case State.content:
        return this.#takeContent(chunk, at, State.contentCr, content);
      case State.contentCr:
        if (chunk[at] !== CR) return this.#fail("a chunk's content is not followed by CRLF");
        this.#state = State.contentLf;
        return at + 1;
      case State.contentLf:
        if (chunk[at] !== LF) return this.#fail("a chunk's content is not followed by CRLF");
        this.#state = State.size;
        return at + 1;
      case State.size:
      case State.sizeRest:
        return this.#takeSize(chunk, at);
      case State.sizeLf:
        if (chunk[at] !== LF) return this.#fail("a chunk's line holds a CR without LF");
        this.#lineBytes = 0;
        this.#state = this.#left === 0 ? State.trailer : State.content;
        return at + 1;
      case State.trailer:
        return this.#takeTrailer(chunk, at);
      case State.failed:
        return -1;
      default:
        return this.#takeExtension(chunk, at);
    }
  }

  #takeContent(chunk: Buffer, at: number, next: State, content: Buffer[] | null): number {
    const end = Math.min(chunk.length, at + this.#left);
    if (content !== null) content.push(chunk.subarray(at, end));
    this.contentBytes += end - at;
    this.#left -= end - at;
    if (this.#left === 0) this.#state = next;
    return end;
  }

  #takeSize(chunk: Buffer, start: number): number {
    let at = start;
    if (this.#state === State.size) {
      const digit = HEX[chunk[at] ?? 0] ?? 255;
      if (digit === 255) return this.#fail("a chunk's size does not begin with a hex digit");
      this.#left = digit;
      this.#lineBytes = 1;
      this.#state = State.sizeRest;
      at++;
    }
    for (; at < chunk.length; at++) {
      const code = chunk[at] ?? 0;
      const digit = HEX[code] ?? 255;
      if (digit === 255) {
        if (code === CR) this.#state = State.sizeLf;
        else if (code === SEMICOLON) this.#state = State.extensionName;
        else return this.#fail("a chunk's size is followed by something that is no digit, extension or CRLF");
        return at + 1;
      }
      if (this.#left > MAX_BEFORE_DIGIT) return this.#fail("a chunk's size passes 2^53-1");
      this.#left = this.#left * 16 + digit;
      if (++this.#lineBytes > this.#limits.maxChunkLineBytes) return this.#fail("a chunk's line is too long");
    }
    return at;
  }

  /** One byte of a chunk extension. They are rare and bounded, so a byte at a time will do. */
  #takeExtension(chunk: Buffer, at: number): number {
    const code = chunk[at] ?? 0;
    if (++this.#lineBytes > this.#limits.maxChunkLineBytes) return this.#fail("a chunk's line is too long");
    if (++this.#extensionBytes > this.#limits.maxExtensionBytes) return this.#fail("its chunk extensions are too long");
    const next = nextInExtension(this.#state, code);
    if (next === State.failed) return this.#fail("a chunk extension is malformed");
    this.#state = next;
    return at + 1;
  }

  #takeTrailer(chunk: Buffer, at: number): number {
    const lf = chunk.indexOf(LF, at);
    const end = lf < 0 ? chunk.length : lf + 1;
    this.#trailerBytes += end - at;
    if (this.#trailerBytes > this.#limits.maxTrailerBytes) return this.#fail("its trailer section is too long");
    this.#trailerLine += chunk.toString("latin1", at, end);
    if (lf < 0) return end;
    const line = this.#trailerLine;
    this.#trailerLine = "";
    if (line === "\r\n") {
      this.#state = State.complete;
      return end;
    }
    const error = trailerError(line);
    return error === null ? end : this.#fail(error);
  }

  #fail(why: string): -1 {
    this.#state = State.failed;
    const whose = this.#code === "DPX_TARGET_ANSWER" ? "the target's answer" : "the request";
    this.fault = new HttpFault(this.#code, `Cannot read the body of ${whose}: ${why}`);
    return -1;
  }
}

function nextInExtension(state: State, code: number): State {
  switch (state) {
    case State.extensionName:
      return TOKEN[code] === 1 ? State.extensionNameRest : State.failed;
    case State.extensionNameRest:
      if (TOKEN[code] === 1) return state;
      return code === EQUALS ? State.extensionValue : afterExtension(code);
    case State.extensionValue:
      if (code === QUOTE) return State.extensionQuoted;
      return TOKEN[code] === 1 ? State.extensionToken : State.failed;
    case State.extensionToken:
      return TOKEN[code] === 1 ? state : afterExtension(code);
    case State.extensionQuoted:
      if (code === QUOTE) return State.extensionQuotedEnd;
      if (code === BACKSLASH) return State.extensionEscape;
      return FIELD_VALUE[code] === 1 ? state : State.failed;
    case State.extensionEscape:
      return FIELD_VALUE[code] === 1 ? State.extensionQuoted : State.failed;
    default:
      return afterExtension(code);
  }
}

function afterExtension(code: number): State {
  if (code === SEMICOLON) return State.extensionName;
  return code === CR ? State.sizeLf : State.failed;
}
