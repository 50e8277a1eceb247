// A link on fake time, for tests that want to decide how a network behaves: each direction has its own delay, rate and
// faults. Delivers in order, as a socket does, and never by itself: time must be advanced.

import {
  DuplexityError,
  type ErrorCode,
  LINK_HIGH_WATER_BYTES,
  LINK_LOW_WATER_BYTES,
  type Link,
  type LinkHandler,
} from "../../../src/protocol/index.ts";
import { LINK_HEADROOM_BYTES } from "../../../src/protocol/limits.ts";
import { PACKET_HEADER_BYTES, type PacketHeader, PacketKind, readPacketHeader } from "../../../src/protocol/packet.ts";
import type { OutgoingPacket } from "../../../src/protocol/packet-builder.ts";

const DEAF: LinkHandler = { onPacket() {}, onDrain() {}, onClose() {} };
const LOST = new DuplexityError("DPX_LINK_LOST", "The test cut the link");

export class SimLink implements Link {
  handler: LinkHandler = DEAF;
  isOpen = true;
  bufferedBytes = 0;
  peer: SimLink | undefined;

  /** How what this end sends travels. */
  delayMs = 0;
  bytesPerMs = Number.POSITIVE_INFINITY;
  /** What this end sends arrives in pieces of so many bytes; the header in the first. */
  pieceBytes = Number.POSITIVE_INFINITY;
  /** Swallows what this end sends, and says nothing. */
  isBlackHole = false;

  /** What this end has sent, by kind, and the code and reason of its `close()`. */
  readonly sentCounts = new Map<PacketKind, number>();
  sentBytes = 0;
  closeCode: ErrorCode | null = null;
  closeReason: string | null = null;
  /** Sees each packet of this end as it leaves. */
  onSent: ((packet: Buffer) => void) | null = null;

  readonly #leaving: { readonly bytes: number; readonly read: () => Buffer; readonly travelMs: number }[] = [];
  readonly #travelling: Buffer[] = [];
  #departsAt = 0;
  #arrivesAt = 0;
  #hasPassedHighWater = false;
  readonly #header: PacketHeader = { kind: PacketKind.link, session: 0, seq: 0, ack: 0 };

  send(packet: OutgoingPacket): void {
    // The bytes are looked at when they leave, as a kernel does that was busy: memory reused before would show.
    this.#transmit(packet.byteLength, () => Buffer.concat(packet.parts).subarray(LINK_HEADROOM_BYTES));
  }

  /** Sends bytes that no session made. */
  sendRaw(packet: Buffer): void {
    this.#transmit(packet.length, () => packet);
  }

  close(code: ErrorCode, reason: string): void {
    this.closeCode = code;
    this.closeReason = reason;
    const { peer } = this;
    this.end(new DuplexityError(code, reason));
    if (peer !== undefined && !this.isBlackHole) setTimeout(() => peer.end(LOST), this.delayMs);
  }

  abort(error: DuplexityError): void {
    const { peer } = this;
    this.end(error);
    if (peer !== undefined && !this.isBlackHole) setTimeout(() => peer.end(LOST), this.delayMs);
  }

  /** This end learns that the link is gone. What is still under way to it is lost; what it sent still arrives. */
  end(error: DuplexityError = LOST): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.handler.onClose(error);
  }

  get sentPackets(): number {
    return [...this.sentCounts.values()].reduce((sum, count) => sum + count, 0);
  }

  #transmit(bytes: number, read: () => Buffer): void {
    if (!this.isOpen) return;
    this.bufferedBytes += bytes;
    if (this.bufferedBytes > LINK_HIGH_WATER_BYTES) this.#hasPassedHighWater = true;
    const now = performance.now();
    this.#departsAt = Math.max(now, this.#departsAt) + bytes / this.bytesPerMs;
    this.#arrivesAt = Math.max(this.#arrivesAt, this.#departsAt + this.delayMs);
    const travelMs = this.#arrivesAt - this.#departsAt;
    // Two timers of the same time may fire in any order: each takes the first that waits, whichever set it.
    this.#leaving.push({ bytes, read, travelMs });
    setTimeout(() => this.#depart(), this.#departsAt - now);
  }

  #depart(): void {
    const first = this.#leaving.shift();
    if (first === undefined) return;
    this.bufferedBytes -= first.bytes;
    const packet = first.read();
    this.#count(packet);
    this.onSent?.(packet);
    if (!this.isBlackHole) {
      this.#travelling.push(packet);
      setTimeout(() => this.#arrive(), first.travelMs);
    }
    if (this.isOpen && this.#hasPassedHighWater && this.bufferedBytes <= LINK_LOW_WATER_BYTES) {
      this.#hasPassedHighWater = false;
      this.handler.onDrain();
    }
  }

  #arrive(): void {
    const packet = this.#travelling.shift();
    if (packet === undefined || this.peer?.isOpen !== true || this.isBlackHole) return;
    const first = packet.subarray(0, Math.max(PACKET_HEADER_BYTES, Math.min(this.pieceBytes, packet.length)));
    const rest: Buffer[] = [];
    for (let offset = first.length; offset < packet.length; offset += this.pieceBytes) {
      rest.push(packet.subarray(offset, Math.min(offset + this.pieceBytes, packet.length)));
    }
    this.peer.handler.onPacket(first, rest);
  }

  #count(packet: Buffer): void {
    this.sentBytes += packet.length;
    if (packet.length < PACKET_HEADER_BYTES) return;
    try {
      readPacketHeader(packet, this.#header);
      this.sentCounts.set(this.#header.kind, (this.sentCounts.get(this.#header.kind) ?? 0) + 1);
    } catch {
      // A packet that is wrong on purpose.
    }
  }
}

/** A pair of connected ends. */
export function simLinks(delayMs = 0, bytesPerMs = Number.POSITIVE_INFINITY): [SimLink, SimLink] {
  const left = new SimLink();
  const right = new SimLink();
  left.peer = right;
  right.peer = left;
  for (const end of [left, right]) {
    end.delayMs = delayMs;
    end.bytesPerMs = bytesPerMs;
  }
  return [left, right];
}
