import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { OutgoingPacket } from "../../src/protocol/packet-builder.ts";
import { ReplayBuffer } from "../../src/protocol/replay-buffer.ts";

function packet(seq: number): OutgoingPacket {
  return { seq, parts: [Buffer.alloc(0)], byteLength: 20 + (seq % 7) };
}

describe("ReplayBuffer", () => {
  it("keeps what a plain list would keep, for any order of sending and acknowledging", () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ push: fc.integer({ min: 1, max: 300 }) }) },
      { weight: 2, arbitrary: fc.record({ acknowledge: fc.double({ min: 0, max: 1, noNaN: true }) }) },
      { weight: 1, arbitrary: fc.constant({ clear: true }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const buffer = new ReplayBuffer();
        let kept: OutgoingPacket[] = [];
        let next = 0;
        for (const one of steps) {
          if ("push" in one) {
            for (let count = 0; count < one.push; count += 1) {
              kept.push(packet(next));
              buffer.push(packet(next));
              next += 1;
            }
          } else if ("acknowledge" in one) {
            const first = next - kept.length;
            const seq = first + Math.floor(one.acknowledge * (kept.length + 1));
            buffer.acknowledge(Math.min(seq, next));
            kept = kept.slice(Math.min(seq, next) - first);
          } else {
            buffer.clear();
            kept = [];
          }
          expect(buffer.nextSeq).toBe(next);
          expect(buffer.firstSeq).toBe(next - kept.length);
          expect(buffer.byteLength).toBe(kept.reduce((sum, { byteLength }) => sum + byteLength, 0));
          expect(buffer.pending().map(({ seq }) => seq)).toEqual(kept.map(({ seq }) => seq));
        }
      }),
    );
  });

  it("takes an acknowledgement of what is acknowledged already for nothing new", () => {
    const buffer = new ReplayBuffer();
    for (let seq = 0; seq < 5; seq += 1) buffer.push(packet(seq));
    buffer.acknowledge(3);
    buffer.acknowledge(1);
    expect(buffer.firstSeq).toBe(3);
    expect(buffer.pending().map(({ seq }) => seq)).toEqual([3, 4]);
  });
});
