// One byte stream inside a session. Owns both windows and the state; never
// touches a link: it hands frames to the session.

import { DuplexityError, type ErrorCode } from "./errors.ts";
import { ACK_AFTER_BYTES, MAX_FRAME_PAYLOAD_BYTES, MAX_WINDOW_BYTES } from "./limits.ts";
import { MAX_COPIED_BYTES, type Stream, type StreamHandler } from "./stream.ts";

/** What a stream needs from its session. */
export interface StreamCarrier {
  readonly isLive: boolean;
  /** Whether DATA may be sent now: there is a link, it is not congested, and the session's window has room. */
  readonly canSendData: boolean;
  /** Smoothed round trip, in ms. */
  readonly rttMs: number;
  sendData(stream: SessionStream, chunk: Buffer | string): void;
  sendFin(stream: SessionStream): void;
  sendReset(stream: SessionStream, code: ErrorCode, deliveredBytes: number | null): void;
  sendWindow(stream: SessionStream, bytes: number): void;
  sendAccept(stream: SessionStream): number;
  /** The stream has something to send and credit for it: it is to get its turn. */
  enqueue(stream: SessionStream): void;
  /** Asks for `bytes` more of receive window; answers how much is granted. */
  growWindow(stream: SessionStream, bytes: number): number;
}

/** Each direction on its own: `open`, then `ended` by FIN; a reset or a lost session ends both. */
export type StreamPhase =
  | { readonly phase: "open" }
  | { readonly phase: "local-ended" }
  | { readonly phase: "remote-ended" }
  | { readonly phase: "ended" }
  | { readonly phase: "reset" };

const OPEN: StreamPhase = { phase: "open" };
const LOCAL_ENDED: StreamPhase = { phase: "local-ended" };
const REMOTE_ENDED: StreamPhase = { phase: "remote-ended" };
const ENDED: StreamPhase = { phase: "ended" };
const RESET: StreamPhase = { phase: "reset" };

/** Grow a window only when half of it went by in less than this many round trips … */
const GROW_WITHIN_RTTS = 2;
/** … of at least this long: on a LAN the event loop, not the wire, is what takes time. */
const MIN_GROW_RTT_MS = 2;

const IGNORE: StreamHandler = {
  onAccept() {},
  onData() {},
  onEnd() {},
  onDrain() {},
  onReset() {},
};

export class SessionStream implements Stream {
  readonly id: number;
  handler: StreamHandler = IGNORE;
  writtenBytes = 0;
  isAccepted = false;
  /** Whether it waits in the session's queue for its turn. */
  isQueued = false;
  /** Whether its session counts it as open no more. */
  isRetired = false;
  /** What its windows have grown by, to be given back at the end. */
  grownBytes = 0;
  state: StreamPhase = OPEN;

  readonly #carrier: StreamCarrier;
  #sendCredit: number;
  #queue: (Buffer | string)[] = [];
  #queueHead = 0;
  #isEnding = false;
  #wantsDrain = false;

  #receiveWindow: number;
  /** What the peer may still send. */
  #receiveCredit: number;
  #consumedBytes = 0;
  /** How much has been read since then, to tell how fast the reader is. */
  #passedBytes = 0;
  #passingSince = 0;

  constructor(carrier: StreamCarrier, id: number, sendCredit: number, receiveWindow: number) {
    this.#carrier = carrier;
    this.id = id;
    this.#sendCredit = sendCredit;
    this.#receiveWindow = receiveWindow;
    this.#receiveCredit = receiveWindow;
  }

  get isLive(): boolean {
    return this.#carrier.isLive;
  }

  get isLocalOpen(): boolean {
    return this.state === OPEN || this.state === REMOTE_ENDED;
  }

  get isRemoteOpen(): boolean {
    return this.state === OPEN || this.state === LOCAL_ENDED;
  }

  get sendCredit(): number {
    return this.#sendCredit;
  }

  get hasQueued(): boolean {
    return this.#queueHead < this.#queue.length;
  }

  accept(): void {
    if (this.isAccepted || this.state === RESET || this.state === ENDED) return;
    this.isAccepted = true;
    const granted = this.#carrier.sendAccept(this);
    this.#receiveWindow += granted;
    this.#receiveCredit += granted;
  }

