// Packets that were sent and not acknowledged yet, oldest first. What a new link needs to go on.

import type { OutgoingPacket } from "./packet-builder.ts";

/** Shift the array only after so many acknowledged entries: one move for many acks. */
const COMPACT_AFTER = 256;

/** Stands where an acknowledged packet was, so that its buffers can be collected before the array is moved. */
const RELEASED: OutgoingPacket = { seq: -1, parts: [], byteLength: 0 };

export class ReplayBuffer {
  byteLength = 0;
  #packets: OutgoingPacket[] = [];
  #head = 0;
  #firstSeq = 0;

  /** The oldest packet kept, or the next to be sent when none is. */
  get firstSeq(): number {
    return this.#firstSeq;
  }

  /** The sequence number that the next packet will have. */
  get nextSeq(): number {
    return this.#firstSeq + this.#packets.length - this.#head;
  }

  push(packet: OutgoingPacket): void {
    this.#packets.push(packet);
    this.byteLength += packet.byteLength;
  }

  /** Forgets all packets before `seq`, which must lie between `firstSeq` and `nextSeq`. */
  acknowledge(seq: number): void {
    while (this.#firstSeq < seq) {
      const packet = this.#packets[this.#head];
      if (packet !== undefined) this.byteLength -= packet.byteLength;
      this.#packets[this.#head] = RELEASED;
      this.#head += 1;
      this.#firstSeq += 1;
    }
    if (this.#head === this.#packets.length) {
      // Reuse the array: an idle session keeps no dead references.
      this.#packets.length = 0;
      this.#head = 0;
    } else if (this.#head >= COMPACT_AFTER) {
      this.#packets.splice(0, this.#head);
      this.#head = 0;
    }
  }

  /** What is to be sent again, in order. */
  pending(): readonly OutgoingPacket[] {
    return this.#packets.slice(this.#head);
  }

  clear(): void {
    this.#firstSeq = this.nextSeq;
    this.#packets.length = 0;
    this.#head = 0;
    this.byteLength = 0;
  }
}
