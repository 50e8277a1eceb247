// Walks the frames of one packet and calls one method for each. Checks all
// lengths; what a frame means for a stream is the session's business.

import { DuplexityError, type ErrorCode } from "./errors.ts";
import { decodeOpen, decodeReport, decodeReset, decodeUint32, FRAME_HEADER_BYTES, FrameType } from "./frame.ts";
import { MAX_FRAME_PAYLOAD_BYTES } from "./limits.ts";
import type { OpenRequest, RequestReport } from "./stream.ts";

export interface FrameHandler {
  open(stream: number, request: OpenRequest, windowBytes: number): void;
  accept(stream: number, credit: number): void;
  data(stream: number, payload: Buffer): void;
  window(stream: number, credit: number): void;
  fin(stream: number): void;
  reset(stream: number, code: ErrorCode, deliveredBytes: number | null): void;
  report(report: RequestReport): void;
}

/** @throws {DuplexityError} `DPX_FRAME_INVALID`, `DPX_FRAME_TOO_LARGE`, and what the handler throws. */
export function dispatchFrames(packet: Buffer, start: number, handler: FrameHandler): void {
  let offset = start;
  while (offset < packet.length) {
    if (packet.length - offset < FRAME_HEADER_BYTES) throw cutOff(packet.length - offset);
    const type = packet[offset] ?? 0;
    const length = packet.readUIntBE(offset + 1, 3);
    const stream = packet.readUInt32BE(offset + 4);
    checkLength(length);
    const payloadStart = offset + FRAME_HEADER_BYTES;
    const end = payloadStart + length;
    if (end > packet.length) throw cutOff(packet.length - offset);
    dispatch(type, stream, packet.subarray(payloadStart, end), handler);
    offset = end;
  }
}

/**
 * The same for a packet in pieces, as it was read off a socket. The payload of a DATA frame is passed on in pieces, too,
 * without joining them: a copy of a packet's bytes was an eighth of the server's CPU in a bulk transfer.
 */
export function dispatchPieces(pieces: readonly Buffer[], start: number, handler: FrameHandler): void {
  const reader = new PieceReader(pieces, start);
  while (reader.leftBytes > 0) {
    if (reader.leftBytes < FRAME_HEADER_BYTES) throw cutOff(reader.leftBytes);
    const header = reader.take(FRAME_HEADER_BYTES);
    const type = header[0] ?? 0;
    const length = header.readUIntBE(1, 3);
    const stream = header.readUInt32BE(4);
    checkLength(length);
    if (length > reader.leftBytes) throw cutOff(FRAME_HEADER_BYTES + reader.leftBytes);
    if (type === FrameType.data && length > 0) {
      for (let left = length; left > 0; ) {
        const piece = reader.takeUpTo(left);
        left -= piece.length;
        handler.data(stream, piece);
      }
    } else {
      dispatch(type, stream, reader.take(length), handler);
    }
  }
}

/** Reads through buffers as if they were one. */
class PieceReader {
  leftBytes: number;
  readonly #pieces: readonly Buffer[];
  #index = 0;
  #offset: number;

  constructor(pieces: readonly Buffer[], start: number) {
    this.#pieces = pieces;
    this.#offset = start;
    this.leftBytes = -start;
    for (const piece of pieces) this.leftBytes += piece.length;
  }

  /** The next bytes that lie in one piece, at most `bytes`. */
  takeUpTo(bytes: number): Buffer {
    let piece = this.#pieces[this.#index] ?? NOTHING;
    while (this.#offset === piece.length && this.#index < this.#pieces.length) {
      this.#index += 1;
      this.#offset = 0;
      piece = this.#pieces[this.#index] ?? NOTHING;
    }
    const taken = piece.subarray(this.#offset, this.#offset + bytes);
    this.#offset += taken.length;
    this.leftBytes -= taken.length;
    return taken;
  }

  /** The next `bytes` bytes in one buffer; the caller knows that they are there. */
  take(bytes: number): Buffer {
    const first = this.takeUpTo(bytes);
    if (first.length === bytes) return first;
    const parts = [first];
    for (let left = bytes - first.length; left > 0; ) {
      const part = this.takeUpTo(left);
      left -= part.length;
      parts.push(part);
    }
    return Buffer.concat(parts, bytes);
  }
}

const NOTHING = Buffer.alloc(0);

function checkLength(length: number): void {
  if (length <= MAX_FRAME_PAYLOAD_BYTES) return;
  throw new DuplexityError(
    "DPX_FRAME_TOO_LARGE",
    `Frame of ${length} bytes came, at most ${MAX_FRAME_PAYLOAD_BYTES} are allowed`,
  );
}

function dispatch(type: number, stream: number, payload: Buffer, handler: FrameHandler): void {
  switch (type) {
    case FrameType.data:
      if (payload.length === 0) throw new DuplexityError("DPX_FRAME_INVALID", `Empty DATA came for stream ${stream}`);
      handler.data(stream, payload);
      return;
    case FrameType.window:
      handler.window(stream, positive(payload, "WINDOW"));
      return;
    case FrameType.open: {
      const { request, windowBytes } = decodeOpen(payload);
      handler.open(stream, request, windowBytes);
      return;
    }
    case FrameType.accept:
      handler.accept(stream, decodeUint32(payload, "ACCEPT"));
      return;
    case FrameType.fin:
      if (payload.length !== 0)
        throw new DuplexityError("DPX_FRAME_INVALID", `FIN has ${payload.length} bytes, expected 0`);
      handler.fin(stream);
      return;
    case FrameType.reset: {
      const { code, deliveredBytes } = decodeReset(payload);
      handler.reset(stream, code, deliveredBytes);
      return;
    }
    case FrameType.report:
      handler.report(decodeReport(payload));
      return;
    default:
      throw new DuplexityError("DPX_FRAME_INVALID", `Frame of type ${type} came, expected one of 1 to 7`);
  }
}

function positive(payload: Buffer, frame: string): number {
  const value = decodeUint32(payload, frame);
  if (value === 0) throw new DuplexityError("DPX_FRAME_INVALID", `${frame} of 0 bytes came, expected at least 1`);
  return value;
}

function cutOff(bytes: number): DuplexityError {
  return new DuplexityError("DPX_FRAME_INVALID", `The packet ends ${bytes} bytes after the start of a longer frame`);
}
