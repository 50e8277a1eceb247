// Gathers the frames of one turn of the event loop into one packet. Small
// payloads are copied behind their headers, large ones go by reference.

import { DuplexityError, ERRORS, type ErrorCode } from "./errors.ts";
import { FRAME_HEADER_BYTES, type FrameType, writeFrameHeader } from "./frame.ts";
import { LINK_HEADROOM_BYTES, MAX_CLOSE_MESSAGE_BYTES } from "./limits.ts";
import { PACKET_HEADER_BYTES, type PacketHeader, PacketKind, writePacketHeader } from "./packet.ts";
import { MAX_COPIED_BYTES } from "./stream.ts";

/** A packet as it is sent, and kept until it is acknowledged. Its parts are never written again but for the headroom. */
export interface OutgoingPacket {
  readonly seq: number;
  /** The first part starts with `LINK_HEADROOM_BYTES` for the link's own framing. */
  readonly parts: readonly Buffer[];
  /** Without the headroom. */
  readonly byteLength: number;
}

const FIRST_REGION_BYTES = 16_384;
const SLAB_BYTES = 65_536;

// One slab for all sessions: an idle session holds none of it.
let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
let slabUsed = 0;

function reserve(wantedBytes: number): Buffer {
  const bytes = (wantedBytes + 7) & ~7;
  if (bytes > SLAB_BYTES / 2) return Buffer.allocUnsafeSlow(bytes);
  if (slabUsed + bytes > SLAB_BYTES) {
    slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
    slabUsed = 0;
  }
  const region = slab.subarray(slabUsed, slabUsed + bytes);
  slabUsed += bytes;
  return region;
}

/** Returns what a region did not use, if nothing has been reserved behind it. */
function giveBack(region: Buffer, usedBytes: number): void {
  if (region.buffer === slab.buffer && region.byteOffset - slab.byteOffset + region.length === slabUsed) {
    // Regions start on 8 bytes, so that copies into them are aligned.
    slabUsed -= (region.length - usedBytes) & ~7;
  }
}

const PREFIX_BYTES = LINK_HEADROOM_BYTES + PACKET_HEADER_BYTES;
const NO_REGION = Buffer.alloc(0);

export class PacketBuilder {
  /** Bytes of frames gathered so far. */
  byteLength = 0;
  #parts: Buffer[] = [];
  #region: Buffer = NO_REGION;
  #start = 0;
  #end = 0;

  get isEmpty(): boolean {
    return this.byteLength === 0;
  }

