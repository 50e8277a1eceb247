// A stream without a session: remembers what the splice does with it, and has as much credit as the test says.

import type { ErrorCode, Stream, StreamHandler } from "../../src/protocol/index.ts";

const DEAF: StreamHandler = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset() {} };

export class FakeStream implements Stream {
  readonly sendCredit = 16_777_216;
  readonly id = 1;
  handler: StreamHandler = DEAF;
  isLive = true;
  writtenBytes = 0;
  isAccepted = false;
  hasEnded = false;
  wasReset: { readonly code: ErrorCode; readonly deliveredBytes: number | undefined } | null = null;
  consumedBytes = 0;
  /** What `write` answers. */
  hasCredit = true;
  readonly chunks: Buffer[] = [];
  readonly calls: string[] = [];
  #waiting: (() => void)[] = [];

  get text(): string {
    return Buffer.concat(this.chunks).toString();
  }

  accept(): void {
    this.isAccepted = true;
    this.#called("accept");
  }

  write(chunk: Buffer): boolean {
    // As the real one: small ones are copied, larger ones taken over.
    this.chunks.push(chunk.length <= 16_384 ? Buffer.from(chunk) : chunk);
    this.writtenBytes += chunk.length;
    this.#called("write");
    return this.hasCredit;
  }

  end(): void {
    this.hasEnded = true;
    this.#called("end");
  }

  reset(code: ErrorCode, deliveredBytes?: number): void {
    this.wasReset ??= { code, deliveredBytes };
    this.#called("reset");
  }

  consume(bytes: number): void {
    this.consumedBytes += bytes;
    this.#called("consume");
  }

  /** Resolves as soon as `isTrue` holds, looking after each call of the splice. */
  async until(isTrue: (stream: this) => boolean): Promise<void> {
    while (!isTrue(this)) await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #called(what: string): void {
    this.calls.push(what);
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const wake of waiting) wake();
  }
}
