// An ordered, reliable channel between a proxy node and a client. It outlives
// its links: what was not acknowledged is sent again on the next one.

import { randomBytes } from "node:crypto";
import { DuplexityError, ERRORS, type ErrorCode, errorCodeOf } from "./errors.ts";
import { encodeOpen, encodeReport, encodeReset, FrameType } from "./frame.ts";
import { dispatchFrames, type FrameHandler } from "./frame-dispatch.ts";
import {
  ACK_AFTER_BYTES,
  ACK_AFTER_MS,
  FAIR_QUANTUM_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_CLOSE_MESSAGE_BYTES,
  MAX_CREDIT_BYTES,
  MAX_FRAME_PAYLOAD_BYTES,
  MAX_OPENS_PER_SECOND,
  MAX_STREAMS,
  PACKET_TARGET_BYTES,
  PRE_ACCEPT_WINDOW_BYTES,
  RESUME_WINDOW_MS,
  SESSION_WINDOW_BYTES,
  SESSION_WINDOW_SLACK_BYTES,
  WINDOW_GROWTH_BUDGET_BYTES,
} from "./limits.ts";
import { PACKET_HEADER_BYTES, type PacketHeader, PacketKind } from "./packet.ts";
import { barePacket, PacketBuilder, renewAck } from "./packet-builder.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import type { SessionLink } from "./session-link.ts";
import type { SessionStream, StreamCarrier } from "./session-stream.ts";
import { MAX_COPIED_BYTES, type OpenRequest, type RequestReport, type Stream, type StreamHandler } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

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
  | { readonly phase: "resuming"; readonly link: SessionLink }
  | { readonly phase: "live"; readonly link: SessionLink }
  | { readonly phase: "closed" };

export class Session implements StreamCarrier {
  readonly id: number;
  readonly role: "opener" | "acceptor";
  bytesIn = 0;
  bytesOut = 0;
  /** When the last packet came, in ms since the epoch. */
  lastByteAt: number | null = null;

  readonly #options: SessionOptions;
  readonly #limits: SessionLimits;
  readonly #streams: StreamTable;
  readonly #builder = new PacketBuilder();
  readonly #replay = new ReplayBuffer();
  readonly #ready: SessionStream[] = [];
  #state: SessionState = { phase: "detached" };
  #resumeTimer: NodeJS.Timeout | undefined;
  #isFlushScheduled = false;
  #isPumping = false;
  #growthLeft: number;

  /** The next sequence number to arrive. */
  #expected = 0;
  #ackSent = 0;
  #bytesSinceAck = 0;
  #ackTimer: NodeJS.Timeout | undefined;
  #mustAck = false;

