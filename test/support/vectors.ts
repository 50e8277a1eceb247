// The vectors of docs/protocol.md: reads them from the page, and turns packets into their form and back with the codec.

import { readFileSync } from "node:fs";
import { ERRORS, type ErrorCode, errorCodeOf, isErrorCode } from "../../src/protocol/errors.ts";
import {
  decodeSessionId,
  decodeUint32,
  encodeOpen,
  encodeReport,
  encodeReset,
  FRAME_HEADER_BYTES,
  FrameType,
  SESSION_ID_BYTES,
  writeFrameHeader,
} from "../../src/protocol/frame.ts";
import { dispatchFrames } from "../../src/protocol/frame-dispatch.ts";
import { LINK_HEADROOM_BYTES } from "../../src/protocol/limits.ts";
import { PACKET_HEADER_BYTES, type PacketHeader, PacketKind, readPacketHeader } from "../../src/protocol/packet.ts";
import { barePacket, PacketBuilder } from "../../src/protocol/packet-builder.ts";
import type { RequestReport } from "../../src/protocol/stream.ts";

type Kind = keyof typeof PacketKind;

export type VectorFrame =
  | {
      readonly type: "open";
      readonly stream: number;
      readonly windowBytes: number;
      readonly hostname: string;
      readonly protocol: "http" | "tcp";
      readonly visitor: string;
      readonly isTls: boolean;
    }
  | { readonly type: "accept" | "window"; readonly stream: number; readonly credit: number }
  | { readonly type: "data"; readonly stream: number; readonly text: string }
  | { readonly type: "fin"; readonly stream: number }
  | {
      readonly type: "reset";
      readonly stream: number;
      readonly code: ErrorCode;
      readonly deliveredBytes: number | null;
    }
  | { readonly type: "report"; readonly report: RequestReport }
  | { readonly type: "ping" | "pong"; readonly text: string }
  | { readonly type: "goAway"; readonly credit: number }
  | { readonly type: "pause" | "unpause"; readonly sessionId: number };

/** A packet as the page writes it. */
export interface VectorPacket {
  readonly kind: Kind;
  readonly session: number;
  readonly seq: number;
  readonly ack: number;
  readonly frames?: readonly VectorFrame[];
  readonly code?: ErrorCode;
  readonly message?: string;
  /** Which RESUME of the session it is. */
  readonly count?: number;
}

/** The bodies of the fenced blocks of one language, e.g. ```` ```vector ````. */
export function readBlocks(language: string): readonly string[] {
  const page = readFileSync(new URL("../../docs/protocol.md", import.meta.url), "utf8");
  return [...page.matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)\\n\`\`\`$`, "gm"))].map(
    ([, body = ""]) => body,
  );
}

