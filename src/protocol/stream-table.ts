// The streams of one session by id, and the limits on opening them. A stream
// that has ended here stays known until the peer has seen that, so that what was
// under way can be told from a broken peer.

import { DuplexityError, type ErrorCode } from "./errors.ts";
import { MAX_CREDIT_BYTES } from "./limits.ts";
import { SessionStream, type StreamCarrier } from "./session-stream.ts";

const MAX_STREAM_ID = 4_294_967_295;

export class StreamTable {
  openCount = 0;
  readonly #carrier: StreamCarrier;
  readonly #maxStreams: number;
  readonly #maxOpensPerSecond: number;
  readonly #streams = new Map<number, SessionStream>();
  /** Ended streams, oldest first, each with the packet that must be acknowledged before its id is forgotten. */
  #retired: { readonly stream: SessionStream; readonly seq: number }[] = [];
  #lastId = 0;
  #opensLeft: number;
  #refilledAt = performance.now();

  constructor(carrier: StreamCarrier, maxStreams: number, maxOpensPerSecond: number) {
    this.#carrier = carrier;
    this.#maxStreams = maxStreams;
    this.#maxOpensPerSecond = maxOpensPerSecond;
    this.#opensLeft = maxOpensPerSecond;
  }

  /** How many ended streams are remembered for the sake of what the peer may still send for them. */
  get retiredCount(): number {
    return this.#retired.length;
  }

  /** Opener: a new stream with the next id. @throws {DuplexityError} `DPX_STREAMS_LIMIT`, `DPX_OPEN_RATE` */
  open(sendCredit: number, receiveWindow: number): SessionStream {
    const refusal = this.#refusal();
    if (refusal !== null) throw new DuplexityError(refusal, `Cannot open a stream: ${this.openCount} are open`);
    return this.#add(this.#lastId + 1, sendCredit, receiveWindow);
  }

  /** Acceptor: why a stream that OPEN names is to be refused; null to take it. @throws {DuplexityError} `DPX_STREAM_ID` */
  whyNot(id: number): ErrorCode | null {
    if (id <= this.#lastId) {
      throw new DuplexityError(
        "DPX_STREAM_ID",
        `OPEN came for stream ${id} after stream ${this.#lastId}: ids only grow`,
      );
    }
    return this.#refusal();
  }

  /** Acceptor: takes the stream. */
  accept(id: number, sendCredit: number, receiveWindow: number): SessionStream {
    if (sendCredit > MAX_CREDIT_BYTES) {
      throw new DuplexityError(
        "DPX_CREDIT_OVERFLOW",
        `OPEN gives ${sendCredit} bytes of credit, at most 2^31-1 are allowed`,
      );
    }
    return this.#add(id, sendCredit, receiveWindow);
  }

  /** @throws {DuplexityError} `DPX_STREAM_ID` if no OPEN came for it, or it ended on both sides. */
  get(id: number): SessionStream {
    const stream = this.#streams.get(id);
    if (stream !== undefined) return stream;
    const why = id <= this.#lastId ? "has ended" : "was not opened";
    throw new DuplexityError("DPX_STREAM_ID", `A frame came for stream ${id}, which ${why}`);
  }

  /** Counts the stream as open no more; its id is forgotten when packet `seq` is acknowledged. */
  retire(stream: SessionStream, seq: number, firstUnacknowledged: number): void {
    if (stream.isRetired) return;
    this.#uncount(stream);
    if (seq < firstUnacknowledged) this.#streams.delete(stream.id);
    else this.#retired.push({ stream, seq });
  }

  /** Forgets a stream at once: the peer was the one who ended it. */
  remove(stream: SessionStream): void {
    this.#uncount(stream);
    this.#streams.delete(stream.id);
  }

  /** All packets before `seq` were acknowledged. */
  removeRetired(seq: number): void {
    let count = 0;
    for (const entry of this.#retired) {
      if (entry.seq >= seq) break;
      this.#streams.delete(entry.stream.id);
      count += 1;
    }
    if (count > 0) this.#retired.splice(0, count);
  }

  /** The session is over. */
  resetAll(error: DuplexityError): void {
    const streams = [...this.#streams.values()];
    this.#streams.clear();
    this.#retired = [];
    this.openCount = 0;
    for (const stream of streams) {
      if (stream.isRetired) continue;
      stream.isRetired = true;
      stream.receiveReset(error, null);
    }
  }

  #add(id: number, sendCredit: number, receiveWindow: number): SessionStream {
    const stream = new SessionStream(this.#carrier, id, sendCredit, receiveWindow);
    this.#lastId = id;
    // A refused one is counted open until its RESET, but costs no later one its turn.
    this.#opensLeft = Math.max(0, this.#opensLeft - 1);
    this.openCount += 1;
    this.#streams.set(id, stream);
    return stream;
  }

  #uncount(stream: SessionStream): void {
    if (stream.isRetired) return;
    stream.isRetired = true;
    this.openCount -= 1;
  }

  #refusal(): ErrorCode | null {
    if (this.openCount >= this.#maxStreams || this.#lastId >= MAX_STREAM_ID) return "DPX_STREAMS_LIMIT";
    const now = performance.now();
    this.#opensLeft = Math.min(
      this.#maxOpensPerSecond,
      this.#opensLeft + ((now - this.#refilledAt) / 1000) * this.#maxOpensPerSecond,
    );
    this.#refilledAt = now;
    return this.#opensLeft >= 1 ? null : "DPX_OPEN_RATE";
  }
}
