// Remembers heads by all of their bytes: clients repeat themselves, and a head
// that was read once need not be read again. Bounded in entries and in bytes.

import type { HttpFault } from "./fault.ts";
import type { HttpLimits } from "./limits.ts";
import type { RequestHead } from "./request-head.ts";
import type { AnswerContext, ResponseHead } from "./response-head.ts";

export interface HeadCacheOptions {
  /** Slots, rounded up to a power of two. @default 512 */
  readonly maxEntries?: number;
  /** Bytes of heads kept, in all. @default 1_048_576 */
  readonly maxBytes?: number;
  readonly limits?: HttpLimits;
}

/** One for a whole proxy. Heads that come out of it are shared: they are immutable. */
export class RequestHeadCache {
  constructor(_options?: HeadCacheOptions) {}

  /** The head in `buffer[start, end)`: from the cache, or parsed. Faults are never kept. */
  read(_buffer: Buffer, _start: number, _end: number): RequestHead | HttpFault {
    throw new Error("soon");
  }
}

/** The same for answers. Answers to HEAD, 101s and interim ones are read each time. */
export class ResponseHeadCache {
  constructor(_options?: HeadCacheOptions) {}

  read(_buffer: Buffer, _start: number, _end: number, _request: AnswerContext): ResponseHead | HttpFault {
    throw new Error("soon");
  }
}
