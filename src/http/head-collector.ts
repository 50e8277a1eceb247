// Gathers the bytes of one head. A head that comes in one read is not copied;
// one that trickles in is copied once (amortised), however small the reads are.

import type { HttpFault } from "./fault.ts";
import type { HttpLimits } from "./limits.ts";

/**
 * The index just after the CRLFCRLF that ends the head which starts at `start`, or -1 when it is not there yet. One
 * empty line before a request line is skipped (RFC 9112 §2.2).
 *
 * @param resumeAt How far `buffer` was searched before, to search no byte twice.
 */
export function findHeadEnd(_buffer: Buffer, _start: number, _resumeAt?: number): number {
  throw new Error("soon");
}

/**
 * One per direction of a connection, reused for each message.
 *
 *     const next = collector.push(chunk, from);
 *     if (next < 0) collector.fault === null ? wait() : fail(collector.fault);
 *     else { read(collector.buffer, collector.start, collector.end); rest of chunk starts at next; collector.clear(); }
 */
export class HeadCollector {
  /** The bytes that hold the head, when `push` found its end: `buffer[start, end)`. Valid until `clear()`. */
  buffer: Buffer = Buffer.alloc(0);
  start = 0;
  end = 0;
  fault: HttpFault | null = null;

  /** @param role `request` refuses at once what can't begin a request (TLS, HTTP/2, binary), before a head's end is there. */
  constructor(_role: "request" | "response", _limits?: HttpLimits) {}

  /** Bytes of an unfinished head that are kept at the moment. 0: between messages. */
  get pendingBytes(): number {
    return 0;
  }

  /** Takes `chunk` from `from` on. Returns the index in `chunk` after the head, or -1: more is needed, or `fault` is set. */
  push(_chunk: Buffer, _from: number): number {
    throw new Error("soon");
  }

  /** Forgets the head, for the next message. */
  clear(): void {}
}
