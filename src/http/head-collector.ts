// Gathers the bytes of one head. A head that comes in one read is not copied;
// one that trickles in is copied once (amortised), however small the reads are.

import { CR, LF } from "./chars.ts";
import { HttpFault } from "./fault.ts";
import { HTTP_LIMITS, type HttpLimits } from "./limits.ts";

/**
 * The index just after the CRLFCRLF that ends the head which starts at `start`, or -1 when it is not there yet. One
 * empty line before a request line is skipped (RFC 9112 §2.2): it is part of what is delimited.
 *
 * @param resumeAt How far `buffer` was searched before, to search no byte twice.
 */
export function findHeadEnd(buffer: Buffer, start: number, resumeAt = start): number {
  const first = buffer[start] === CR && buffer[start + 1] === LF ? start + 2 : start;
  let at = Math.max(first, resumeAt - 3);
  if (buffer.length - at > SHORT_BYTES) {
    const mark = buffer.indexOf(END_MARK, at);
    return mark < 0 ? -1 : mark + 4;
  }
  // By the mark's last byte: every fourth byte is enough to look at, unless it could be one of the mark's.
  at += 3;
  while (at < buffer.length) {
    const code = buffer[at];
    if (code === LF) {
      if (buffer[at - 1] === CR && buffer[at - 2] === LF && buffer[at - 3] === CR) return at + 1;
      at += 2;
    } else {
      at += code === CR ? 1 : 4;
    }
  }
  return -1;
}

const END_MARK = Buffer.from("\r\n\r\n");
/** Up to here a loop finds the mark sooner than a call of `indexOf`, which costs some 100 ns. */
const SHORT_BYTES = 256;
const CAPITAL_H = 0x48;
const EMPTY = Buffer.alloc(0);
/** Room for a usual head, so that one that comes in two reads is copied once. */
const FIRST_ROOM_BYTES = 2_048;

/**
 * One per direction of a connection, reused for each message.
 *
 *     const next = collector.push(chunk, from);
 *     if (next < 0) collector.fault === null ? wait() : fail(collector.fault);
 *     else { read(collector.buffer, collector.start, collector.end); rest of chunk starts at next; collector.clear(); }
 */
export class HeadCollector {
  /** The bytes that hold the head, when `push` found its end: `buffer[start, end)`. Valid until `clear()`. */
  buffer: Buffer = EMPTY;
  start = 0;
  end = 0;
  fault: HttpFault | null = null;
  readonly #role: "request" | "response";
  readonly #maxHeadBytes: number;
  #pending = EMPTY;
  #pendingBytes = 0;

  /** @param role What can't begin a request (TLS, binary) or an answer (SSH's banner) is refused before a head's end is there. */
  constructor(role: "request" | "response", limits: HttpLimits = HTTP_LIMITS) {
    this.#role = role;
    this.#maxHeadBytes = limits.maxHeadBytes;
  }

  /** Bytes of an unfinished head that are kept at the moment. 0: between messages. */
  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Takes `chunk` from `from` on. Returns the index in `chunk` after the head, or -1: more is needed, or `fault` is set. */
  push(chunk: Buffer, from: number): number {
    if (this.#pendingBytes > 0) return this.#append(chunk, from);
    if (from >= chunk.length) return -1;
    if (!this.#canBegin(chunk[from] ?? 0)) return -1;
    const end = findHeadEnd(chunk, from);
    if (end < 0) return this.#append(chunk, from);
    if (end - from > this.#maxHeadBytes) return this.#tooLarge();
    this.buffer = chunk;
    this.start = from;
    this.end = end;
    return end;
  }

  /** Forgets the head, for the next message. */
  clear(): void {
    this.buffer = EMPTY;
    this.start = 0;
    this.end = 0;
    this.#pending = EMPTY;
    this.#pendingBytes = 0;
  }

  #append(chunk: Buffer, from: number): number {
    const before = this.#pendingBytes;
    const taken = Math.min(chunk.length - from, this.#maxHeadBytes - before);
    this.#reserve(before + taken);
    chunk.copy(this.#pending, before, from, from + taken);
    this.#pendingBytes = before + taken;
    const head = this.#pending.subarray(0, before + taken);
    const end = findHeadEnd(head, 0, before);
    if (end < 0) return head.length === this.#maxHeadBytes ? this.#tooLarge() : -1;
    this.buffer = head;
    this.end = end;
    return from + end - before;
  }

  #reserve(bytes: number): void {
    if (bytes <= this.#pending.length) return;
    const room = Math.max(FIRST_ROOM_BYTES, bytes, this.#pending.length * 2);
    const grown = Buffer.allocUnsafe(Math.min(room, this.#maxHeadBytes));
    this.#pending.copy(grown, 0, 0, this.#pendingBytes);
    this.#pending = grown;
  }

  /** RFC 9112 §3: a method is a token, and all that we pass on are upper case. §4: an answer begins with `HTTP`. */
  #canBegin(first: number): boolean {
    if (first === CR) return true;
    if (this.#role === "response") {
      if (first === CAPITAL_H) return true;
      // Many servers of other protocols speak first and then wait for ever, as we would.
      this.fault = new HttpFault("DPX_TARGET_ANSWER", "Cannot read the target's answer: it does not begin with HTTP");
      return false;
    }
    if (first >= 0x41 && first <= 0x5a) return true;
    // 22: a TLS handshake record (RFC 8446 §5.1).
    const why = first === 22 ? "it is TLS, on a port for plain HTTP" : "its first byte is no upper-case letter";
    this.fault = new HttpFault("DPX_REQUEST_INVALID", `Cannot read the request: ${why}`);
    return false;
  }

  #tooLarge(): -1 {
    const max = this.#maxHeadBytes;
    this.fault =
      this.#role === "request"
        ? new HttpFault("DPX_HEAD_TOO_LARGE", `Cannot read the request: its head passes ${max} bytes`)
        : new HttpFault("DPX_TARGET_ANSWER", `Cannot read the target's answer: its head passes ${max} bytes`);
    return -1;
  }
}
