import { describe, expect, it } from "vitest";
import { MIN_READ_BYTES, ReadBuffer, SLAB_BYTES } from "../../src/client/read-buffer.ts";
import { MAX_COPIED_BYTES } from "../../src/protocol/index.ts";

const LOTS = 16_777_216;

describe("ReadBuffer", () => {
  it("shares one buffer among all that read little", () => {
    const one = new ReadBuffer();
    const other = new ReadBuffer();
    expect(one.current).toBe(other.current);
    one.take(MAX_COPIED_BYTES, LOTS);
    expect(one.current).toBe(other.current);
  });

  it("never lets a handed-over byte be written again", () => {
    const reader = new ReadBuffer();
    const taken: { chunk: Buffer; value: number }[] = [];
    for (let round = 1; round < 40; round += 1) {
      const length = Math.min(reader.current.length, MAX_COPIED_BYTES + 1 + ((round * 37_123) % 200_000));
      reader.current.fill(round, 0, length);
      taken.push({ chunk: reader.take(length, LOTS), value: round });
    }
    for (const { chunk, value } of taken) expect(chunk.every((byte) => byte === value)).toBe(true);
  });

  it("fills the rest of a slab while it is worth a read, and then takes another", () => {
    const reader = new ReadBuffer();
    reader.take(MIN_READ_BYTES, LOTS);
    expect(reader.current.length).toBe(SLAB_BYTES);
    reader.take(100_000, LOTS);
    expect(reader.current.length).toBe(SLAB_BYTES - 100_000);
    reader.take(100_000, LOTS);
    expect(reader.current.length).toBe(SLAB_BYTES);
  });

  it("gives its slab back after some small reads, and at rest", () => {
    const { current: shared } = new ReadBuffer();
    const reader = new ReadBuffer();
    reader.take(MIN_READ_BYTES, LOTS);
    for (let count = 0; count < 7; count += 1) reader.take(100, LOTS);
    expect(reader.current).not.toBe(shared);
    reader.take(100, LOTS);
    expect(reader.current).toBe(shared);
    reader.take(MIN_READ_BYTES, LOTS);
    reader.rest();
    expect(reader.current).toBe(shared);
  });

  it("reads no further ahead than the stream may send", () => {
    const reader = new ReadBuffer();
    reader.take(MIN_READ_BYTES, SLAB_BYTES - 1);
    expect(reader.current.length).toBe(MIN_READ_BYTES);
    reader.take(MIN_READ_BYTES, SLAB_BYTES);
    expect(reader.current.length).toBe(SLAB_BYTES);
  });
});