  constructor(options: SessionOptions) {
    this.id = options.id;
    this.role = options.role;
    this.#options = options;
    this.#limits = {
      maxStreams: MAX_STREAMS,
      maxOpensPerSecond: MAX_OPENS_PER_SECOND,
      windowBytes: SESSION_WINDOW_BYTES,
      windowGrowthBytes: WINDOW_GROWTH_BUDGET_BYTES,
      ...options.limits,
    };
    this.#growthLeft = this.#limits.windowGrowthBytes;
    this.#streams = new StreamTable(this, this.#limits.maxStreams, this.#limits.maxOpensPerSecond);
    this.#startResumeTimer();
  }

  get isLive(): boolean {
    return this.#state.phase === "live";
  }

  get isClosed(): boolean {
    return this.#state.phase === "closed";
  }

  get openStreams(): number {
    return this.#streams.openCount;
  }

  /** Bytes kept for the peer: not sent yet, or sent and not acknowledged. */
  get bufferedBytes(): number {
    return this.#builder.byteLength + this.#replay.byteLength;
  }

  get rttMs(): number {
    return this.#state.phase === "live" ? (this.#state.link.rttMs ?? 0) : 0;
  }

  get canSendData(): boolean {
    return (
      this.#state.phase === "live" &&
      !this.#state.link.isCongested &&
      this.#replay.byteLength + this.#builder.byteLength < this.#limits.windowBytes
    );
  }

  /** Opener: goes on over `link`, wherever it was before. */
  attach(link: SessionLink): void {
    if (this.#state.phase === "closed") return;
    this.#moveTo(link);
    this.#sendResume(link);
  }

  /**
   * Opener: opens a stream. The frames are queued; what comes of it arrives by `handler`.
   *
   * @throws {DuplexityError} `DPX_STREAMS_LIMIT`, `DPX_OPEN_RATE`, or `DPX_SESSION_EXPIRED` on a closed session.
   */
  open(request: OpenRequest, handler: StreamHandler): Stream {
    if (this.#state.phase === "closed") {
      throw new DuplexityError("DPX_SESSION_EXPIRED", `Cannot open a stream: session ${this.id} is closed`);
    }
    const windowBytes = this.#initialWindow();
    const stream = this.#streams.open(PRE_ACCEPT_WINDOW_BYTES, windowBytes);
    stream.handler = handler;
    this.#add(FrameType.open, stream.id, encodeOpen(request, windowBytes));
    return stream;
  }

  /** Opener: tells the client of a request that passed. Dropped while there is no link or it is congested. */
  report(report: RequestReport): void {
    if (!this.canSendData) return;
    const payload = encodeReport(report);
    if (payload !== null) this.#add(FrameType.report, 0, payload);
  }

  /** Ends the session now and tells the peer if there is a link. All streams are reset with `code`. */
  close(code: ErrorCode, message: string): void {
    if (this.#state.phase === "live" || this.#state.phase === "resuming") {
      this.#flush();
      this.#sendClose(this.#state.link, code, message);
    }
    this.#end(new DuplexityError(code, message));
  }

  // ── What the link calls ────────────────────────────────────────────────

  /** A packet of this session came over `link`. */
  receive(link: SessionLink, header: Readonly<PacketHeader>, packet: Buffer): void {
    try {
      this.#receive(link, header, packet);
    } catch (error) {
      const cause = error instanceof DuplexityError ? error : null;
      if (cause === null) throw error;
      this.close(cause.code, cause.message);
    }
  }

  /** The link that it ran over is gone. */
  linkLost(link: SessionLink, error: DuplexityError): void {
    if ((this.#state.phase !== "live" && this.#state.phase !== "resuming") || this.#state.link !== link) return;
    this.#state = { phase: "detached" };
    this.#startResumeTimer();
    this.#options.onDetached?.(error);
  }

  /** The link has room again. */
  linkDrained(): void {
    this.#pump();
  }

  // ── What the streams call ──────────────────────────────────────────────

  sendData(stream: SessionStream, chunk: Buffer | string): void {
    this.bytesOut += chunk.length;
    if (typeof chunk === "string" && chunk.length <= MAX_COPIED_BYTES) {
      this.#builder.addLatin1Frame(FrameType.data, stream.id, chunk);
      this.#grown();
      return;
    }
    const bytes = typeof chunk === "string" ? Buffer.from(chunk, "latin1") : chunk;
    if (bytes.length <= MAX_FRAME_PAYLOAD_BYTES) {
      this.#add(FrameType.data, stream.id, bytes);
      return;
    }
    for (let offset = 0; offset < bytes.length; offset += MAX_FRAME_PAYLOAD_BYTES) {
      this.#add(FrameType.data, stream.id, bytes.subarray(offset, offset + MAX_FRAME_PAYLOAD_BYTES));
    }
  }

  sendFin(stream: SessionStream): void {
    this.#add(FrameType.fin, stream.id, NOTHING);
    if (stream.state.phase === "ended") this.#retire(stream);
  }

  sendReset(stream: SessionStream, code: ErrorCode, deliveredBytes: number | null): void {
    if (this.#state.phase === "closed") return;
    this.#add(FrameType.reset, stream.id, encodeReset(code, deliveredBytes));
    this.#retire(stream);
  }

  sendWindow(stream: SessionStream, bytes: number): void {
    if (this.#state.phase === "closed") return;
    this.#builder.addUint32Frame(FrameType.window, stream.id, bytes);
    this.#grown();
  }

  sendAccept(stream: SessionStream): number {
    const granted = Math.max(0, this.#initialWindow() - PRE_ACCEPT_WINDOW_BYTES);
    this.#builder.addUint32Frame(FrameType.accept, stream.id, granted);
    this.#grown();
    return granted;
  }

  enqueue(stream: SessionStream): void {
    if (!stream.isQueued) {
      stream.isQueued = true;
      this.#ready.push(stream);
    }
    this.#pump();
  }

  growWindow(bytes: number): number {
    const granted = Math.min(bytes, this.#growthLeft);
    this.#growthLeft -= granted;
    return granted;
  }

  // ── Sending ────────────────────────────────────────────────────────────

  #add(type: FrameType, streamId: number, payload: Buffer): void {
    this.#builder.addFrame(type, streamId, payload);
    this.#grown();
  }

  #grown(): void {
    if (this.#state.phase === "closed") {
      this.#builder.clear();
    } else if (this.#builder.byteLength >= PACKET_TARGET_BYTES) {
      this.#flush();
    } else if (!this.#isFlushScheduled) {
      this.#scheduleFlush();
    }
  }

  #scheduleFlush(): void {
    this.#isFlushScheduled = true;
    setImmediate(this.#flushTurn);
  }

  readonly #flushTurn = (): void => {
    this.#isFlushScheduled = false;
    if (!this.#builder.isEmpty) this.#flush();
    else if (this.#mustAck) this.#sendAck();
  };

  #flush(): void {
    if (this.#builder.isEmpty || this.#state.phase === "closed") return;
    const packet = this.#builder.seal({
      kind: PacketKind.data,
      session: this.id,
      seq: this.#replay.nextSeq,
      ack: this.#expected,
    });
    this.#replay.push(packet);
    if (this.#state.phase === "live") {
      this.#acknowledged();
      this.#state.link.send(packet);
    }
    if (this.#replay.byteLength > this.#limits.windowBytes + SESSION_WINDOW_SLACK_BYTES) {
      this.close(
        "DPX_SESSION_WINDOW",
        `The peer left ${this.#replay.byteLength} bytes unacknowledged, at most ${this.#limits.windowBytes} are kept`,
      );
    }
  }

  /** Streams take turns while there is room. */
  #pump(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    while (this.canSendData) {
      const stream = this.#ready.shift();
      if (stream === undefined) break;
      stream.isQueued = false;
      const hasMore = stream.takeTurn(FAIR_QUANTUM_BYTES);
      if (hasMore && !stream.isQueued) {
        stream.isQueued = true;
        this.#ready.push(stream);
      }
    }
    this.#isPumping = false;
  }

  #sendAck(): void {
    this.#mustAck = false;
    if (this.#state.phase !== "live" || this.#ackSent === this.#expected) return;
    this.#acknowledged();
    this.#state.link.send(barePacket({ kind: PacketKind.ack, session: this.id, seq: 0, ack: this.#expected }));
  }

  readonly #ackTurn = (): void => {
    this.#ackTimer = undefined;
    this.#sendAck();
  };

  #acknowledged(): void {
    this.#ackSent = this.#expected;
    this.#bytesSinceAck = 0;
    this.#mustAck = false;
  }

  #sendClose(link: SessionLink, code: ErrorCode, message: string): void {
    const text = Buffer.from(message).subarray(0, MAX_CLOSE_MESSAGE_BYTES);
    const body = Buffer.alloc(2 + text.length);
    body.writeUInt16BE(ERRORS[code].wire, 0);
    text.copy(body, 2);
    link.send(barePacket({ kind: PacketKind.close, session: this.id, seq: 0, ack: 0 }, body));
  }

  // ── Receiving ──────────────────────────────────────────────────────────

  #receive(link: SessionLink, header: Readonly<PacketHeader>, packet: Buffer): void {
    switch (header.kind) {
      case PacketKind.data:
        this.#receiveData(link, header, packet);
        return;
      case PacketKind.ack:
        if (this.#isLiveOver(link)) this.#receiveAck(header.ack);
        return;
      case PacketKind.resume:
        this.#receiveResume(link, header);
        return;
      case PacketKind.close:
        this.#receiveClose(packet);
        return;
      default:
        throw new DuplexityError("DPX_PACKET_INVALID", `Packet of kind ${header.kind} belongs to no session`);
    }
  }

  #isLiveOver(link: SessionLink): boolean {
    return this.#state.phase === "live" && this.#state.link === link;
  }

  #receiveData(link: SessionLink, header: Readonly<PacketHeader>, packet: Buffer): void {
    // A link that the session has left may still have packets under way: the new link brings them again.
    if (!this.#isLiveOver(link)) return;
    if (header.seq !== this.#expected) {
      throw new DuplexityError("DPX_SEQUENCE", `Packet ${header.seq} came, expected ${this.#expected}`);
    }
    const { ack } = header;
    this.#expected += 1;
    this.#bytesSinceAck += packet.length;
    this.lastByteAt = Date.now();
    dispatchFrames(packet, PACKET_HEADER_BYTES, this.#frames);
    if (this.#state.phase !== "live") return;
    // After the frames: the peer may have written them before it saw what it acknowledges here.
    this.#receiveAck(ack);
    if (this.#expected === this.#ackSent) return;
    if (this.#bytesSinceAck >= ACK_AFTER_BYTES) {
      this.#mustAck = true;
      if (!this.#isFlushScheduled) this.#scheduleFlush();
    } else if (this.#ackTimer === undefined) {
      this.#ackTimer = setTimeout(this.#ackTurn, ACK_AFTER_MS);
    }
  }

  readonly #frames: FrameHandler = {
    open: (id: number, request: OpenRequest, windowBytes: number): void => {
      if (this.role !== "acceptor") throw new DuplexityError("DPX_STREAM_ID", "Only the server's side opens streams");
      const refusal = this.#streams.whyNot(id);
      const stream = this.#streams.accept(id, windowBytes, PRE_ACCEPT_WINDOW_BYTES);
      if (refusal !== null) stream.reset(refusal, 0);
      else if (this.#options.onOpen === undefined) stream.reset("DPX_PIPE_UNKNOWN", 0);
      else this.#options.onOpen(stream, request);
    },
    accept: (id: number, credit: number): void => {
      const stream = this.#streams.get(id);
      if (this.role !== "opener" || stream.isAccepted) {
        throw new DuplexityError("DPX_FRAME_INVALID", `ACCEPT for stream ${id} came twice or from the opener`);
      }
      stream.isAccepted = true;
      stream.addCredit(credit, MAX_CREDIT_BYTES);
      if (stream.state.phase !== "reset") stream.handler.onAccept();
    },
    data: (id: number, payload: Buffer): void => {
      this.bytesIn += payload.length;
      this.#streams.get(id).receiveData(payload);
    },
    window: (id: number, credit: number): void => {
      this.#streams.get(id).addCredit(credit, MAX_CREDIT_BYTES);
    },
    fin: (id: number): void => {
      const stream = this.#streams.get(id);
      const wasRetiring = stream.state.phase === "reset";
      stream.receiveFin();
      if (!wasRetiring && stream.state.phase === "ended") this.#retire(stream);
    },
    reset: (id: number, code: ErrorCode, deliveredBytes: number | null): void => {
      const stream = this.#streams.get(id);
      const error = new DuplexityError(code, `The peer ended stream ${id}: ${ERRORS[code].meaning}`);
      stream.receiveReset(error, deliveredBytes);
      // Nothing more may come for it, but what we sent before may still be under way: that is the peer's to ignore.
      this.#release(stream);
      this.#streams.remove(stream);
    },
    report: (report: RequestReport): void => {
      if (this.role !== "acceptor")
        throw new DuplexityError("DPX_FRAME_INVALID", "Only the server's side sends REPORT");
      this.#options.onReport?.(report);
    },
  };

  #receiveAck(ack: number): void {
    if (ack < this.#replay.firstSeq || ack > this.#replay.nextSeq) {
      throw new DuplexityError(
        "DPX_SEQUENCE",
        `Acknowledgement of ${ack} came, expected ${this.#replay.firstSeq} to ${this.#replay.nextSeq}`,
      );
    }
    if (ack === this.#replay.firstSeq) return;
    this.#replay.acknowledge(ack);
    this.#streams.removeRetired(ack);
    if (this.#ready.length > 0) this.#pump();
  }

  #receiveClose(packet: Buffer): void {
    if (packet.length < PACKET_HEADER_BYTES + 2) {
      throw new DuplexityError("DPX_PACKET_INVALID", "CLOSE has no error code");
    }
    const code = errorCodeOf(packet.readUInt16BE(PACKET_HEADER_BYTES));
    const end = PACKET_HEADER_BYTES + 2 + MAX_CLOSE_MESSAGE_BYTES;
    this.#end(new DuplexityError(code, packet.toString("utf8", PACKET_HEADER_BYTES + 2, Math.min(packet.length, end))));
  }

  // ── Links come and go ──────────────────────────────────────────────────

  #moveTo(link: SessionLink): void {
    if (this.#state.phase === "live" || this.#state.phase === "resuming") this.#state.link.forget(this);
    clearTimeout(this.#resumeTimer);
    link.add(this);
    this.#state = { phase: "resuming", link };
  }

  #sendResume(link: SessionLink): void {
    const header = { kind: PacketKind.resume, session: this.id, seq: this.#replay.firstSeq, ack: this.#expected };
    link.send(barePacket(header));
  }

  #receiveResume(link: SessionLink, header: Readonly<PacketHeader>): void {
    if (this.role === "acceptor") {
      if (this.#isLiveOver(link)) throw new DuplexityError("DPX_SEQUENCE", "A second RESUME came on one link");
      // From here on nothing of the old link counts, so that what we say we expect stays true.
      this.#moveTo(link);
    } else if (this.#state.phase !== "resuming" || this.#state.link !== link) {
      return;
    }
    const canGoOn =
      header.seq <= this.#expected && header.ack >= this.#replay.firstSeq && header.ack <= this.#replay.nextSeq;
    if (!canGoOn) {
      throw new DuplexityError(
        "DPX_SESSION_UNKNOWN",
        `Cannot resume: the peer keeps packets from ${header.seq} and expects ${header.ack}, here ${this.#expected} is expected and ${this.#replay.firstSeq} to ${this.#replay.nextSeq} are kept`,
      );
    }
    if (this.role === "acceptor") this.#sendResume(link);
    // No stream's id is forgotten here: the peer has seen its end by now, but what it sends again was written before.
    this.#replay.acknowledge(header.ack);
    this.#state = { phase: "live", link };
    for (const packet of this.#replay.pending()) {
      renewAck(packet, this.#expected);
      link.send(packet);
    }
    this.#acknowledged();
    this.#options.onLive?.();
    this.#pump();
  }

  #startResumeTimer(): void {
    this.#resumeTimer = setTimeout(() => {
      const seconds = (this.#options.resumeWindowMs ?? RESUME_WINDOW_MS) / 1000;
      this.#end(new DuplexityError("DPX_SESSION_EXPIRED", `No link came back within ${seconds} s`));
    }, this.#options.resumeWindowMs ?? RESUME_WINDOW_MS);
  }

  #end(error: DuplexityError): void {
    if (this.#state.phase === "closed") return;
    if (this.#state.phase !== "detached") this.#state.link.forget(this);
    this.#state = { phase: "closed" };
    clearTimeout(this.#resumeTimer);
    clearTimeout(this.#ackTimer);
    this.#ready.length = 0;
    this.#replay.clear();
    this.#builder.clear();
    this.#streams.resetAll(error);
    this.#options.onClose(error);
  }

  // ── Streams' ends ──────────────────────────────────────────────────────

  /** Both directions have ended here; its id stays known until the peer has seen that. */
  #retire(stream: SessionStream): void {
    this.#release(stream);
    // The frame that ended it goes with the next packet to be sealed.
    const endsWith = this.#builder.isEmpty ? this.#replay.nextSeq - 1 : this.#replay.nextSeq;
    this.#streams.retire(stream, endsWith, this.#replay.firstSeq);
  }

  #release(stream: SessionStream): void {
    this.#growthLeft += stream.grownBytes;
    stream.grownBytes = 0;
  }

  /** The more streams are open, the less each gets to begin with: stalled readers cost little, however many. */
  #initialWindow(): number {
    const { openCount } = this.#streams;
    if (openCount < 64) return INITIAL_WINDOW_BYTES;
    return openCount < 512 ? PRE_ACCEPT_WINDOW_BYTES : PRE_ACCEPT_WINDOW_BYTES / 4;
  }
}

const NOTHING = Buffer.alloc(0);
