// An ordered, reliable channel between a proxy node and a client. It outlives
// its links: what was not acknowledged is sent again on the next one.

import { randomBytes } from "node:crypto";
import type { Carried, Carrier } from "./carrier.ts";
import { asDuplexityError, DuplexityError, ERRORS, type ErrorCode, errorCodeOf } from "./errors.ts";
import { dispatchFrames, dispatchPieces } from "./frame-dispatch.ts";
import { FrameReceiver } from "./frame-receiver.ts";
import {
  MAX_CLOSE_MESSAGE_BYTES,
  MAX_OPENS_PER_SECOND,
  MAX_STREAMS,
  RESUME_WINDOW_MS,
  SESSION_WINDOW_BYTES,
  WINDOW_GROWTH_BUDGET_BYTES,
} from "./limits.ts";
import { PACKET_HEADER_BYTES, type PacketHeader, PacketKind } from "./packet.ts";
import { barePacket, closePacket } from "./packet-builder.ts";
import { SessionSender } from "./session-sender.ts";
import type { OpenRequest, RequestReport, Stream, StreamHandler } from "./stream.ts";

export interface SessionLimits {
  /** @default 4_096 */
  readonly maxStreams: number;
  /** @default 50_000 */
  readonly maxOpensPerSecond: number;
  /** Unacknowledged bytes above which DATA waits. @default 16_777_216 */
  readonly windowBytes: number;
  /** By how much all streams' windows may grow together. @default 16_777_216 */
  readonly windowGrowthBytes: number;
}

export interface SessionOptions {
  /** The server's side opens streams, the client accepts them. */
  readonly role: "opener" | "acceptor";
  /** 48 bits at random, made by the opener. */
  readonly id: number;
  /** How long to wait for a new link. @default 30_000 */
  readonly resumeWindowMs?: number;
  readonly limits?: Partial<SessionLimits>;
  /** Acceptor: the peer opens a stream. Set its handler in this call; answer with `accept()` or `reset(code)`. */
  onOpen?(stream: Stream, request: OpenRequest): void;
  /** Acceptor: a request passed. */
  onReport?(report: RequestReport): void;
  /** A link is attached and both sides know where to go on. Also the first time. */
  onLive?(): void;
  /** The link is gone; streams wait. */
  onDetached?(error: DuplexityError): void;
  /** For good: closed by either side, expired, or the peer broke the protocol. All streams were reset before. */
  onClose(error: DuplexityError): void;
}

/** A session id that cannot be guessed. */
export function newSessionId(): number {
  return randomBytes(6).readUIntBE(0, 6);
}

type SessionState =
  | { readonly phase: "detached" }
  | { readonly phase: "resuming"; readonly link: Carrier }
  | { readonly phase: "live"; readonly link: Carrier }
  | { readonly phase: "closed" };

/** RESUME says which one of the session it is, and the answer to it repeats that: u32, from 1. */
const RESUME_BODY_BYTES = 4;

const DETACHED: SessionState = { phase: "detached" };
const CLOSED: SessionState = { phase: "closed" };

export class Session implements Carried {
  readonly id: number;
  readonly role: "opener" | "acceptor";
  /** When the last packet came, in ms since the epoch. */
  lastByteAt: number | null = null;

