// A packet's header: 20 bytes, big-endian. Encodes and decodes; decides nothing.
// See docs/protocol.md, "Packets".

import { DuplexityError } from "./errors.ts";

/** What a packet is. */
export const PacketKind = {
  /** Frames of a session; carries a sequence number and an acknowledgement. */
  data: 1,
  /** An acknowledgement alone; has no sequence number and is not acknowledged. */
  ack: 2,
  /** First packet of a session on a link, both ways: seq = oldest packet still kept, ack = next one expected. */
  resume: 3,
  /** Ends the session: 16-bit error code, then a message in UTF-8. */
  close: 4,
  /** Frames of the link itself (PING, PONG, GOAWAY); session, seq and ack are 0. */
  link: 5,
} as const;
export type PacketKind = (typeof PacketKind)[keyof typeof PacketKind];

export const PACKET_HEADER_BYTES = 20;
/** Session ids and sequence numbers have 48 bits: they never wrap, and a double holds them exactly. */
export const MAX_UINT48 = 281_474_976_710_655;

export interface PacketHeader {
  kind: PacketKind;
  session: number;
  seq: number;
  ack: number;
}

/** Writes the header at `offset` of `target`. */
export function writePacketHeader(target: Buffer, offset: number, header: Readonly<PacketHeader>): void {
  target[offset] = header.kind;
  target[offset + 1] = 0;
  target.writeUIntBE(header.session, offset + 2, 6);
  target.writeUIntBE(header.seq, offset + 8, 6);
  target.writeUIntBE(header.ack, offset + 14, 6);
}

/**
 * Reads the header at the start of `packet` into `into`, so that the hot path makes no object per packet.
 *
 * @throws {DuplexityError} `DPX_PACKET_INVALID` if it is shorter than 20 bytes, of an unknown kind, or has a reserved bit set.
 */
export function readPacketHeader(packet: Buffer, into: PacketHeader): void {
  if (packet.length < PACKET_HEADER_BYTES) {
    throw new DuplexityError(
      "DPX_PACKET_INVALID",
      `Packet of ${packet.length} bytes is shorter than its 20-byte header`,
    );
  }
  const kind = packet[0];
  if (!isPacketKind(kind) || packet[1] !== 0) {
    throw new DuplexityError(
      "DPX_PACKET_INVALID",
      `Packet starts with ${kind} ${packet[1]}, expected a kind of 1 to 5 and 0`,
    );
  }
  into.kind = kind;
  into.session = packet.readUIntBE(2, 6);
  into.seq = packet.readUIntBE(8, 6);
  into.ack = packet.readUIntBE(14, 6);
}

function isPacketKind(value: number | undefined): value is PacketKind {
  return value !== undefined && value >= PacketKind.data && value <= PacketKind.link;
}