  /** A frame whose payload is copied (up to `MAX_COPIED_BYTES`) or taken over (above). */
  addFrame(type: FrameType, stream: number, payload: Buffer): void {
    const { length } = payload;
    if (length > MAX_COPIED_BYTES) {
      this.#makeRoom(FRAME_HEADER_BYTES);
      writeFrameHeader(this.#region, this.#end, type, length, stream);
      this.#end += FRAME_HEADER_BYTES;
      this.#closePart();
      this.#parts.push(payload);
    } else {
      this.#makeRoom(FRAME_HEADER_BYTES + length);
      writeFrameHeader(this.#region, this.#end, type, length, stream);
      this.#region.set(payload, this.#end + FRAME_HEADER_BYTES);
      this.#end += FRAME_HEADER_BYTES + length;
    }
    this.byteLength += FRAME_HEADER_BYTES + length;
  }

  /** A frame whose payload is text with one byte a character. At most `MAX_COPIED_BYTES` of it. */
  addLatin1Frame(type: FrameType, stream: number, payload: string): void {
    const { length } = payload;
    this.#makeRoom(FRAME_HEADER_BYTES + length);
    writeFrameHeader(this.#region, this.#end, type, length, stream);
    this.#region.write(payload, this.#end + FRAME_HEADER_BYTES, length, "latin1");
    this.#end += FRAME_HEADER_BYTES + length;
    this.byteLength += FRAME_HEADER_BYTES + length;
  }

  /** A frame with a u32 as its payload. */
  addUint32Frame(type: FrameType, stream: number, value: number): void {
    this.#makeRoom(FRAME_HEADER_BYTES + 4);
    writeFrameHeader(this.#region, this.#end, type, 4, stream);
    this.#region.writeUInt32BE(value, this.#end + FRAME_HEADER_BYTES);
    this.#end += FRAME_HEADER_BYTES + 4;
    this.byteLength += FRAME_HEADER_BYTES + 4;
  }

  /** Closes the packet, gives it its header, and starts over. */
  seal(header: Readonly<PacketHeader>): OutgoingPacket {
    if (this.#parts.length === 0) this.#makeRoom(0);
    this.#closePart();
    giveBack(this.#region, this.#end);
    const parts = this.#parts;
    const first = parts[0];
    if (first === undefined) throw new DuplexityError("DPX_INTERNAL", "A packet has no first part");
    writePacketHeader(first, LINK_HEADROOM_BYTES, header);
    const packet = { seq: header.seq, parts, byteLength: PACKET_HEADER_BYTES + this.byteLength };
    this.#parts = [];
    this.#region = NO_REGION;
    this.#start = 0;
    this.#end = 0;
    this.byteLength = 0;
    return packet;
  }

  /** Drops what was gathered. */
  clear(): void {
    if (!this.isEmpty) this.seal({ kind: PacketKind.data, session: 0, seq: 0, ack: 0 });
  }

  #makeRoom(bytes: number): void {
    if (this.#region.length - this.#end >= bytes && this.#region !== NO_REGION) return;
    const isFirst = this.#parts.length === 0 && this.#region === NO_REGION;
    if (!isFirst) {
      this.#closePart();
      giveBack(this.#region, this.#end);
    }
    const prefix = isFirst ? PREFIX_BYTES : 0;
    this.#region = reserve(Math.max(FIRST_REGION_BYTES, prefix + bytes));
    this.#start = 0;
    this.#end = prefix;
  }

  #closePart(): void {
    if (this.#end > this.#start) this.#parts.push(this.#region.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}

/**
 * A packet that came, to be sent on as it is. What is short is copied into one piece, which costs less than a vectored
 * write; the buffers of a longer one are only referred to, and never written.
 */
export function packetToPassOn(packet: Buffer, rest: readonly Buffer[]): OutgoingPacket {
  if (rest.length === 0 && packet.length <= MAX_COPIED_BYTES) {
    const part = Buffer.allocUnsafe(LINK_HEADROOM_BYTES + packet.length);
    packet.copy(part, LINK_HEADROOM_BYTES);
    return { seq: 0, parts: [part], byteLength: packet.length };
  }
  let byteLength = packet.length;
  for (const piece of rest) byteLength += piece.length;
  return { seq: 0, parts: [Buffer.allocUnsafe(LINK_HEADROOM_BYTES), packet, ...rest], byteLength };
}

/** The same packet, for a link whose framing must not touch what another link may still be writing. */
export function packetForAnotherLink(packet: OutgoingPacket): OutgoingPacket {
  const [first = NO_REGION, ...rest] = packet.parts;
  return { ...packetToPassOn(first.subarray(LINK_HEADROOM_BYTES), rest), seq: packet.seq };
}

/** A packet that has no sequence number and is not kept: an ACK, a RESUME, a CLOSE, or frames of the link. */
export function barePacket(header: Readonly<PacketHeader>, body: Buffer = NO_REGION): OutgoingPacket {
  const part = Buffer.allocUnsafe(PREFIX_BYTES + body.length);
  writePacketHeader(part, LINK_HEADROOM_BYTES, header);
  body.copy(part, PREFIX_BYTES);
  return { seq: header.seq, parts: [part], byteLength: PACKET_HEADER_BYTES + body.length };
}

/** Ends `session` at the peer. The message is cut to `MAX_CLOSE_MESSAGE_BYTES`, at a character's border. */
export function closePacket(session: number, code: ErrorCode, message: string): OutgoingPacket {
  const text = Buffer.from(message);
  let length = Math.min(text.length, MAX_CLOSE_MESSAGE_BYTES);
  // Bytes 10xxxxxx go on with a character that began before.
  while (length < text.length && length > 0 && ((text[length] ?? 0) & 0xc0) === 0x80) length -= 1;
  const body = Buffer.allocUnsafe(2 + length);
  body.writeUInt16BE(ERRORS[code].wire, 0);
  text.copy(body, 2, 0, length);
  return barePacket({ kind: PacketKind.close, session, seq: 0, ack: 0 }, body);
}