  readonly #options: SessionOptions;
  readonly #sender: SessionSender;
  readonly #receiver: FrameReceiver;
  #state: SessionState = DETACHED;
  #resumeTimer: NodeJS.Timeout | undefined;
  /** How often the opener has resumed: tells a RESUME that a slow link brings late. */
  #resumes = 0;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.role = options.role;
    this.#options = options;
    const limits = {
      maxStreams: MAX_STREAMS,
      maxOpensPerSecond: MAX_OPENS_PER_SECOND,
      windowBytes: SESSION_WINDOW_BYTES,
      windowGrowthBytes: WINDOW_GROWTH_BUDGET_BYTES,
      ...options.limits,
    };
    this.#sender = new SessionSender(options.id, limits, (what) => {
      this.close("DPX_SESSION_WINDOW", `The peer left ${what}`);
    });
    this.#receiver = new FrameReceiver(options, this.#sender);
    this.#startResumeTimer();
  }

  get isLive(): boolean {
    return this.#state.phase === "live";
  }

  /** Between two links: not even a RESUME is under way. */
  get isDetached(): boolean {
    return this.#state.phase === "detached";
  }

  get isClosed(): boolean {
    return this.#state.phase === "closed";
  }

  get openStreams(): number {
    return this.#sender.streams.openCount;
  }

  /** Bytes of streams received. */
  get bytesIn(): number {
    return this.#receiver.bytesIn;
  }

  /** Bytes of streams sent. */
  get bytesOut(): number {
    return this.#sender.bytesOut;
  }

  /** Bytes kept for the peer: not sent yet, or sent and not acknowledged. */
  get bufferedBytes(): number {
    return this.#sender.bufferedBytes;
  }

  /** Opener: goes on over `link`, wherever it was before. A link that is gone, or that it was on before, is not taken. */
  attach(link: Carrier): void {
    if (this.#state.phase === "closed" || !link.isOpen || link.hasCarried(this)) return;
    this.#moveTo(link);
    this.#resumes += 1;
    this.#sendResume(link);
  }

  /**
   * Opener: opens a stream. The frames are queued; what comes of it arrives by `handler`.
   *
   * @throws {DuplexityError} `DPX_STREAMS_LIMIT`, `DPX_OPEN_RATE`, `DPX_FRAME_INVALID` if hostname or visitor has more
   *   than 255 bytes, or `DPX_SESSION_EXPIRED` on a closed session.
   */
  open(request: OpenRequest, handler: StreamHandler): Stream {
    if (this.#state.phase === "closed") {
      throw new DuplexityError("DPX_SESSION_EXPIRED", `Cannot open a stream: session ${this.id} is closed`);
    }
    return this.#sender.open(request, handler);
  }

  /** Opener: tells the client of a request that passed. Dropped while there is no link or it is congested. */
  report(report: RequestReport): void {
    this.#sender.report(report);
  }

  /** Ends the session now and tells the peer if there is a link. All streams are reset with `code`. */
  close(code: ErrorCode, message: string): void {
    this.#closeWith(new DuplexityError(code, message), message);
  }

  // ── What the link calls ────────────────────────────────────────────────

  /**
   * A packet of this session came over `link`, its header in `packet`, and more of it in `rest` if it is of DATA. What
   * breaks the protocol, or a defect in a handler, closes the session.
   */
  receive(link: Carrier, header: Readonly<PacketHeader>, packet: Buffer, rest: readonly Buffer[]): void {
    try {
      this.#receive(link, header, packet, rest);
    } catch (error) {
      const cause = asDuplexityError(error);
      // What a defect of ours says is for our own log: `onClose` gets it.
      this.#closeWith(cause, cause.code === "DPX_INTERNAL" ? ERRORS.DPX_INTERNAL.meaning : cause.message);
    }
  }

  /** The link that it ran over is gone. */
  linkLost(link: Carrier, error: DuplexityError): void {
    if (!this.#isOver(link)) return;
    this.#state = DETACHED;
    this.#sender.detach();
    this.#startResumeTimer();
    this.#options.onDetached?.(error);
  }

  /** The link has room again. */
  linkDrained(): void {
    this.#sender.pump();
  }

  /** The hub has no room for what it has to pass on, or has it again: DATA waits, all else goes. */
  linkPaused(isPaused: boolean): void {
    this.#sender.setPaused(isPaused);
  }

  // ── Packets ────────────────────────────────────────────────────────────

  #receive(link: Carrier, header: Readonly<PacketHeader>, packet: Buffer, rest: readonly Buffer[]): void {
    switch (header.kind) {
      case PacketKind.data:
        if (this.#isCarriedBy(link)) this.#receiveData(header.seq, header.ack, packet, rest);
        return;
      case PacketKind.ack:
        if (this.#isCarriedBy(link)) this.#receiveAck(header.ack);
        return;
      case PacketKind.resume:
        this.#receiveResume(link, header, packet);
        return;
      case PacketKind.close:
        this.#receiveClose(packet);
        return;
      default:
        throw new DuplexityError("DPX_PACKET_INVALID", `Packet of kind ${header.kind} belongs to no session`);
    }
  }

  #isOver(link: Carrier): boolean {
    return (this.#state.phase === "live" || this.#state.phase === "resuming") && this.#state.link === link;
  }

  /** A link that the session has left may still have packets under way: the new link brings them again. */
  #isCarriedBy(link: Carrier): boolean {
    if (!this.#isOver(link)) return false;
    if (this.isLive) return true;
    throw new DuplexityError("DPX_SEQUENCE", "A packet came on a link before the RESUME that goes ahead of all others");
  }

  #receiveData(seq: number, ack: number, packet: Buffer, rest: readonly Buffer[]): void {
    const sender = this.#sender;
    if (seq !== sender.expected) {
      throw new DuplexityError("DPX_SEQUENCE", `Packet ${seq} came, expected ${sender.expected}`);
    }
    sender.expected += 1;
    this.lastByteAt = Date.now();
    if (rest.length === 0) dispatchFrames(packet, PACKET_HEADER_BYTES, this.#receiver);
    else dispatchPieces([packet, ...rest], PACKET_HEADER_BYTES, this.#receiver);
    if (!this.isLive) return;
    // After the frames: the peer may have written them before it saw what it acknowledges here.
    this.#receiveAck(ack);
    let byteLength = packet.length;
    for (const piece of rest) byteLength += piece.length;
    sender.oweAck(byteLength);
  }

  #receiveAck(ack: number): void {
    const { nextSeq } = this.#sender;
    // A packet that is sent again says what was true when it was first sent: an old acknowledgement is only late.
    if (ack > nextSeq) {
      throw new DuplexityError("DPX_SEQUENCE", `Acknowledgement of ${ack} came, at most ${nextSeq} was expected`);
    }
    this.#sender.acknowledge(ack);
  }

  #receiveClose(packet: Buffer): void {
    const start = PACKET_HEADER_BYTES + 2;
    if (packet.length < start) throw new DuplexityError("DPX_PACKET_INVALID", "CLOSE has no error code");
    const code = errorCodeOf(packet.readUInt16BE(PACKET_HEADER_BYTES));
    const message = packet.toString("utf8", start, Math.min(packet.length, start + MAX_CLOSE_MESSAGE_BYTES));
    this.#end(new DuplexityError(code, message));
  }

  // ── Links come and go ──────────────────────────────────────────────────

  #moveTo(link: Carrier): void {
    if (this.#state.phase === "live" || this.#state.phase === "resuming") this.#state.link.forget(this);
    // From here on nothing of the old link counts, so that what we say we expect stays true.
    this.#sender.detach();
    link.add(this);
    this.#state = { phase: "resuming", link };
  }

  #sendResume(link: Carrier): void {
    const { firstKept, expected } = this.#sender;
    const body = Buffer.allocUnsafe(RESUME_BODY_BYTES);
    body.writeUInt32BE(this.#resumes, 0);
    link.send(barePacket({ kind: PacketKind.resume, session: this.id, seq: firstKept, ack: expected }, body));
  }

  #receiveResume(link: Carrier, header: Readonly<PacketHeader>, packet: Buffer): void {
    const count = resumeCountOf(packet);
    if (this.role === "acceptor") {
      // A slow way brings it after a later one: the session must not go back there.
      if (count <= this.#resumes) return;
      this.#resumes = count;
      // Maybe the link that it is on: what lay beyond that has changed.
      this.#moveTo(link);
    } else {
      if (!this.#isOver(link)) return;
      if (this.isLive) throw new DuplexityError("DPX_SEQUENCE", "A second RESUME came on one link");
      // The answer to an earlier one, which a hub brings that the session has come back to.
      if (count !== this.#resumes) return;
    }
    const { expected, firstKept, nextSeq } = this.#sender;
    const { seq, ack } = header;
    if (seq > expected || ack < firstKept || ack > nextSeq) {
      throw new DuplexityError(
        "DPX_SESSION_UNKNOWN",
        `Cannot resume: the peer keeps packets from ${seq} and expects ${ack}; ${expected} is expected here and ${firstKept} to ${nextSeq} are kept`,
      );
    }
    if (this.role === "acceptor") this.#sendResume(link);
    this.#state = { phase: "live", link };
    clearTimeout(this.#resumeTimer);
    this.#resumeTimer = undefined;
    this.#sender.goLive(link, ack);
    // Sending may have been the link's end.
    if (this.isLive) this.#options.onLive?.();
    this.#sender.pump();
  }

  /** Runs until the session is live: a link that does not resume is none. */
  #startResumeTimer(): void {
    const windowMs = this.#options.resumeWindowMs ?? RESUME_WINDOW_MS;
    this.#resumeTimer ??= setTimeout(() => {
      this.#end(new DuplexityError("DPX_SESSION_EXPIRED", `No link came back within ${windowMs / 1000} s`));
    }, windowMs);
  }

  #closeWith(error: DuplexityError, message: string): void {
    if (this.#state.phase === "live" || this.#state.phase === "resuming") {
      const { link } = this.#state;
      this.#sender.flush();
      // Flushing may have closed it: what was kept had passed its bound.
      if (this.#isOver(link)) link.send(closePacket(this.id, error.code, message));
    }
    this.#end(error);
  }

  #end(error: DuplexityError): void {
    if (this.#state.phase === "closed") return;
    if (this.#state.phase !== "detached") this.#state.link.forget(this);
    this.#state = CLOSED;
    clearTimeout(this.#resumeTimer);
    this.#sender.close(error);
    this.#options.onClose(error);
  }
}

function resumeCountOf(packet: Buffer): number {
  if (packet.length === PACKET_HEADER_BYTES + RESUME_BODY_BYTES) return packet.readUInt32BE(PACKET_HEADER_BYTES);
  throw new DuplexityError(
    "DPX_PACKET_INVALID",
    `RESUME has ${packet.length} bytes, expected ${PACKET_HEADER_BYTES + RESUME_BODY_BYTES}`,
  );
}
