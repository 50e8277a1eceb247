// Remembers heads by all of their bytes: clients repeat themselves, and a head
// that was read once need not be read again. Bounded in entries and in bytes.

import type { HttpFault } from "./fault.ts";
import { headSource } from "./fields.ts";
import { HTTP_LIMITS, type HttpLimits } from "./limits.ts";
import { type RequestHead, readRequestHead } from "./request-head.ts";
import { type AnswerContext, type ResponseHead, readResponseHead } from "./response-head.ts";

export interface HeadCacheOptions {
  /** Heads kept at once, rounded up to four times a power of two. @default 512 */
  readonly maxEntries?: number;
  /** Bytes of heads kept, in all. A head longer than an eighth of it is never kept. @default 524_288 */
  readonly maxBytes?: number;
  readonly limits?: HttpLimits;
}

interface Entry<T> {
  readonly hash: number;
  readonly bytes: Buffer;
  readonly head: T;
}

/** Entries that share one place, for heads whose hashes are equal though some byte differs. */
const WAYS = 4;
/** How many bytes of a head its hash is made of, beside its beginning. All bytes are compared before a head is taken. */
const SAMPLES = 32;

/**
 * Each head has one set of `WAYS` slots, so a lookup is one comparison, seldom more, and an attacker who knows the hash
 * can only make it miss. A head is kept when it is seen for the second time: one that never comes back costs nothing.
 */
class HeadCache<T> {
  readonly #slots: (Entry<T> | undefined)[];
  /** The hash that last missed in each set. */
  readonly #seen: Int32Array;
  /** Which slot of each set is taken over next. */
  readonly #victim: Uint8Array;
  readonly #mask: number;
  readonly #maxBytes: number;
  #bytes = 0;
  /** Where the next slot to be emptied is looked for, when there are too many bytes. */
  #hand = 0;

  constructor(options: HeadCacheOptions) {
    const sets = 2 ** Math.ceil(Math.log2(Math.max(1, (options.maxEntries ?? 512) / WAYS)));
    this.#slots = new Array<Entry<T> | undefined>(sets * WAYS).fill(undefined);
    this.#seen = new Int32Array(sets);
    this.#victim = new Uint8Array(sets);
    this.#mask = sets - 1;
    this.#maxBytes = options.maxBytes ?? 524_288;
  }

  get bytes(): number {
    return this.#bytes;
  }

  find(buffer: Buffer, start: number, end: number, hash: number): T | null {
    const first = (hash & this.#mask) * WAYS;
    for (let slot = first; slot < first + WAYS; slot++) {
      const entry = this.#slots[slot];
      if (entry === undefined || entry.hash !== hash || entry.bytes.length !== end - start) continue;
      if (buffer.compare(entry.bytes, 0, entry.bytes.length, start, end) === 0) return entry.head;
    }
    return null;
  }

  /** Keeps `head`, if these bytes missed here before. */
  offer(buffer: Buffer, start: number, end: number, hash: number, head: T): void {
    const set = hash & this.#mask;
    if (this.#seen[set] !== hash) {
      this.#seen[set] = hash;
      return;
    }
    const length = end - start;
    if (length > this.#maxBytes >> 3) return;
    const victim = this.#victim[set] ?? 0;
    this.#victim[set] = (victim + 1) % WAYS;
    this.#drop(set * WAYS + victim);
    while (this.#bytes + length > this.#maxBytes) {
      this.#drop(this.#hand);
      this.#hand = (this.#hand + 1) % this.#slots.length;
    }
    // Its own memory: a slice would keep a whole read buffer alive.
    const bytes = Buffer.allocUnsafeSlow(length);
    buffer.copy(bytes, 0, start, end);
    this.#slots[set * WAYS + victim] = { hash, bytes, head };
    this.#bytes += length;
  }

  #drop(slot: number): void {
    this.#bytes -= this.#slots[slot]?.bytes.length ?? 0;
    this.#slots[slot] = undefined;
  }
}

function hashOf(buffer: Buffer, start: number, end: number): number {
  const length = end - start;
  const step = Math.max(1, Math.floor(length / SAMPLES));
  let hash = length;
  for (let at = start; at < end; at += step) hash = (Math.imul(hash, 31) + (buffer[at] ?? 0)) | 0;
  // The request line differs most; a path's end is near byte 40.
  const lineEnd = Math.min(end, start + 48);
  for (let at = start + 4; at < lineEnd; at++) hash = (Math.imul(hash, 31) + (buffer[at] ?? 0)) | 0;
  return hash ^ (hash >>> 15);
}

/** One for a whole proxy. Heads that come out of it are shared: they are immutable. */
export class RequestHeadCache {
  readonly #cache: HeadCache<RequestHead>;
  readonly #limits: HttpLimits;

  constructor(options: HeadCacheOptions = {}) {
    this.#cache = new HeadCache(options);
    this.#limits = options.limits ?? HTTP_LIMITS;
  }

  /** Bytes of heads that are kept. */
  get bytes(): number {
    return this.#cache.bytes;
  }

  /** The head in `buffer[start, end)`: from the cache, or parsed. Faults are never kept. */
  read(buffer: Buffer, start: number, end: number): RequestHead | HttpFault {
    const hash = hashOf(buffer, start, end);
    const known = this.#cache.find(buffer, start, end, hash);
    if (known !== null) return known;
    const head = readRequestHead(headSource(buffer, start, end), this.#limits);
    if (head.kind === "request") this.#cache.offer(buffer, start, end, hash, head);
    return head;
  }
}

/** The same for answers. Answers to HEAD, to upgrades and interim ones are read each time. */
export class ResponseHeadCache {
  readonly #cache: HeadCache<ResponseHead>;
  readonly #limits: HttpLimits;

  constructor(options: HeadCacheOptions = {}) {
    this.#cache = new HeadCache(options);
    this.#limits = options.limits ?? HTTP_LIMITS;
  }

  /** Bytes of heads that are kept. */
  get bytes(): number {
    return this.#cache.bytes;
  }

  read(buffer: Buffer, start: number, end: number, request: AnswerContext): ResponseHead | HttpFault {
    // The same bytes mean something else there.
    if (request.method === "HEAD" || request.upgrade !== null) {
      return readResponseHead(headSource(buffer, start, end), request, this.#limits);
    }
    const hash = hashOf(buffer, start, end);
    const known = this.#cache.find(buffer, start, end, hash);
    if (known !== null) return known;
    const head = readResponseHead(headSource(buffer, start, end), request, this.#limits);
    if (head.kind === "response" && !head.isInterim) this.#cache.offer(buffer, start, end, hash, head);
    return head;
  }
}
