// A frame of RFC 6455 §5.2: its numbers, its header written, its mask applied. Keeps no state.

import { randomFillSync } from "node:crypto";

export const Opcode = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const;

export const FIN = 0x80;
export const RSV = 0x70;
export const MASKED = 0x80;
export const MASK_BYTES = 4;
/** RFC 6455 §5.5: control frames are short and whole. */
export const MAX_CONTROL_BYTES = 125;

/** Writes the header of a final frame so that it ends at `end`, with a mask of zeros if it is to be masked; answers where it starts. */
export function writeWebSocketHeader(
  target: Buffer,
  end: number,
  opcode: number,
  length: number,
  isMasked: boolean,
): number {
  let at = end;
  let maskBit = 0;
  if (isMasked) {
    at -= MASK_BYTES;
    target.fill(0, at, end);
    maskBit = MASKED;
  }
  if (length < 126) {
    target[at - 1] = maskBit | length;
    at -= 1;
  } else if (length < 65_536) {
    target.writeUInt16BE(length, at - 2);
    target[at - 3] = maskBit | 126;
    at -= 3;
  } else {
    target.writeUInt32BE(length, at - 4);
    target.writeUInt32BE(0, at - 8);
    target[at - 9] = maskBit | 127;
    at -= 9;
  }
  target[at - 1] = FIN | opcode;
  return at - 1;
}

/** Makes a mask at `maskAt` and applies it to all from `start` on (RFC 6455 §5.3). */
export function maskInto(frame: Buffer, maskAt: number, start: number): void {
  randomFillSync(frame, maskAt, MASK_BYTES);
  for (let index = start; index < frame.length; index += 1) {
    frame[index] = (frame[index] ?? 0) ^ (frame[maskAt + ((index - start) & 3)] ?? 0);
  }
}

/** A copy of `payload` without its mask. */
export function unmasked(payload: Buffer, mask: Buffer): Buffer {
  const plain = Buffer.allocUnsafe(payload.length);
  for (let index = 0; index < payload.length; index += 1) {
    plain[index] = (payload[index] ?? 0) ^ (mask[index & 3] ?? 0);
  }
  return plain;
}
