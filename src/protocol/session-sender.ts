// What a session sends: gathers frames into packets, keeps each until it is
// acknowledged, and gives its streams their turns. Knows nothing of resuming.

import type { Carrier } from "./carrier.ts";
import type { DuplexityError, ErrorCode } from "./errors.ts";
import { encodeOpen, encodeReport, encodeReset, FrameType } from "./frame.ts";
import {
  ACK_AFTER_BYTES,
  ACK_AFTER_MS,
  FAIR_QUANTUM_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_FRAME_PAYLOAD_BYTES,
  MAX_UNACKNOWLEDGED_ENDS,
  PACKET_TARGET_BYTES,
  PRE_ACCEPT_WINDOW_BYTES,
  SESSION_WINDOW_SLACK_BYTES,
  WINDOW_GROWTH_SHARE,
} from "./limits.ts";
import { PacketKind } from "./packet.ts";
import { barePacket, PacketBuilder } from "./packet-builder.ts";
import { ReplayBuffer } from "./replay-buffer.ts";
import type { SessionLimits } from "./session.ts";
import type { SessionStream, StreamCarrier } from "./session-stream.ts";
import { MAX_COPIED_BYTES, type OpenRequest, type RequestReport, type Stream, type StreamHandler } from "./stream.ts";
import { StreamTable } from "./stream-table.ts";

/** With this many streams open, new ones begin with a quarter of the window … */
const MANY_STREAMS = 16;
/** … and from here on with a sixteenth: stalled readers cost little, however many. */
const VERY_MANY_STREAMS = 512;

export class SessionSender implements StreamCarrier {
  readonly streams: StreamTable;
  /** The next sequence number to arrive: what acknowledgements say. */
  expected = 0;
  bytesOut = 0;

  readonly #id: number;
  readonly #limits: SessionLimits;
  readonly #onOverflow: (what: string) => void;
  readonly #builder = new PacketBuilder();
  readonly #replay = new ReplayBuffer();
  readonly #ready: SessionStream[] = [];
  /** The link while it carries data; null between links. */
  #link: Carrier | null = null;
  /** Whether the link's other end wants no DATA for now. */
  #isPaused = false;
  #isClosed = false;
  #isFlushScheduled = false;
  #isPumping = false;
  #growthLeftBytes: number;
  #ackSent = 0;
  #unacknowledgedBytes = 0;
  #ackTimer: NodeJS.Timeout | undefined;

  /** @param onOverflow The peer acknowledges nothing and the bound on kept packets is passed. */
  constructor(id: number, limits: SessionLimits, onOverflow: (what: string) => void) {
    this.#id = id;
    this.#limits = limits;
    this.#onOverflow = onOverflow;
    this.#growthLeftBytes = limits.windowGrowthBytes;
    this.streams = new StreamTable(this, limits.maxStreams, limits.maxOpensPerSecond);
  }

  get isLive(): boolean {
    return this.#link !== null;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  get rttMs(): number {
    return this.#link?.rttMs ?? 0;
  }

  get bufferedBytes(): number {
    return this.#builder.byteLength + this.#replay.byteLength;
  }

  get canSendData(): boolean {
    return (
      this.#link !== null && !this.#isPaused && !this.#link.isCongested && this.bufferedBytes < this.#limits.windowBytes
    );
  }

  /** The oldest packet that is kept. */
  get firstKept(): number {
    return this.#replay.firstSeq;
  }

  /** The sequence number of the next packet. */
  get nextSeq(): number {
    return this.#replay.nextSeq;
  }

  // ── What the session calls ─────────────────────────────────────────────

