// Two ends of a link in memory, for tests that want to decide themselves when a
// packet arrives and when the link is cut. Delivers in order, as a socket does.

import { DuplexityError, type ErrorCode, type Link, type LinkHandler } from "../../../src/protocol/index.ts";
import { LINK_HEADROOM_BYTES } from "../../../src/protocol/limits.ts";
import type { OutgoingPacket } from "../../../src/protocol/packet-builder.ts";

const DEAF: LinkHandler = { onPacket() {}, onDrain() {}, onClose() {} };

export class MemoryLink implements Link {
  handler: LinkHandler = DEAF;
  bufferedBytes = 0;
  isOpen = true;
  /** Swallows everything, both ways, and says nothing: a black hole. */
  isBlackHole = false;
  /** What arrived here is kept, too, when set. */
  readonly arrived: Buffer[] = [];
  peer: MemoryLink | undefined;
  readonly #schedule: (deliver: () => void) => void;

  constructor(schedule: (deliver: () => void) => void) {
    this.#schedule = schedule;
  }

  send(packet: OutgoingPacket): void {
    // A copy, as a socket makes one: what arrives must not change when the sender reuses its memory.
    const whole = Buffer.concat(packet.parts).subarray(LINK_HEADROOM_BYTES);
    this.sendRaw(whole);
  }

  sendRaw(whole: Buffer): void {
    if (!this.isOpen || this.isBlackHole) return;
    this.bufferedBytes += whole.length;
    this.#schedule(() => {
      this.bufferedBytes -= whole.length;
      const { peer } = this;
      if (peer?.isOpen !== true || this.isBlackHole) return;
      peer.arrived.push(whole);
      peer.handler.onPacket(whole);
      if (this.isOpen) this.handler.onDrain();
    });
  }

  close(code: ErrorCode, reason: string): void {
    this.cut(new DuplexityError(code, reason));
  }

  abort(error: DuplexityError): void {
    this.cut(error);
  }

  /** Both ends lose the link now; what is under way is lost. */
  cut(error = new DuplexityError("DPX_LINK_LOST", "cut")): void {
    for (const end of [this, this.peer]) {
      if (end?.isOpen !== true) continue;
      end.isOpen = false;
      end.handler.onClose(error);
    }
  }
}

/** A pair of connected ends. `schedule` decides when a packet arrives; by default in the next turn. */
export function memoryLinks(
  schedule: (deliver: () => void) => void = (deliver) => setImmediate(deliver),
): [MemoryLink, MemoryLink] {
  const left = new MemoryLink(schedule);
  const right = new MemoryLink(schedule);
  left.peer = right;
  right.peer = left;
  return [left, right];
}
