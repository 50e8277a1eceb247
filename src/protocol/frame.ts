// Frames inside a packet: an 8-byte header (type, 24-bit length, 32-bit stream
// id, big-endian) and a payload. Encodes and decodes; keeps no state.

import { DuplexityError, ERRORS, type ErrorCode, errorCodeOf } from "./errors.ts";
import { MAX_REPORT_BYTES } from "./limits.ts";
import { MAX_UINT48 } from "./packet.ts";
import type { OpenRequest, RequestReport } from "./stream.ts";

export const FrameType = {
  /** Opener → acceptor: a new stream. u32 receive window, u8 flags, u8 length + hostname, u8 length + visitor. */
  open: 1,
  /** Acceptor → opener: the target accepted. u32 credit on top of what OPEN had. */
  accept: 2,
  /** Bytes. Each costs one byte of credit. */
  data: 3,
  /** u32 credit for the other side. */
  window: 4,
  /** No more DATA in this direction. Empty. */
  fin: 5,
  /** Both directions end now. u16 error code, u48 bytes handed to the target (all ones: unknown). */
  reset: 6,
  /** Opener → acceptor: a request that passed, as JSON. Stream id 0. */
  report: 7,
  /** On the link: u64 that PONG repeats. */
  ping: 16,
  pong: 17,
  /** On the link: u32 ms until the sender closes it. */
  goAway: 18,
  /** On the link, hub → client: u48 session id. No DATA of that session until UNPAUSE, or until it is on another link. */
  pause: 19,
  unpause: 20,
} as const;
export type FrameType = (typeof FrameType)[keyof typeof FrameType];

export const FRAME_HEADER_BYTES = 8;
export const RESET_PAYLOAD_BYTES = 8;
export const SESSION_ID_BYTES = 6;
const UNKNOWN_DELIVERED = MAX_UINT48;
const FLAG_TLS = 1;
const FLAG_TCP = 2;
const MAX_SHORT_STRING_BYTES = 255;

/** Writes a frame's header at `offset`. */
export function writeFrameHeader(
  target: Buffer,
  offset: number,
  type: FrameType,
  length: number,
  stream: number,
): void {
  target[offset] = type;
  target[offset + 1] = length >>> 16;
  target[offset + 2] = length >>> 8;
  target[offset + 3] = length;
  target[offset + 4] = stream >>> 24;
  target[offset + 5] = stream >>> 16;
  target[offset + 6] = stream >>> 8;
  target[offset + 7] = stream;
}

export function encodeOpen(request: OpenRequest, windowBytes: number): Buffer {
  const hostname = Buffer.from(request.hostname, "latin1");
  const visitor = Buffer.from(request.visitor, "latin1");
  if (hostname.length > MAX_SHORT_STRING_BYTES || visitor.length > MAX_SHORT_STRING_BYTES) {
    throw new DuplexityError(
      "DPX_FRAME_INVALID",
      `Hostname and visitor of OPEN have at most ${MAX_SHORT_STRING_BYTES} bytes`,
    );
  }
  const payload = Buffer.allocUnsafe(7 + hostname.length + visitor.length);
  payload.writeUInt32BE(windowBytes, 0);
  payload[4] = (request.isTls ? FLAG_TLS : 0) | (request.protocol === "tcp" ? FLAG_TCP : 0);
  payload[5] = hostname.length;
  hostname.copy(payload, 6);
  payload[6 + hostname.length] = visitor.length;
  visitor.copy(payload, 7 + hostname.length);
  return payload;
}

/** @throws {DuplexityError} `DPX_FRAME_INVALID` if a length or a flag does not fit. */
export function decodeOpen(payload: Buffer): { request: OpenRequest; windowBytes: number } {
  const hostnameBytes = payload[5] ?? 0;
  const visitorBytes = payload[6 + hostnameBytes] ?? 0;
  const flags = payload[4] ?? 0;
  if (
    payload.length < 7 ||
    payload.length !== 7 + hostnameBytes + visitorBytes ||
    (flags & ~(FLAG_TLS | FLAG_TCP)) !== 0
  ) {
    throw new DuplexityError(
      "DPX_FRAME_INVALID",
      `OPEN of ${payload.length} bytes does not fit its own lengths and flags`,
    );
  }
  return {
    windowBytes: payload.readUInt32BE(0),
    request: {
      hostname: payload.toString("latin1", 6, 6 + hostnameBytes),
      protocol: (flags & FLAG_TCP) === 0 ? "http" : "tcp",
      visitor: payload.toString("latin1", 7 + hostnameBytes, 7 + hostnameBytes + visitorBytes),
      isTls: (flags & FLAG_TLS) !== 0,
    },
  };
}

