// Bytes as they were read off a socket, taken off again in other pieces: by
// reference where one read has them all. Knows no protocol.

/** More chunks than this are joined: bytes that trickle in would cost many times their size. */
const MAX_CHUNKS = 1_024;
const NOTHING = Buffer.alloc(0);

export class ChunkQueue {
  byteLength = 0;
  #chunks: Buffer[] = [];

  /** How many bytes the next `take` can have without a copy. */
  get firstLength(): number {
    return this.#chunks[0]?.length ?? 0;
  }

  push(chunk: Buffer): void {
    if (this.#chunks.push(chunk) > MAX_CHUNKS) this.#chunks = [Buffer.concat(this.#chunks)];
    this.byteLength += chunk.length;
  }

  clear(): void {
    this.#chunks = [];
    this.byteLength = 0;
  }

  /** The byte at `index`; the caller knows that it is there. */
  peek(index: number): number {
    let left = index;
    for (const chunk of this.#chunks) {
      if (left < chunk.length) return chunk[left] ?? 0;
      left -= chunk.length;
    }
    return 0;
  }

  /** The next `bytes` bytes, which the caller knows to be there: by reference when one chunk has them all. */
  take(bytes: number): Buffer {
    this.byteLength -= bytes;
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