  write(chunk: Buffer | string): boolean {
    const { length } = chunk;
    if (!this.isLocalOpen || this.#isEnding || length === 0) return true;
    this.writtenBytes += length;
    if (
      !this.hasQueued &&
      length <= this.#sendCredit &&
      length <= MAX_FRAME_PAYLOAD_BYTES &&
      this.#carrier.canSendData
    ) {
      this.#sendCredit -= length;
      this.#carrier.sendData(this, chunk);
      if (this.#sendCredit > 0 && this.#carrier.canSendData) return true;
      this.#wantsDrain = true;
      // Nothing is queued, so only its turn tells that the link has room again.
      if (this.#sendCredit > 0) this.#carrier.enqueue(this);
      return false;
    }
    this.#queue.push(typeof chunk === "string" || length > MAX_COPIED_BYTES ? chunk : Buffer.from(chunk));
    this.#wantsDrain = true;
    if (this.#sendCredit > 0) this.#carrier.enqueue(this);
    return false;
  }

  end(): void {
    if (!this.isLocalOpen || this.#isEnding) return;
    if (this.hasQueued) {
      this.#isEnding = true;
    } else {
      this.#finish();
    }
  }

  reset(code: ErrorCode, deliveredBytes: number | null = null): void {
    if (this.state === RESET || this.state === ENDED) return;
    this.#drop();
    this.#carrier.sendReset(this, code, deliveredBytes);
  }

  consume(bytes: number): void {
    if (!this.isRemoteOpen) return;
    this.#consumedBytes += bytes;
    // What is held back is missing from the window: at most a quarter of it, and no more than one acknowledgement's worth.
    if (this.#consumedBytes < Math.min(this.#receiveWindow / 4, ACK_AFTER_BYTES)) return;
    this.#passedBytes += this.#consumedBytes;
    const grantedBytes = this.#consumedBytes + (this.#passedBytes * 2 < this.#receiveWindow ? 0 : this.#growWindow());
    this.#consumedBytes = 0;
    this.#receiveCredit += grantedBytes;
    this.#carrier.sendWindow(this, grantedBytes);
  }

  /** The session gives it its turn: sends at most `quantum` bytes. Answers whether it has more that it may send. */
  takeTurn(quantum: number): boolean {
    let room = quantum;
    while (room > 0 && this.#sendCredit > 0 && this.hasQueued && this.#carrier.canSendData) {
      room -= this.#sendFirst(Math.min(room, this.#sendCredit));
    }
    if (this.hasQueued) return this.#sendCredit > 0;
    if (this.#isEnding) {
      this.#finish();
    } else if (this.#wantsDrain && this.#sendCredit > 0 && this.#carrier.canSendData) {
      this.#wantsDrain = false;
      if (this.isLocalOpen) this.handler.onDrain();
    }
    return this.#wantsDrain && this.#sendCredit > 0 && this.isLocalOpen;
  }

  /** The peer's WINDOW or ACCEPT. @throws {DuplexityError} `DPX_CREDIT_OVERFLOW` */
  addCredit(bytes: number, maxCredit: number): void {
    if (bytes + this.#sendCredit > maxCredit) {
      throw new DuplexityError(
        "DPX_CREDIT_OVERFLOW",
        `Credit of ${bytes} on top of ${this.#sendCredit} for stream ${this.id} passes ${maxCredit}`,
      );
    }
    this.#sendCredit += bytes;
    if (this.#wantsDrain || this.hasQueued) this.#carrier.enqueue(this);
  }

  /** The peer's DATA. @throws {DuplexityError} `DPX_STREAM_WINDOW`, `DPX_STREAM_CLOSED` */
  receiveData(chunk: Buffer): void {
    if (this.state === RESET) return;
    if (!this.isRemoteOpen)
      throw new DuplexityError("DPX_STREAM_CLOSED", `DATA came for stream ${this.id} after its FIN`);
    if (chunk.length > this.#receiveCredit) {
      throw new DuplexityError(
        "DPX_STREAM_WINDOW",
        `DATA of ${chunk.length} bytes came for stream ${this.id}, which had credit for ${this.#receiveCredit}`,
      );
    }
    this.#receiveCredit -= chunk.length;
    this.handler.onData(chunk);
  }

  /** The peer's FIN. @throws {DuplexityError} `DPX_STREAM_CLOSED` */
  receiveFin(): void {
    if (this.state === RESET) return;
    if (!this.isRemoteOpen) throw new DuplexityError("DPX_STREAM_CLOSED", `A second FIN came for stream ${this.id}`);
    this.state = this.state === OPEN ? REMOTE_ENDED : ENDED;
    this.handler.onEnd();
  }

  /** The peer's RESET, or the end of the session. */
  receiveReset(error: DuplexityError, deliveredBytes: number | null): void {
    if (this.state === RESET) return;
    // Both directions had ended here: nothing follows, and the holder may have let go of it.
    const isOver = this.state === ENDED;
    this.#drop();
    if (!isOver) this.handler.onReset(error, deliveredBytes);
  }

  /** Half of the window went by: answers by how much it grows. */
  #growWindow(): number {
    const now = performance.now();
    const roundTripMs = Math.max(this.#carrier.rttMs, MIN_GROW_RTT_MS);
    const isFast = now - this.#passingSince < roundTripMs * GROW_WITHIN_RTTS;
    this.#passedBytes = 0;
    this.#passingSince = now;
    if (!isFast || this.#receiveWindow >= MAX_WINDOW_BYTES) return 0;
    const wantedBytes = Math.min(this.#receiveWindow, MAX_WINDOW_BYTES - this.#receiveWindow);
    const grownBytes = this.#carrier.growWindow(this, wantedBytes);
    this.#receiveWindow += grownBytes;
    return grownBytes;
  }

  #sendFirst(maxBytes: number): number {
    const first = this.#queue[this.#queueHead] ?? "";
    let chunk = first;
    if (first.length > maxBytes) {
      chunk = typeof first === "string" ? first.slice(0, maxBytes) : first.subarray(0, maxBytes);
      this.#queue[this.#queueHead] = typeof first === "string" ? first.slice(maxBytes) : first.subarray(maxBytes);
    } else {
      this.#queue[this.#queueHead] = "";
      this.#queueHead += 1;
      if (this.#queueHead === this.#queue.length) {
        this.#queue = [];
        this.#queueHead = 0;
      }
    }
    this.#sendCredit -= chunk.length;
    this.#carrier.sendData(this, chunk);
    return chunk.length;
  }

  #finish(): void {
    this.#isEnding = false;
    this.#wantsDrain = false;
    this.state = this.state === OPEN ? LOCAL_ENDED : ENDED;
    this.#carrier.sendFin(this);
  }

  #drop(): void {
    this.state = RESET;
    this.#queue = [];
    this.#queueHead = 0;
    this.#isEnding = false;
    this.#wantsDrain = false;
  }
}