  /** The link carries data from now on. Sends again what the peer, which expects `nextForPeer`, has not got. */
  goLive(link: Carrier, nextForPeer: number): void {
    // Streams that have ended stay known: the peer is about to send again what it wrote before it saw their ends.
    this.#replay.acknowledge(nextForPeer);
    this.#link = link;
    // As they were, with what they acknowledged then: their frames were written by one who knew no more than that.
    for (const packet of this.#replay.pending()) link.send(packet);
    // Said once more, behind all that is sent again: now the peer may forget those streams.
    this.#ackSent = NEVER;
    this.oweAck(0);
  }

  /** There is no link any more: packets are kept, DATA stays in its streams. */
  detach(): void {
    this.#link = null;
    this.#isPaused = false;
  }

  setPaused(isPaused: boolean): void {
    this.#isPaused = isPaused;
    if (!isPaused) this.pump();
  }

  /** Drops what is kept and resets every stream with `error`. */
  close(error: DuplexityError): void {
    this.#isClosed = true;
    this.#link = null;
    clearTimeout(this.#ackTimer);
    this.#ready.length = 0;
    this.#replay.clear();
    this.#builder.clear();
    this.streams.resetAll(error);
  }

  open(request: OpenRequest, handler: StreamHandler): Stream {
    const windowBytes = this.#initialWindow();
    const payload = encodeOpen(request, windowBytes);
    const stream = this.streams.open(PRE_ACCEPT_WINDOW_BYTES, windowBytes);
    stream.handler = handler;
    this.#add(FrameType.open, stream.id, payload);
    return stream;
  }

  report(report: RequestReport): void {
    if (!this.canSendData) return;
    const payload = encodeReport(report);
    if (payload !== null) this.#add(FrameType.report, 0, payload);
  }

  /** The peer has all packets before `seq`, which is at most `nextSeq`. */
  acknowledge(seq: number): void {
    if (seq > this.#replay.firstSeq) this.#replay.acknowledge(seq);
    this.streams.removeRetired(seq);
    this.pump();
  }

  /** A packet of `bytes` has arrived and is to be acknowledged. */
  oweAck(bytes: number): void {
    this.#unacknowledgedBytes += bytes;
    if (this.expected === this.#ackSent) return;
    if (this.#unacknowledgedBytes >= ACK_AFTER_BYTES) this.#scheduleFlush();
    else this.#ackTimer ??= setTimeout(this.#ackTurn, ACK_AFTER_MS);
  }

  /** Streams take turns while there is room. */
  pump(): void {
    if (this.#isPumping || this.#ready.length === 0) return;
    this.#isPumping = true;
    try {
      while (this.canSendData) {
        const stream = this.#ready.shift();
        if (stream === undefined) break;
        stream.isQueued = false;
        if (stream.takeTurn(FAIR_QUANTUM_BYTES)) this.#queue(stream);
      }
    } finally {
      this.#isPumping = false;
    }
  }

  /** Sends what has been gathered, without waiting for the end of the turn. */
  flush(): void {
    if (this.#builder.isEmpty || this.#isClosed) return;
    const packet = this.#builder.seal({
      kind: PacketKind.data,
      session: this.#id,
      seq: this.#replay.nextSeq,
      ack: this.expected,
    });
    this.#replay.push(packet);
    if (this.#link !== null) {
      this.#acknowledged();
      this.#link.send(packet);
    }
    const { windowBytes } = this.#limits;
    if (this.#replay.byteLength > windowBytes + SESSION_WINDOW_SLACK_BYTES) {
      this.#onOverflow(`${this.#replay.byteLength} bytes unacknowledged, at most ${windowBytes} are kept`);
    } else if (this.streams.retiredCount > MAX_UNACKNOWLEDGED_ENDS) {
      this.#onOverflow(`the ends of ${this.streams.retiredCount} streams unacknowledged`);
    }
  }

  /** Both directions have ended here; the stream's id stays known until the peer has seen that. */
  retire(stream: SessionStream): void {
    this.release(stream);
    // The frame that ended it is in the last packet or in the one that is being gathered.
    const endsWith = this.#builder.isEmpty ? this.#replay.nextSeq - 1 : this.#replay.nextSeq;
    this.streams.retire(stream, endsWith, this.#replay.firstSeq);
  }

  /** Takes back what the stream's window has grown by. */
  release(stream: SessionStream): void {
    this.#growthLeftBytes += stream.grownBytes;
    stream.grownBytes = 0;
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
    if (stream.state.phase === "ended") this.retire(stream);
  }

  sendReset(stream: SessionStream, code: ErrorCode, deliveredBytes: number | null): void {
    this.#add(FrameType.reset, stream.id, encodeReset(code, deliveredBytes));
    this.retire(stream);
  }

  sendWindow(stream: SessionStream, bytes: number): void {
    this.#builder.addUint32Frame(FrameType.window, stream.id, bytes);
    this.#grown();
  }

  sendAccept(stream: SessionStream): number {
    const granted = this.#initialWindow() - PRE_ACCEPT_WINDOW_BYTES;
    this.#builder.addUint32Frame(FrameType.accept, stream.id, Math.max(0, granted));
    this.#grown();
    return Math.max(0, granted);
  }

  enqueue(stream: SessionStream): void {
    this.#queue(stream);
    // Not at once: a drain told inside `write()` would come before the false that it answers.
    if (this.#link !== null) this.#scheduleFlush();
  }

  growWindow(stream: SessionStream, bytes: number): number {
    // Never all that is left: credit cannot be taken back, and this stream may go idle with it. And the less the more
    // streams are open: those that stall keep what they have got, and all of it is filled then.
    const budget = this.#limits.windowGrowthBytes;
    const reserved = budget * (1 - Math.min(1, MANY_STREAMS / this.streams.openCount));
    const left = Math.max(0, this.#growthLeftBytes - reserved);
    const mostBytes = Math.floor((left + stream.grownBytes) * WINDOW_GROWTH_SHARE);
    const granted = Math.max(0, Math.min(bytes, mostBytes - stream.grownBytes));
    this.#growthLeftBytes -= granted;
    stream.grownBytes += granted;
    return granted;
  }

  // ── Packets ────────────────────────────────────────────────────────────

  #queue(stream: SessionStream): void {
    if (stream.isQueued || this.#isClosed) return;
    stream.isQueued = true;
    this.#ready.push(stream);
  }

  #add(type: FrameType, streamId: number, payload: Buffer): void {
    this.#builder.addFrame(type, streamId, payload);
    this.#grown();
  }

  #grown(): void {
    if (this.#isClosed) this.#builder.clear();
    else if (this.#builder.byteLength >= PACKET_TARGET_BYTES) this.flush();
    else this.#scheduleFlush();
  }

  #scheduleFlush(): void {
    if (this.#isFlushScheduled) return;
    this.#isFlushScheduled = true;
    setImmediate(this.#flushTurn);
  }

  readonly #flushTurn = (): void => {
    this.#isFlushScheduled = false;
    this.pump();
    this.flush();
    if (this.#unacknowledgedBytes >= ACK_AFTER_BYTES) this.#sendAck();
  };

  readonly #ackTurn = (): void => {
    this.#ackTimer = undefined;
    this.#sendAck();
  };

  #sendAck(): void {
    if (this.#link === null || this.#ackSent === this.expected) return;
    // It must not overtake frames that were written before what it acknowledges came.
    if (!this.#builder.isEmpty) {
      this.flush();
      return;
    }
    this.#acknowledged();
    this.#link.send(barePacket({ kind: PacketKind.ack, session: this.#id, seq: 0, ack: this.expected }));
  }

  #acknowledged(): void {
    this.#ackSent = this.expected;
    this.#unacknowledgedBytes = 0;
  }

  /** The more streams are open, the less each gets to begin with. */
  #initialWindow(): number {
    const { openCount } = this.streams;
    if (openCount < MANY_STREAMS) return INITIAL_WINDOW_BYTES;
    return openCount < VERY_MANY_STREAMS ? INITIAL_WINDOW_BYTES / 4 : INITIAL_WINDOW_BYTES / 16;
  }
}

const NOTHING = Buffer.alloc(0);
const NEVER = -1;
