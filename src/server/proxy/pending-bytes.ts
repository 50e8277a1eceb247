// What a visitor has sent and nobody has read yet, in order. Its owner stops reading before it grows without bound.

const NONE: readonly Buffer[] = [];

export class PendingBytes {
  #chunks: Buffer[] | null = null;
  /** Bytes in it. */
  length = 0;

  push(chunk: Buffer): void {
    this.length += chunk.length;
    if (this.#chunks === null) this.#chunks = [chunk];
    else this.#chunks.push(chunk);
  }

  /** Gives back the unread rest of what `shift` gave. */
  putBack(chunk: Buffer): void {
    this.length += chunk.length;
    if (this.#chunks === null) this.#chunks = [chunk];
    else this.#chunks.unshift(chunk);
  }

  /** The first chunk, or null when it is empty. */
  shift(): Buffer | null {
    const chunk = this.#chunks?.shift() ?? null;
    if (chunk !== null) this.length -= chunk.length;
    return chunk;
  }

  /** All of it; it is empty then. */
  takeAll(): readonly Buffer[] {
    const chunks = this.#chunks ?? NONE;
    this.#chunks = null;
    this.length = 0;
    return chunks;
  }
}
