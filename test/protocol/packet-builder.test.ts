import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { FrameType } from "../../src/protocol/frame.ts";
import { LINK_HEADROOM_BYTES } from "../../src/protocol/limits.ts";
import { PACKET_HEADER_BYTES, type PacketHeader, PacketKind, readPacketHeader } from "../../src/protocol/packet.ts";
import { barePacket, closePacket, type OutgoingPacket, PacketBuilder } from "../../src/protocol/packet-builder.ts";
import { MAX_COPIED_BYTES } from "../../src/protocol/stream.ts";
import { frame, uint32 } from "./support/raw-peer.ts";

/** The packet as it would be on the wire. */
function bytesOf(packet: OutgoingPacket): Buffer {
  return Buffer.concat(packet.parts).subarray(LINK_HEADROOM_BYTES);
}

const payloadSize = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 0, max: 300 }) },
  { weight: 2, arbitrary: fc.integer({ min: 300, max: 40_000 }) },
  { weight: 1, arbitrary: fc.constantFrom(MAX_COPIED_BYTES - 1, MAX_COPIED_BYTES, MAX_COPIED_BYTES + 1, 65_536) },
);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      builder: fc.nat(2),
      add: fc.constantFrom("bytes" as const, "text" as const, "number" as const),
      size: payloadSize,
      stream: fc.integer({ min: 0, max: 0xffff_ffff }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ builder: fc.nat(2), seal: fc.constant(true) }) },
);

describe("PacketBuilder", () => {
  it("writes the frames that were added, in builders that share memory, and never writes to a packet again", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 80 }), (steps) => {
        const builders = [new PacketBuilder(), new PacketBuilder(), new PacketBuilder()] as const;
        const wanted: Buffer[][] = [[], [], []];
        const sealed: { readonly packet: OutgoingPacket; readonly wanted: Buffer }[] = [];
        let value = 1;
        const seal = (index: number): void => {
          const builder = builders[index];
          const expected = Buffer.concat(wanted[index] ?? []);
          if (builder === undefined) return;
          expect(builder.byteLength).toBe(expected.length);
          const header = { kind: PacketKind.data, session: index + 1, seq: sealed.length, ack: 7 };
          const packet = builder.seal(header);
          const head = Buffer.alloc(PACKET_HEADER_BYTES);
          head[0] = 1;
          head.writeUIntBE(index + 1, 2, 6);
          head.writeUIntBE(sealed.length, 8, 6);
          head.writeUIntBE(7, 14, 6);
          sealed.push({ packet, wanted: Buffer.concat([head, expected]) });
          wanted[index] = [];
          expect(builder.isEmpty).toBe(true);
          // A link writes its own framing there, and nowhere else.
          packet.parts[0]?.fill(0xff, 0, LINK_HEADROOM_BYTES);
        };
        for (const one of steps) {
          const builder = builders[one.builder];
          if (builder === undefined) continue;
          if ("seal" in one) {
            seal(one.builder);
            continue;
          }
          value += 1;
          if (one.add === "number") {
            builder.addUint32Frame(FrameType.window, one.stream, value);
            wanted[one.builder]?.push(frame(FrameType.window, one.stream, uint32(value)));
          } else if (one.add === "text") {
            const text = String.fromCharCode(value % 256).repeat(Math.min(one.size, MAX_COPIED_BYTES));
            builder.addLatin1Frame(FrameType.data, one.stream, text);
            wanted[one.builder]?.push(frame(FrameType.data, one.stream, Buffer.from(text, "latin1")));
          } else {
            const payload = Buffer.alloc(one.size, value % 256);
            builder.addFrame(FrameType.data, one.stream, payload);
            wanted[one.builder]?.push(frame(FrameType.data, one.stream, payload));
            if (one.size <= MAX_COPIED_BYTES) payload.fill(0xee);
          }
        }
        for (const index of [0, 1, 2]) seal(index);
        for (const { packet, wanted: expected } of sealed) {
          expect(packet.byteLength).toBe(expected.length);
          expect(bytesOf(packet).equals(expected)).toBe(true);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("passes a payload of more than 16 KiB on as it is, and copies a smaller one", () => {
    const builder = new PacketBuilder();
    const [small, large] = [Buffer.alloc(MAX_COPIED_BYTES), Buffer.alloc(MAX_COPIED_BYTES + 1)];
    builder.addFrame(FrameType.data, 1, small);
    builder.addFrame(FrameType.data, 1, large);
    const { parts } = builder.seal({ kind: PacketKind.data, session: 1, seq: 0, ack: 0 });
    expect(parts.includes(large)).toBe(true);
    expect(parts.some((part) => part.buffer === small.buffer)).toBe(false);
  });

  it("drops what was gathered, and starts over", () => {
    const builder = new PacketBuilder();
    builder.addFrame(FrameType.data, 1, Buffer.from("gone"));
    builder.clear();
    builder.clear();
    expect(builder.isEmpty).toBe(true);
    builder.addFrame(FrameType.fin, 2, Buffer.alloc(0));
    const packet = builder.seal({ kind: PacketKind.data, session: 1, seq: 0, ack: 0 });
    expect(bytesOf(packet).subarray(PACKET_HEADER_BYTES).toString("hex")).toBe("0500000000000002");
  });
});

describe("barePacket", () => {
  it("writes and reads back every header", () => {
    const uint48 = fc.maxSafeNat().map((value) => value % 281_474_976_710_656);
    const kind = fc.constantFrom(...Object.values(PacketKind));
    fc.assert(
      fc.property(kind, uint48, uint48, uint48, fc.uint8Array({ maxLength: 40 }), (kind, session, seq, ack, body) => {
        const packet = barePacket({ kind, session, seq, ack }, Buffer.from(body));
        const read: PacketHeader = { kind: PacketKind.link, session: -1, seq: -1, ack: -1 };
        readPacketHeader(bytesOf(packet), read);
        expect(read).toEqual({ kind, session, seq, ack });
        expect(bytesOf(packet).subarray(PACKET_HEADER_BYTES).equals(Buffer.from(body))).toBe(true);
        expect(packet.byteLength).toBe(PACKET_HEADER_BYTES + body.length);
      }),
    );
  });
});

describe("closePacket", () => {
  it("never cuts a character in two", () => {
    for (const character of ["x", "é", "€", "😀"]) {
      for (let before = 0; before < 4; before += 1) {
        const message = "x".repeat(before) + character.repeat(1_100);
        const text = bytesOf(closePacket(1, "DPX_KICKED", message)).subarray(PACKET_HEADER_BYTES + 2);
        expect(text.length).toBeLessThanOrEqual(1_024);
        expect(text.length).toBeGreaterThan(1_020);
        expect(message.startsWith(text.toString("utf8"))).toBe(true);
      }
    }
  });
});
