// The other end of a session by hand: writes packets byte for byte, so that it can break any rule, and reads what the
// session answers. Written apart from the product's encoder.

import {
  type DuplexityError,
  errorCodeOf,
  Session,
  SessionLink,
  type SessionOptions,
} from "../../../src/protocol/index.ts";
import { pass } from "./fake-time.ts";
import { HEARTBEAT } from "./session-pair.ts";
import { type SimLink, simLinks } from "./sim-link.ts";

export const ID = 0xbadbeef;

interface ReadFrame {
  readonly type: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function header(kind: number, session: number, seq: number, ack: number): Buffer {
  const bytes = Buffer.alloc(20);
  bytes[0] = kind;
  bytes.writeUIntBE(session, 2, 6);
  bytes.writeUIntBE(seq, 8, 6);
  bytes.writeUIntBE(ack, 14, 6);
  return bytes;
}

export function frame(type: number, stream: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const head = Buffer.alloc(8);
  head[0] = type;
  head.writeUIntBE(payload.length, 1, 3);
  head.writeUInt32BE(stream, 4);
  return Buffer.concat([head, payload]);
}

export const frames = {
  open: (stream: number, windowBytes = 262_144) =>
    frame(1, stream, Buffer.concat([uint32(windowBytes), Buffer.from([0, 1, 0x61, 0])])),
  accept: (stream: number, credit = 0) => frame(2, stream, uint32(credit)),
  data: (stream: number, bytes: number | string) =>
    frame(3, stream, typeof bytes === "string" ? Buffer.from(bytes) : Buffer.alloc(bytes, 0x64)),
  window: (stream: number, credit: number) => frame(4, stream, uint32(credit)),
  fin: (stream: number) => frame(5, stream),
  reset: (stream: number, code = 2) => frame(6, stream, Buffer.from([0, code, 255, 255, 255, 255, 255, 255])),
  report: (text: string) => frame(7, 0, Buffer.from(text)),
};

/** A session under test, and this in place of its peer. */
export class RawPeer {
  readonly session: Session;
  closed: DuplexityError | null = null;
  detached: DuplexityError | null = null;
  liveCount = 0;
  /** This end of the present link, the session's end, and what carries the session there. */
  link: SimLink;
  far: SimLink;
  carrier: SessionLink;
  readonly packets: Buffer[] = [];
  seq = 0;
  /** The highest stream id so far, for those who keep count. */
  opened = 0;
  /** Streams that this end has not ended, and the session has not reset. */
  readonly inUse = new Set<number>();
  readonly accepted = new Set<number>();
  #resumes = 0;
  #received = 0;

  constructor(options: Partial<SessionOptions> & Pick<SessionOptions, "role">) {
    this.session = new Session({
      id: ID,
      onClose: (error) => (this.closed = error),
      onDetached: (error) => (this.detached = error),
      onLive: () => (this.liveCount += 1),
      ...options,
    });
    [this.link, this.far] = simLinks();
    this.carrier = this.#connect();
  }

  /** A session that is live already. */
  static live(options: Partial<SessionOptions> & Pick<SessionOptions, "role">): RawPeer {
    const peer = new RawPeer(options);
    peer.resume();
    pass(5);
    return peer;
  }

  /** Another link in place of the present one, which is lost at both ends. */
  reconnect(): void {
    this.link.end();
    this.far.end();
    [this.link, this.far] = simLinks();
    this.carrier = this.#connect();
  }

  /** Sends RESUME as the session's peer would, with the count of the present link. */
  resume(seq = 0, ack = 0, count = this.#resumes + 1): void {
    this.#resumes = count;
    this.sendRaw(Buffer.concat([header(3, ID, seq, ack), uint32(count)]));
  }

  /** Sends the next DATA packet, acknowledging all that has come. */
  send(...all: Buffer[]): void {
    this.sendAs(this.seq, this.received, ...all);
    this.seq += 1;
  }

  sendAs(seq: number, ack: number, ...all: Buffer[]): void {
    this.sendRaw(Buffer.concat([header(1, ID, seq, ack), ...all]));
  }

  ack(ack = this.received): void {
    this.sendRaw(header(2, ID, 0, ack));
  }

  sendRaw(packet: Buffer): void {
    this.link.sendRaw(packet);
    pass(2);
  }

  /** How many DATA packets have come. */
  get received(): number {
    return this.#received;
  }

  get frames(): ReadFrame[] {
    return this.packets.filter((packet) => packet[0] === 1).flatMap(readFrames);
  }

  /** Code and message of the CLOSE that came. */
  get close(): { code: string; message: string } | null {
    const packet = this.packets.find((candidate) => candidate[0] === 4);
    return packet === undefined
      ? null
      : { code: errorCodeOf(packet.readUInt16BE(20)), message: packet.toString("utf8", 22) };
  }

  dispose(): void {
    this.session.close("DPX_CANCELLED", "The test is over");
    this.link.end();
    this.far.end();
  }

  #connect(): SessionLink {
    const { link, far } = this;
    link.handler = {
      onPacket: (first, rest = []) => {
        const packet = rest.length === 0 ? first : Buffer.concat([first, ...rest]);
        this.packets.push(packet);
        if (packet[0] !== 1) return;
        this.#received += 1;
        for (const { type, stream } of readFrames(packet)) if (type === 6) this.inUse.delete(stream);
      },
      onDrain() {},
      onClose() {},
    };
    const carrier = new SessionLink(far, {
      heartbeat: HEARTBEAT,
      onClose() {},
      ...(this.session.role === "acceptor" ? { acceptSession: () => this.session } : {}),
    });
    if (this.session.role === "opener") this.session.attach(carrier);
    return carrier;
  }
}

function readFrames(packet: Buffer): ReadFrame[] {
  const found: ReadFrame[] = [];
  for (let offset = 20; offset < packet.length; ) {
    const length = packet.readUIntBE(offset + 1, 3);
    found.push({
      type: packet[offset] ?? 0,
      stream: packet.readUInt32BE(offset + 4),
      payload: packet.subarray(offset + 8, offset + 8 + length),
    });
    offset += 8 + length;
  }
  return found;
}
