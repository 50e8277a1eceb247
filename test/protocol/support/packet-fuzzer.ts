// Packets that a careless or hostile peer might send: most fit the session well enough to get somewhere, some are changed
// afterwards. The same for the same seed.

import { seededRandom } from "../../support/seeded.ts";
import { frame, frames, header, ID, type RawPeer, uint32 } from "./raw-peer.ts";

const REPORT = JSON.stringify({
  ...{ hostname: "a", method: "GET", path: "/", status: 200, visitor: "" },
  ...{ durationMs: 1, responseBytes: 0, requestBytes: 0 },
});
const EDGES = [0, 1, 0x7f, 0x80, 0xff];

export class PacketFuzzer {
  readonly random: () => number;

  constructor(seed: number) {
    this.random = seededRandom(seed);
  }

  /** The next packet for the session behind `peer`; counts its sequence number when it is likely to be taken. */
  next(peer: RawPeer): Buffer {
    const packet = this.#likely(peer);
    return this.random() < 0.005 ? this.#change(packet) : packet;
  }

  below(limit: number): number {
    return Math.floor(this.random() * limit);
  }

  #likely(peer: RawPeer): Buffer {
    const choice = this.random();
    const ack = this.random() < 0.998 ? this.below(peer.received + 1) : peer.received + this.below(3);
    if (choice < 0.08) return header(2, ID, 0, ack);
    if (choice < 0.0805) return Buffer.concat([header(3, ID, this.below(3), this.below(3)), uint32(this.below(4))]);
    if (choice < 0.081) return Buffer.concat([header(4, ID, 0, 0), this.#bytes(2 + this.below(20))]);
    if (choice < 0.15) return Buffer.concat([header(5, 0, 0, 0), this.#linkFrame()]);
    if (choice < 0.16) return Buffer.concat([header(1, this.below(5), 0, 0), this.#bytes(this.below(40))]);
    const all = Array.from({ length: 1 + this.below(4) }, () => this.#frame(peer));
    const packet = Buffer.concat([
      header(1, ID, this.random() < 0.998 ? peer.seq : this.below(peer.seq + 2), ack),
      ...all,
    ]);
    peer.seq += 1;
    return packet;
  }

  #frame(peer: RawPeer): Buffer {
    const isOpener = peer.session.role === "opener";
    const choice = this.random();
    if (!isOpener && (choice < 0.15 || peer.inUse.size === 0)) {
      peer.opened += this.random() < 0.998 ? 1 + this.below(2) : 0;
      peer.inUse.add(peer.opened);
      return frames.open(peer.opened, this.random() < 0.999 ? this.below(300_000) : 0xffff_ffff);
    }
    const id = this.random() < 0.998 ? this.#pickInUse(peer) : this.below(peer.opened + 3);
    if (choice < 0.4) return frames.window(id, this.random() < 0.999 ? 1 + this.below(5_000) : 0x7fff_ffff);
    if (choice < 0.42 && isOpener && !peer.accepted.has(id)) {
      peer.accepted.add(id);
      return frames.accept(id, this.below(100_000));
    }
    if (choice < 0.46) {
      peer.inUse.delete(id);
      return this.random() < 0.5 ? frames.reset(id, this.below(110)) : frames.fin(id);
    }
    if (choice < 0.48 && !isOpener) return frames.report(this.random() < 0.99 ? REPORT : `[${this.below(99)}]`);
    if (choice < 0.481) return frame(this.below(256), id, this.#bytes(this.below(20)));
    return frames.data(id, 1 + this.below(this.random() < 0.01 ? 70_000 : 300));
  }

  /** One of the streams that this peer may still write to, as far as it knows. */
  #pickInUse(peer: RawPeer): number {
    const ids = [...peer.inUse];
    return ids[this.below(ids.length)] ?? 1;
  }

  #linkFrame(): Buffer {
    const choice = this.random();
    if (choice < 0.45) return frame(16, 0, this.#bytes(8));
    if (choice < 0.9) return frame(17, 0, this.#bytes(8));
    return frame(18, 0, this.#bytes(this.random() < 0.9 ? 4 : this.below(9)));
  }

  #change(packet: Buffer): Buffer {
    const choice = this.random();
    if (choice < 0.2) return packet.subarray(0, this.below(packet.length + 1));
    if (choice < 0.35) return Buffer.concat([packet, this.#bytes(this.below(40))]);
    if (choice < 0.4) return this.#bytes(this.below(this.random() < 0.05 ? 600_000 : 100));
    const changed = Buffer.from(packet);
    for (let count = 1 + this.below(4); count > 0 && changed.length > 0; count -= 1) {
      const at = this.below(this.random() < 0.7 ? Math.min(changed.length, 40) : changed.length);
      changed[at] =
        this.random() < 0.5 ? (EDGES[this.below(EDGES.length)] ?? 0) : (changed[at] ?? 0) ^ (1 << this.below(8));
    }
    return changed;
  }

  #bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let at = 0; at < Math.min(length, 64); at += 1) bytes[at] = this.below(256);
    return bytes;
  }
}