/** Bytes from hex; spaces and line ends separate, `#` begins a remark. */
export function bytesOf(hex: string): Buffer {
  return Buffer.from(hex.replace(/#.*$/gm, "").replace(/\s+/g, ""), "hex");
}

/** The packet on the wire. */
export function encodePacket(packet: VectorPacket): Buffer {
  const header: PacketHeader = {
    kind: PacketKind[packet.kind],
    session: packet.session,
    seq: packet.seq,
    ack: packet.ack,
  };
  if (packet.kind !== "data") return joined(barePacket(header, bodyOf(packet)).parts);
  const builder = new PacketBuilder();
  for (const frame of packet.frames ?? []) {
    builder.addFrame(FrameType[frame.type], "stream" in frame ? frame.stream : 0, payloadOf(frame));
  }
  return joined(builder.seal(header).parts);
}

/** What the codec reads from `bytes`. @throws {DuplexityError} as the codec does */
export function decodePacket(bytes: Buffer): VectorPacket {
  const header: PacketHeader = { kind: PacketKind.link, session: -1, seq: -1, ack: -1 };
  readPacketHeader(bytes, header);
  const kind = kindName(header.kind);
  const packet = { kind, session: header.session, seq: header.seq, ack: header.ack };
  const body = bytes.subarray(PACKET_HEADER_BYTES);
  if (kind === "data") return { ...packet, frames: readFrames(bytes) };
  if (kind === "link") return { ...packet, frames: [readLinkFrame(body)] };
  if (kind === "close")
    return { ...packet, code: errorCodeOf(body.readUInt16BE(0)), message: body.toString("utf8", 2) };
  if (kind === "resume" && body.length > 0) return { ...packet, count: body.readUInt32BE(0) };
  return packet;
}

function kindName(kind: PacketKind): Kind {
  const found = (Object.keys(PacketKind) as Kind[]).find((name) => PacketKind[name] === kind);
  if (found === undefined) throw new Error(`No name for packet kind ${kind}`);
  return found;
}

function bodyOf({ kind, frames, code, message, count }: VectorPacket): Buffer {
  if (count !== undefined) return uint32(count);
  if (kind === "close" && isErrorCode(code)) {
    const number = Buffer.alloc(2);
    number.writeUInt16BE(ERRORS[code].wire);
    return Buffer.concat([number, Buffer.from(message ?? "")]);
  }
  const frame = frames?.[0];
  if (frame === undefined) return Buffer.alloc(0);
  const payload = payloadOf(frame);
  const head = Buffer.alloc(FRAME_HEADER_BYTES);
  writeFrameHeader(head, 0, FrameType[frame.type], payload.length, 0);
  return Buffer.concat([head, payload]);
}

function payloadOf(frame: VectorFrame): Buffer {
  switch (frame.type) {
    case "open":
      return encodeOpen(frame, frame.windowBytes);
    case "accept":
    case "window":
    case "goAway":
      return uint32(frame.credit);
    case "data":
    case "ping":
    case "pong":
      return Buffer.from(frame.text, "latin1");
    case "fin":
      return Buffer.alloc(0);
    case "pause":
    case "unpause": {
      const bytes = Buffer.alloc(SESSION_ID_BYTES);
      bytes.writeUIntBE(frame.sessionId, 0, SESSION_ID_BYTES);
      return bytes;
    }
    case "reset":
      return encodeReset(frame.code, frame.deliveredBytes);
    case "report":
      return encodeReport(frame.report) ?? Buffer.alloc(0);
  }
}

function readFrames(bytes: Buffer): VectorFrame[] {
  const frames: VectorFrame[] = [];
  dispatchFrames(bytes, PACKET_HEADER_BYTES, {
    open: (stream, request, windowBytes) => frames.push({ type: "open", stream, windowBytes, ...request }),
    accept: (stream, credit) => frames.push({ type: "accept", stream, credit }),
    data: (stream, payload) => frames.push({ type: "data", stream, text: payload.toString("latin1") }),
    window: (stream, credit) => frames.push({ type: "window", stream, credit }),
    fin: (stream) => frames.push({ type: "fin", stream }),
    reset: (stream, code, deliveredBytes) => frames.push({ type: "reset", stream, code, deliveredBytes }),
    report: (report) => frames.push({ type: "report", report }),
  });
  return frames;
}

function readLinkFrame(body: Buffer): VectorFrame {
  const payload = body.subarray(FRAME_HEADER_BYTES);
  switch (body[0]) {
    case FrameType.ping:
      return { type: "ping", text: payload.toString("latin1") };
    case FrameType.pong:
      return { type: "pong", text: payload.toString("latin1") };
    case FrameType.pause:
      return { type: "pause", sessionId: decodeSessionId(payload, "PAUSE") };
    case FrameType.unpause:
      return { type: "unpause", sessionId: decodeSessionId(payload, "UNPAUSE") };
    default:
      return { type: "goAway", credit: decodeUint32(payload, "GOAWAY") };
  }
}

function joined(parts: readonly Buffer[]): Buffer {
  return Buffer.concat(parts).subarray(LINK_HEADROOM_BYTES);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
