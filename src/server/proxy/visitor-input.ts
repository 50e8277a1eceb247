// What a visitor has sent and nobody has read yet, in order. It is read as far as its connection can take it, and the
// socket rests when too much waits: a visitor never makes it grow without bound.

import { MAX_PENDING_BYTES } from "./options.ts";
import { VisitorOutput } from "./visitor-output.ts";

/** More chunks than this are joined: bytes that trickle in would cost many times their size, and the queue's shifts more. */
const MAX_WAITING_CHUNKS = 64;

export abstract class VisitorInput extends VisitorOutput {
  /** Most of the time there is one chunk or none. */
  #first: Buffer | null = null;
  readonly #more: Buffer[] = [];
  #waitingBytes = 0;
  #isReading = false;
  #isPaused = false;

  /** Whether a chunk could be read now. */
  protected abstract canRead(): boolean;
  /** Reads a chunk; gives back with `putBack` what it can't use yet. */
  protected abstract read(chunk: Buffer): void;
  /** Whether the socket should rest although little waits here. */
  protected abstract mustRest(): boolean;
  /** As much was read as can be at the moment. */
  protected abstract onRead(): void;

  /** Bytes that wait. */
  protected get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** Takes what came from the socket, and reads it if that can be. */
  protected accept(chunk: Buffer): void {
    this.#waitingBytes += chunk.length;
    if (this.#first === null) this.#first = chunk;
    else if (this.#more.push(chunk) > MAX_WAITING_CHUNKS)
      this.#more.splice(0, this.#more.length, Buffer.concat(this.#more));
    this.readOn();
  }

  /** Reads on. What is read may call this again: it returns at once then, and the first call goes on. */
  protected readOn(): void {
    if (this.#isReading) return;
    this.#isReading = true;
    while (this.#first !== null && this.canRead()) {
      const chunk = this.#first;
      this.#first = this.#more.shift() ?? null;
      this.#waitingBytes -= chunk.length;
      this.read(chunk);
    }
    this.#isReading = false;
    this.onRead();
    this.#balance();
  }

  /** Gives back what is unread of `chunk`, which is being read: all from `from` on. */
  protected putBack(chunk: Buffer, from: number): void {
    // Making a view costs more than all else here, and mostly there is nothing to view.
    if (from === chunk.length) return;
    this.#waitingBytes += chunk.length - from;
    if (this.#first !== null) this.#more.unshift(this.#first);
    this.#first = chunk.subarray(from);
  }

  /** All that waits; nothing does then. */
  protected takeWaiting(): Buffer[] {
    const chunks = this.#first === null ? [] : [this.#first, ...this.#more];
    this.#first = null;
    this.#more.length = 0;
    this.#waitingBytes = 0;
    return chunks;
  }

  #balance(): void {
    const mustPause = this.#waitingBytes > MAX_PENDING_BYTES || this.mustRest();
    if (mustPause === this.#isPaused) return;
    this.#isPaused = mustPause;
    if (mustPause) this.socket.pause();
    else this.socket.resume();
  }
}
