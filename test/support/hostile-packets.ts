// Packets of every kind, right and wrong: valid ones for a session, and what a liar, a broken network card or a fuzzer
// makes of them. Written out in bytes, apart from the product's own encoder.

import { seededBytes, seededRandom } from "./seeded.ts";

const KINDS = { data: 1, ack: 2, resume: 3, close: 4, link: 5 } as const;
/** Types of frames in a session, and of those on a link. */
const SESSION_FRAMES = [1, 2, 3, 4, 5, 6, 7];
const LINK_FRAMES = [16, 17, 18];
const EXTREMES = [0, 1, 0x7f, 0x80, 0xff];

export class PacketFuzzer {
  readonly #random: () => number;
  readonly #noise: Buffer;
  #seq = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
    this.#noise = seededBytes(seed, 1_048_576);
  }

  /** The packet that a well-behaved client answers the server's RESUME of that count with. Starts the numbering anew. */
  resume(session: number, count: number): Buffer {
    this.#seq = 0;
    const body = Buffer.alloc(4);
    body.writeUInt32BE(count, 0);
    return Buffer.concat([header(KINDS.resume, session, 0, 0), body]);
  }

  /** The next packet for `session`: some valid, most mutated, some noise. `seen`: what the server sent, as material. */
  next(session: number, seen: readonly Buffer[]): Buffer {
    const choice = this.#random();
    if (choice < 0.1) return this.#take(this.#below(this.#random() < 0.02 ? 700_000 : 200));
    const packet = choice < 0.3 ? Buffer.from(this.#pick(seen) ?? this.#valid(session)) : this.#valid(session);
    return choice < 0.6 ? packet : this.#mutate(packet);
  }

  #valid(session: number): Buffer {
    const choice = this.#random();
    const ack = this.#below(3);
    if (choice < 0.1) return header(KINDS.ack, session, 0, ack);
    if (choice < 0.15) return Buffer.concat([header(KINDS.resume, session, 0, ack), Buffer.from([0, 0, 0, 1])]);
    if (choice < 0.17) return Buffer.concat([header(KINDS.close, session, 0, 0), this.#take(2 + this.#below(20))]);
    if (choice < 0.35) return Buffer.concat([header(KINDS.link, 0, 0, 0), this.#frame(this.#pick(LINK_FRAMES) ?? 16)]);
    const frames = Array.from({ length: 1 + this.#below(4) }, () => this.#frame(this.#pick(SESSION_FRAMES) ?? 3));
    const packet = Buffer.concat([header(KINDS.data, session, this.#seq, ack), ...frames]);
    this.#seq += 1;
    return packet;
  }

  #frame(type: number): Buffer {
    const lengths: Record<number, number> = { 2: 4, 4: 4, 5: 0, 6: 8, 16: 8, 17: 8, 18: 4 };
    const payload = this.#take(lengths[type] ?? this.#below(300));
    const head = Buffer.alloc(8);
    head[0] = type;
    head.writeUIntBE(payload.length, 1, 3);
    head.writeUInt32BE(type >= 16 || type === 7 ? 0 : this.#below(4), 4);
    // Credit is small as a rule, so that a session lives for more than one packet.
    if (type === 2 || type === 4) payload.writeUInt32BE(this.#random() < 0.1 ? 0xffffffff : this.#below(1_000), 0);
    return Buffer.concat([head, payload]);
  }

  #mutate(packet: Buffer): Buffer {
    const choice = this.#random();
    if (choice < 0.15) return packet.subarray(0, this.#below(packet.length + 1));
    if (choice < 0.3) return Buffer.concat([packet, this.#take(this.#below(40))]);
    if (choice < 0.4) return Buffer.concat([packet, packet]);
    const changes = 1 + this.#below(4);
    for (let change = 0; change < changes && packet.length > 0; change += 1) {
      const at = this.#below(this.#random() < 0.7 ? Math.min(packet.length, 36) : packet.length);
      packet[at] = this.#random() < 0.5 ? (this.#pick(EXTREMES) ?? 0) : (packet[at] ?? 0) ^ (1 << this.#below(8));
    }
    return packet;
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#below(from.length)];
  }

  #take(size: number): Buffer {
    const at = this.#below(this.#noise.length - size + 1);
    return Buffer.from(this.#noise.subarray(at, at + size));
  }
}

/** kind, 0, session (48 bits), sequence number (48), acknowledgement (48). */
function header(kind: number, session: number, seq: number, ack: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes[0] = kind;
  bytes.writeUIntBE(Math.max(0, session), 2, 6);
  bytes.writeUIntBE(seq, 8, 6);
  bytes.writeUIntBE(ack, 14, 6);
  return bytes;
}
