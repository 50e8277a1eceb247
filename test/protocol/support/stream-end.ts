// One end of a stream as an application would hold it: writes bytes that can be told from any others, reads at its own
// pace, and remembers every event, so that a test can hold the two ends against each other.

import type { DuplexityError, ErrorCode, Stream, StreamHandler } from "../../../src/protocol/index.ts";
import { MAX_COPIED_BYTES } from "../../../src/protocol/index.ts";
import { seededBytes } from "../../support/seeded.ts";

const PATTERN_BYTES = 1_048_573;
const PATTERN = seededBytes(1, PATTERN_BYTES);
const MAX_CHUNK_BYTES = 400_000;
const PATTERN_TWICE = Buffer.concat([PATTERN, PATTERN.subarray(0, MAX_CHUNK_BYTES)]);

/** The bytes of one direction, by position: `key` tells directions apart. */
export function expectedBytes(key: number, offset: number, length: number): Buffer {
  const start = (key * 104_729 + offset) % PATTERN_BYTES;
  return PATTERN_TWICE.subarray(start, start + length);
}

export class StreamEnd implements StreamHandler {
  readonly name: string;
  stream: Stream | undefined;
  writtenBytes = 0;
  receivedBytes = 0;
  isAccepted = false;
  /** What this end did. */
  hasEnded = false;
  hasReset = false;
  /** What it was told. */
  sawEnd = false;
  resetError: DuplexityError | null = null;
  deliveredBytes: number | null = null;
  drains = 0;
  /** Reads nothing while set: what comes is kept and not consumed. */
  isStalled = false;
  /** Waits for `onDrain` before it writes on. */
  isObedient = true;
  onEvent: ((event: "accept" | "data" | "end" | "drain" | "reset") => void) | null = null;

  readonly #writeKey: number;
  readonly #readKey: number;
  #unconsumedBytes = 0;
  #mustWait = false;
  readonly #waiting: { readonly size: number; readonly asText: boolean }[] = [];
  #endsAfterWaiting = false;
  readonly #kept: Buffer[] = [];
  #failure: Error | null = null;

  constructor(name: string, writeKey: number, readKey: number) {
    this.name = name;
    this.#writeKey = writeKey;
    this.#readKey = readKey;
  }

  get isOver(): boolean {
    return this.hasReset || this.resetError !== null || (this.sawEnd && this.hasEnded && this.#waiting.length === 0);
  }

  get isWaiting(): boolean {
    return this.#mustWait;
  }

  write(size: number, asText = false): void {
    if (this.hasEnded || this.isGone || this.#endsAfterWaiting) return;
    if (this.isObedient && this.#mustWait) this.#waiting.push({ size, asText });
    else this.#writeNow(size, asText);
  }

  end(): void {
    if (this.hasEnded || this.isGone) return;
    if (this.#waiting.length > 0) {
      this.#endsAfterWaiting = true;
      return;
    }
    this.hasEnded = true;
    this.stream?.end();
  }

  reset(code: ErrorCode, deliveredBytes?: number): void {
    if (this.isGone) return;
    const wasOver = this.isOver;
    this.stream?.reset(code, deliveredBytes);
    if (!wasOver) this.hasReset = true;
  }

  stall(): void {
    this.isStalled = true;
  }

  /** Reads on, and gives back the credit of what it has kept. */
  readOn(): void {
    this.isStalled = false;
    const bytes = this.#unconsumedBytes;
    this.#unconsumedBytes = 0;
    if (bytes > 0) this.stream?.consume(bytes);
  }

  /** Gives back the credit for a part of what it has kept. */
  consumeSome(bytes: number): void {
    const some = Math.min(bytes, this.#unconsumedBytes);
    this.#unconsumedBytes -= some;
    if (some > 0) this.stream?.consume(some);
  }

  get isGone(): boolean {
    return this.hasReset || this.resetError !== null;
  }

  /** Throws what was wrong with any event so far; looks once more at every byte that was kept. */
  check(): void {
    if (this.#failure !== null) throw this.#failure;
    let offset = 0;
    for (const chunk of this.#kept) {
      if (!chunk.equals(expectedBytes(this.#readKey, offset, chunk.length))) {
        throw new Error(`${this.name}: a chunk of ${chunk.length} bytes at ${offset} changed after it had arrived`);
      }
      offset += chunk.length;
    }
  }

  onAccept(): void {
    this.#expect(!this.isAccepted && !this.isGone, "accept came twice, or after the end");
    this.isAccepted = true;
    this.onEvent?.("accept");
  }

  onData(chunk: Buffer): void {
    this.#expect(!this.sawEnd && !this.isGone, "data came after the end");
    this.#expect(
      chunk.equals(expectedBytes(this.#readKey, this.receivedBytes, chunk.length)),
      `wrong bytes: ${chunk.length} at ${this.receivedBytes}`,
    );
    this.receivedBytes += chunk.length;
    this.#kept.push(chunk);
    this.#unconsumedBytes += chunk.length;
    if (!this.isStalled) this.readOn();
    this.onEvent?.("data");
  }

  onEnd(): void {
    this.#expect(!this.sawEnd && !this.isGone, "end came twice, or after a reset");
    this.sawEnd = true;
    this.onEvent?.("end");
  }

  onDrain(): void {
    this.drains += 1;
    this.#expect(this.#mustWait && !this.isGone, "drain came unasked");
    this.#mustWait = false;
    while (!this.#mustWait) {
      const next = this.#waiting.shift();
      if (next === undefined) break;
      this.#writeNow(next.size, next.asText);
    }
    if (this.#waiting.length === 0 && this.#endsAfterWaiting) {
      this.#endsAfterWaiting = false;
      this.end();
    }
    this.onEvent?.("drain");
  }

  onReset(error: DuplexityError, deliveredBytes: number | null): void {
    // It may come after both ends: what was written last may not have gone out yet.
    this.#expect(!this.isGone, `reset (${error.code}) came after a reset`);
    this.resetError = error;
    this.deliveredBytes = deliveredBytes;
    this.#waiting.length = 0;
    this.onEvent?.("reset");
  }

  #writeNow(size: number, asText: boolean): void {
    const bytes = Buffer.from(expectedBytes(this.#writeKey, this.writtenBytes, size));
    this.writtenBytes += size;
    const canGoOn = this.stream?.write(asText ? bytes.toString("latin1") : bytes) ?? true;
    // Borrowed memory is the caller's again at once; a larger buffer has been handed over.
    if (size <= MAX_COPIED_BYTES) bytes.fill(0xee);
    if (!canGoOn) this.#mustWait = true;
  }

  #expect(isRight: boolean, what: string): void {
    if (!isRight) this.#failure ??= new Error(`${this.name}: ${what}`);
  }
}
