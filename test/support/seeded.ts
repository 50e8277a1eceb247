// Bytes that look random and are the same for the same seed on both sides, made as fast as the CPU does AES.

import { createCipheriv, createHash, type Hash } from "node:crypto";

const CHUNK_BYTES = 262_144;
const zeros = Buffer.alloc(CHUNK_BYTES);

/** `size` bytes for `seed`, in chunks that are never reused. */
export function* seededChunks(seed: number, size: number): Generator<Buffer> {
  const key = Buffer.alloc(16);
  key.writeUInt32BE(seed);
  const cipher = createCipheriv("aes-128-ctr", key, Buffer.alloc(16));
  for (let left = size; left > 0; left -= CHUNK_BYTES) {
    yield cipher.update(left >= CHUNK_BYTES ? zeros : zeros.subarray(0, left));
  }
}

export function seededBytes(seed: number, size: number): Buffer {
  return Buffer.concat([...seededChunks(seed, size)]);
}

export function seededSha256(seed: number, size: number): string {
  const hash = createHash("sha256");
  for (const chunk of seededChunks(seed, size)) hash.update(chunk);
  return hash.digest("hex");
}

export function sha256(): Hash {
  return createHash("sha256");
}

/** A small generator of numbers, the same for the same seed (mulberry32). Answers in [0, 1). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
