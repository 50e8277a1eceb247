// One link with what its sessions share: liveness, round-trip time, dispatch by
// session id, back-pressure. Looks into no frame of a session.

import type { Carried, Carrier } from "./carrier.ts";
import type { ErrorCode } from "./errors.ts";
import { DuplexityError } from "./errors.ts";
import {
  decodeSessionId,
  decodeUint32,
  FRAME_HEADER_BYTES,
  FrameType,
  SESSION_ID_BYTES,
  writeFrameHeader,
} from "./frame.ts";
import { MAX_PACKET_BYTES, MAX_SESSIONS_PER_LINK } from "./limits.ts";
import { LINK_HIGH_WATER_BYTES, type Link } from "./link.ts";
import { type Heartbeat, Liveness } from "./liveness.ts";
import { PACKET_HEADER_BYTES, type PacketHeader, PacketKind, readPacketHeader } from "./packet.ts";
import { barePacket, closePacket, type OutgoingPacket } from "./packet-builder.ts";
import type { Session } from "./session.ts";

export interface SessionLinkOptions {
  readonly heartbeat: Heartbeat;
  /** Acceptor: the peer starts or goes on with a session that this link does not carry yet. Null refuses it. */
  acceptSession?(id: number): Session | null;
  /** Whether the peer understands PAUSE. @default false */
  readonly canPause?: boolean;
  /** The link is gone; its sessions have been told before. */
  onClose(error: DuplexityError): void;
  /** The peer will close the link within `deadlineMs`. */
  onGoAway?(deadlineMs: number): void;
}

const NO_MORE: readonly Buffer[] = [];
const PING_PAYLOAD_BYTES = 8;
const MAX_UINT32 = 4_294_967_295;
/** Weight of a new sample in the smoothed round trip, as TCP has it (RFC 6298 §2). */
const RTT_GAIN = 1 / 8;

export class SessionLink implements Carrier {
  /** Smoothed round trip; null until the first PONG. */
  rttMs: number | null = null;
  isOpen = true;
  /** Bytes of sessions' packets, sent and received. */
  movedBytes = 0;

  readonly #link: Link;
  readonly #options: SessionLinkOptions;
  readonly #sessions = new Map<number, Carried>();
  readonly #carried = new WeakSet<Carried>();
  readonly #header: PacketHeader = { kind: PacketKind.link, session: 0, seq: 0, ack: 0 };
  readonly #liveness: Liveness;
  #pingedAt = 0;
  #lastRttMs = 0;
  #isPongDue = false;
  #pingCount = 0;

