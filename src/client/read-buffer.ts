// Memory that one target's socket is read into. Small reads go to one buffer
// that all sockets of the process share; a socket that moves bulk gets slabs of
// its own, whose pieces are handed on without a copy. Touches no socket.

import { MAX_COPIED_BYTES } from "../protocol/index.ts";

export const SLAB_BYTES = 262_144;
/** The rest of a slab is read into while it is at least this long. */
export const MIN_READ_BYTES = 65_536;
/** After so many small reads in a row a slab is given back. */
const SMALL_READS = 8;

// Valid only inside the callback of one read: whatever stays in it is overwritten by the next read of any socket.
const shared = Buffer.allocUnsafeSlow(MIN_READ_BYTES);

export class ReadBuffer {
  /** What the next read goes to. */
  current: Buffer = shared;
  #smallReads = 0;

  /**
   * The bytes of a read of `length` into `current`. Above `MAX_COPIED_BYTES` the result is never written again;
   * up to that it holds only until the next read, so the caller copies it, as `Stream.write` does.
   *
   * @param sendableBytes What the stream may send beyond this read: more is not read ahead, since it would only wait.
   */
  take(length: number, sendableBytes: number): Buffer {
    const { current } = this;
    if (length <= MAX_COPIED_BYTES) {
      this.#smallReads += 1;
      if (this.#smallReads >= SMALL_READS) this.current = shared;
      return current.subarray(0, length);
    }
    this.#smallReads = 0;
    if (current === shared) {
      // The one copy that it costs to find out that this socket moves bulk.
      const own = Buffer.allocUnsafeSlow(length);
      current.copy(own, 0, 0, length);
      this.current = newSlab(sendableBytes);
      return own;
    }
    const rest = current.length - length;
    this.current = rest >= MIN_READ_BYTES ? current.subarray(length) : newSlab(sendableBytes);
    return current.subarray(0, length);
  }

  /** The reader pauses, perhaps for long: a slab that nothing of is in use yet is given back. */
  rest(): void {
    if (this.current.byteLength === this.current.buffer.byteLength) this.current = shared;
  }
}

function newSlab(sendableBytes: number): Buffer {
  return Buffer.allocUnsafeSlow(sendableBytes < SLAB_BYTES ? MIN_READ_BYTES : SLAB_BYTES);
}
