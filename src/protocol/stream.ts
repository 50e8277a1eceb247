// What a stream is to those who use it: the proxy on one side, the client's
// splice on the other. Plain callbacks, because this is the hot path.

import type { DuplexityError, ErrorCode } from "./errors.ts";

/** Who is behind a stream and which pipe it is for. Travels in OPEN. */
export interface OpenRequest {
  /** The pipe's hostname, in canonical form: one of those that the client dialled with. */
  readonly hostname: string;
  /** `http`: the opener speaks HTTP/1.1 and may reuse the stream. `tcp`: raw bytes, half-close is kept. */
  readonly protocol: "http" | "tcp";
  /** The visitor's address as `ip:port` or `[ip]:port`. Empty when it is not known. */
  readonly visitor: string;
  /** Whether the visitor came over TLS. */
  readonly isTls: boolean;
}

/** What the holder of a stream is told. Called synchronously while a packet is read; must not throw. */
export interface StreamHandler {
  /** The peer's target accepted the connection. At most once, on the opener's side only. */
  onAccept(): void;
  /** Bytes, in order, once. The chunk may be kept: it is never written again. Answer with `stream.consume()`. */
  onData(chunk: Buffer): void;
  /** The peer will send no more. Writing may go on: the directions close apart. */
  onEnd(): void;
  /** There is credit again after `write()` returned false. */
  onDrain(): void;
  /**
   * The stream ended early: by the peer, by a limit, or with its session. Nothing follows. Not called for one's own
   * `reset()`. `deliveredBytes`: how many bytes of this stream the peer had handed to its target, or null if unknown.
   */
  onReset(error: DuplexityError, deliveredBytes: number | null): void;
}

/** One byte stream in a session: two credit windows, two half-closes. */
export interface Stream {
  readonly id: number;
  /** Set it before the first event can come: in the same turn in which the stream was made. */
  handler: StreamHandler;
  /** Whether the session has a working link at this moment. */
  readonly isLive: boolean;
  /** Bytes given to `write()` on this stream so far. */
  readonly writtenBytes: number;
  /** Bytes that the peer lets this side send at the moment. */
  readonly sendCredit: number;
  /** Answers OPEN: the target has accepted. Acceptor's side only, once. */
  accept(): void;
  /**
   * Sends bytes, or queues them while there is no credit. Returns false when the caller has to wait for `onDrain`; what
   * was given is sent all the same. Up to `MAX_COPIED_BYTES` (16 KiB) are copied before this returns; a larger buffer
   * is handed over and must never be written again. A string is latin1: one byte a character.
   */
  write(chunk: Buffer | string): boolean;
  /** No more will be written (FIN, after what is queued). */
  end(): void;
  /** Ends both directions now, drops what is queued. `deliveredBytes` as in `onReset`. Safe to call twice. */
  reset(code: ErrorCode, deliveredBytes?: number): void;
  /** Gives credit back for `bytes` of received data that have been passed on. */
  consume(bytes: number): void;
}

/** Up to this size `write()` copies; above it takes the buffer over. */
export const MAX_COPIED_BYTES = 16_384;

/** A request that passed, as the proxy saw it: what the client logs. Sent in REPORT when the client asked for it. */
export interface RequestReport {
  readonly hostname: string;
  readonly method: string;
  /** Path and query as they came, at most 2 KiB of it. */
  readonly path: string;
  readonly status: number;
  readonly durationMs: number;
  /** Bytes of the answer's body as sent to the visitor. */
  readonly responseBytes: number;
  readonly requestBytes: number;
  readonly visitor: string;
  /** Why the server answered instead of the target. */
  readonly errorCode?: ErrorCode;
}