  constructor(link: Link, options: SessionLinkOptions) {
    this.#link = link;
    this.#options = options;
    link.handler = this;
    this.#liveness = new Liveness({
      heartbeat: options.heartbeat,
      // A busy link is alive, but its round trip changes: the windows' growth follows it.
      pingsWhenBusy: true,
      ping: () => this.#ping(),
      dead: (silentMs) => {
        const message = `Nothing came for ${Math.round(silentMs / 1000)} s, a ping stayed unanswered`;
        link.abort(new DuplexityError("DPX_LINK_DEAD", message));
      },
    });
    // At once: the windows' growth needs a round-trip time.
    this.#liveness.ping();
  }

  get isCongested(): boolean {
    return this.#link.bufferedBytes > LINK_HIGH_WATER_BYTES;
  }

  /** Whether it carries as many sessions as it may. */
  get isFull(): boolean {
    return this.#sessions.size >= MAX_SESSIONS_PER_LINK;
  }

  /** Bytes that wait in it. */
  get bufferedBytes(): number {
    return this.#link.bufferedBytes;
  }

  /** The last round trip, or how long a PONG is outstanding, whichever is more; in ms. */
  get latencyMs(): number {
    return Math.max(this.#lastRttMs, this.#isPongDue ? performance.now() - this.#pingedAt : 0);
  }

  /** Measures the round trip now, unless a PONG is outstanding. */
  probe(): void {
    if (this.isOpen && !this.#isPongDue) this.#liveness.ping();
  }

  /** Announces that this side will close the link within `deadlineMs`. */
  goAway(deadlineMs: number): void {
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32BE(Math.min(Math.max(0, deadlineMs), MAX_UINT32), 0);
    this.#sendFrame(FrameType.goAway, payload);
  }

  /** Asks the peer to send no DATA of a session for now, or to go on. One that does not understand that is not asked. */
  setPaused(id: number, isPaused: boolean): void {
    if (this.#options.canPause !== true) return;
    const payload = Buffer.allocUnsafe(SESSION_ID_BYTES);
    payload.writeUIntBE(id, 0, SESSION_ID_BYTES);
    this.#sendFrame(isPaused ? FrameType.pause : FrameType.unpause, payload);
  }

  /** Ends a session at the peer that nobody here carries on with. */
  closeSession(id: number, code: ErrorCode, reason: string): void {
    if (!this.#sessions.has(id)) this.send(closePacket(id, code, reason));
  }

  close(code: ErrorCode, reason: string): void {
    if (this.isOpen) this.#link.close(code, reason);
  }

  abort(error: DuplexityError): void {
    if (this.isOpen) this.#link.abort(error);
  }

  // ── What sessions call ─────────────────────────────────────────────────

  add(session: Carried): void {
    this.#sessions.set(session.id, session);
    this.#carried.add(session);
  }

  hasCarried(session: Carried): boolean {
    return this.#carried.has(session);
  }

  forget(session: Carried): void {
    // Another one may have its id: a session that comes again from the same node.
    if (this.#sessions.get(session.id) === session) this.#sessions.delete(session.id);
  }

  send(packet: OutgoingPacket): void {
    if (!this.isOpen) return;
    this.movedBytes += packet.byteLength;
    this.#link.send(packet);
  }

  // ── What the link calls ────────────────────────────────────────────────

  onPacket(packet: Buffer, rest: readonly Buffer[] = NO_MORE): void {
    if (!this.isOpen) return;
    this.#liveness.heard();
    try {
      this.#receive(packet, rest);
    } catch (error) {
      if (!(error instanceof DuplexityError)) throw error;
      this.#link.close(error.code, error.message);
    }
  }

  onDrain(): void {
    for (const session of this.#sessions.values()) session.linkDrained();
    // The first one had the first choice of the room: next time it has the last.
    const [first] = this.#sessions.values();
    if (first === undefined || this.#sessions.size === 1) return;
    this.#sessions.delete(first.id);
    this.#sessions.set(first.id, first);
  }

  onClose(error: DuplexityError): void {
    if (!this.isOpen) return;
    this.isOpen = false;
    this.#liveness.stop();
    const sessions = [...this.#sessions.values()];
    this.#sessions.clear();
    for (const session of sessions) session.linkLost(this, error);
    this.#options.onClose(error);
  }

  #receive(first: Buffer, rest: readonly Buffer[]): void {
    let byteLength = first.length;
    for (const piece of rest) byteLength += piece.length;
    if (byteLength > MAX_PACKET_BYTES) {
      throw new DuplexityError(
        "DPX_PACKET_TOO_LARGE",
        `Packet of ${byteLength} bytes came, at most ${MAX_PACKET_BYTES} are allowed`,
      );
    }
    const header = this.#header;
    readPacketHeader(first, header);
    if (header.kind === PacketKind.data) {
      this.movedBytes += byteLength;
      // Without a session here, it is of one that has left this link: what was under way when it did.
      this.#sessions.get(header.session)?.receive(this, header, first, rest);
      return;
    }
    // All other kinds are short.
    const packet = rest.length === 0 ? first : Buffer.concat([first, ...rest], byteLength);
    if (header.kind === PacketKind.link) {
      this.#receiveLinkFrame(packet);
      return;
    }
    const session = this.#sessions.get(header.session);
    if (session !== undefined) session.receive(this, header, packet, NO_MORE);
    else if (header.kind === PacketKind.resume) this.#startSession(header, packet);
  }

  #startSession(header: PacketHeader, packet: Buffer): void {
    // An opener starts sessions itself: this answers a RESUME of one that has left the link since.
    if (this.#options.acceptSession === undefined) return;
    const session = this.isFull ? null : this.#options.acceptSession(header.session);
    if (session !== null && !session.isClosed) session.receive(this, header, packet, NO_MORE);
    else if (this.isCongested) throw new DuplexityError("DPX_LINK_QUEUE", "The peer asks for more than it reads");
    else this.send(closePacket(header.session, "DPX_SESSION_UNKNOWN", `Session ${header.session} is not known here`));
  }

  #receiveLinkFrame(packet: Buffer): void {
    const type = packet[PACKET_HEADER_BYTES] ?? 0;
    const payload = packet.subarray(PACKET_HEADER_BYTES + FRAME_HEADER_BYTES);
    if (
      packet.length < PACKET_HEADER_BYTES + FRAME_HEADER_BYTES ||
      packet.readUIntBE(PACKET_HEADER_BYTES + 1, 3) !== payload.length
    ) {
      throw new DuplexityError("DPX_FRAME_INVALID", "A packet of the link's own must hold one whole frame");
    }
    switch (type) {
      case FrameType.ping:
        if (payload.length !== PING_PAYLOAD_BYTES) break;
        // While more waits than the peer reads, that is its sign of life: pongs must not pile up behind it.
        if (!this.isCongested) this.#sendFrame(FrameType.pong, payload);
        return;
      case FrameType.pong:
        if (payload.length !== PING_PAYLOAD_BYTES) break;
        this.#receivePong(payload);
        return;
      case FrameType.goAway: {
        const deadlineMs = decodeUint32(payload, "GOAWAY");
        this.#options.onGoAway?.(deadlineMs);
        return;
      }
      case FrameType.pause:
      case FrameType.unpause:
        // Only an acceptor asked for it.
        if (this.#options.acceptSession === undefined) break;
        // One that has left the link is somewhere else, where nothing was said of it.
        this.#sessions.get(decodeSessionId(payload, "PAUSE"))?.linkPaused?.(type === FrameType.pause);
        return;
    }
    throw new DuplexityError(
      "DPX_FRAME_INVALID",
      `Frame of type ${type} with ${payload.length} bytes came on the link itself`,
    );
  }

  // ── Round trip ───────────────────────────────────────────────────────────

  #ping(): void {
    this.#pingCount += 1;
    this.#pingedAt = performance.now();
    this.#isPongDue = true;
    const payload = Buffer.alloc(PING_PAYLOAD_BYTES);
    payload.writeUInt32BE(this.#pingCount, 4);
    this.#sendFrame(FrameType.ping, payload);
  }

  #receivePong(payload: Buffer): void {
    if (!this.#isPongDue || payload.readUInt32BE(4) !== this.#pingCount) return;
    const sample = performance.now() - this.#pingedAt;
    this.#isPongDue = false;
    this.#lastRttMs = sample;
    this.rttMs = this.rttMs === null ? sample : this.rttMs + (sample - this.rttMs) * RTT_GAIN;
  }

  #sendFrame(type: FrameType, payload: Buffer): void {
    const body = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length);
    writeFrameHeader(body, 0, type, payload.length, 0);
    payload.copy(body, FRAME_HEADER_BYTES);
    if (this.isOpen) this.#link.send(barePacket({ kind: PacketKind.link, session: 0, seq: 0, ack: 0 }, body));
  }
}