export function encodeReset(code: ErrorCode, deliveredBytes: number | null): Buffer {
  const payload = Buffer.allocUnsafe(RESET_PAYLOAD_BYTES);
  payload.writeUInt16BE(ERRORS[code].wire, 0);
  payload.writeUIntBE(deliveredBytes ?? UNKNOWN_DELIVERED, 2, 6);
  return payload;
}

/** @throws {DuplexityError} `DPX_FRAME_INVALID` unless it has 8 bytes. */
export function decodeReset(payload: Buffer): { code: ErrorCode; deliveredBytes: number | null } {
  if (payload.length !== RESET_PAYLOAD_BYTES) {
    throw new DuplexityError("DPX_FRAME_INVALID", `RESET has ${payload.length} bytes, expected ${RESET_PAYLOAD_BYTES}`);
  }
  const delivered = payload.readUIntBE(2, 6);
  return {
    code: errorCodeOf(payload.readUInt16BE(0)),
    deliveredBytes: delivered === UNKNOWN_DELIVERED ? null : delivered,
  };
}

/** Reads the u32 of ACCEPT, WINDOW and GOAWAY. @throws {DuplexityError} `DPX_FRAME_INVALID` unless it has 4 bytes. */
export function decodeUint32(payload: Buffer, frame: string): number {
  if (payload.length !== 4) {
    throw new DuplexityError("DPX_FRAME_INVALID", `${frame} has ${payload.length} bytes, expected 4`);
  }
  return payload.readUInt32BE(0);
}

/** Reads the session id of PAUSE and UNPAUSE. @throws {DuplexityError} `DPX_FRAME_INVALID` unless it has 6 bytes. */
export function decodeSessionId(payload: Buffer, frame: string): number {
  if (payload.length !== SESSION_ID_BYTES) {
    throw new DuplexityError("DPX_FRAME_INVALID", `${frame} has ${payload.length} bytes, expected ${SESSION_ID_BYTES}`);
  }
  return payload.readUIntBE(0, SESSION_ID_BYTES);
}

/** A report as JSON, or null when it is too large to send. */
export function encodeReport(report: RequestReport): Buffer | null {
  const payload = Buffer.from(JSON.stringify(report));
  return payload.length <= MAX_REPORT_BYTES ? payload : null;
}

/** @throws {DuplexityError} `DPX_FRAME_INVALID` if it is too large, not JSON, or a field has the wrong type. */
export function decodeReport(payload: Buffer): RequestReport {
  const value = payload.length <= MAX_REPORT_BYTES ? parseObject(payload) : null;
  if (value === null)
    throw new DuplexityError("DPX_FRAME_INVALID", `REPORT of ${payload.length} bytes is not a JSON object`);
  const errorCode = value.errorCode;
  return {
    hostname: text(value, "hostname"),
    method: text(value, "method"),
    path: text(value, "path"),
    status: quantity(value, "status"),
    durationMs: quantity(value, "durationMs"),
    responseBytes: quantity(value, "responseBytes"),
    requestBytes: quantity(value, "requestBytes"),
    visitor: text(value, "visitor"),
    ...(typeof errorCode === "string" && Object.hasOwn(ERRORS, errorCode) ? { errorCode: errorCode as ErrorCode } : {}),
  };
}

function parseObject(payload: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(payload.toString("utf8"));
    return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : null;
  } catch {
    return null;
  }
}

function text(value: Record<string, unknown>, field: string): string {
  const found = value[field];
  if (typeof found === "string") return found;
  throw new DuplexityError("DPX_FRAME_INVALID", `REPORT has no text "${field}"`);
}

function quantity(value: Record<string, unknown>, field: string): number {
  const found = value[field];
  if (typeof found === "number" && Number.isFinite(found) && found >= 0) return found;
  throw new DuplexityError("DPX_FRAME_INVALID", `REPORT has no number "${field}" of 0 or more`);
}
