// Lines with a checksum, as snapshot and journal consist of: eight hex digits of CRC-32, a space, JSON, a line feed.
// JSON has no raw line feed and no NUL, so that a line that was cut short, or never reached the disk, shows.

import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";

/** A longer line is none that was written here. */
export const MAX_LINE_BYTES = 67_108_864;
const CHUNK_BYTES = 1_048_576;
const CHECKSUM_CHARS = 8;
const LINE_FEED = 0x0a;

export interface Line {
  /** Where it begins in the file. */
  readonly offset: number;
  /** Without its line feed. */
  readonly bytes: Buffer;
  /** Whether its line feed is there. */
  readonly isWhole: boolean;
  readonly isLast: boolean;
}

export function encodeLine(json: string): Buffer {
  return Buffer.from(`${checksum(Buffer.from(json))} ${json}\n`);
}

/** The JSON's value; undefined if the checksum does not fit. */
export function decodeLine({ bytes, isWhole }: Line): unknown {
  const body = bytes.subarray(CHECKSUM_CHARS + 1);
  if (!isWhole || bytes.toString("latin1", 0, CHECKSUM_CHARS + 1) !== `${checksum(body)} `) return undefined;
  try {
    const value: unknown = JSON.parse(body.toString("utf8"));
    return value;
  } catch {
    return undefined;
  }
}

/** Reads the file from its beginning to its end. A line beyond `MAX_LINE_BYTES` comes as one that is not whole. */
export async function* readLines(file: FileHandle): AsyncGenerator<Line> {
  const { size } = await file.stat();
  let rest = Buffer.alloc(0);
  let offset = 0;
  for (let position = 0; ; ) {
    const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - position));
    const { bytesRead } = await file.read(chunk, 0, chunk.length, position);
    if (bytesRead === 0) break;
    position += bytesRead;
    rest = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
    for (let end = rest.indexOf(LINE_FEED); end !== -1; end = rest.indexOf(LINE_FEED)) {
      const next = offset + end + 1;
      yield { offset, bytes: rest.subarray(0, end), isWhole: true, isLast: next === size };
      rest = rest.subarray(end + 1);
      offset = next;
    }
    if (rest.length > MAX_LINE_BYTES) {
      yield { offset, bytes: rest, isWhole: false, isLast: false };
      return;
    }
  }
  if (rest.length > 0) yield { offset, bytes: rest, isWhole: false, isLast: true };
}

/** Writes all of `bytes` at `position`, however few the system takes at a time. */
export async function writeAll(file: FileHandle, bytes: Buffer, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, at, bytes.length - at, position + at);
    at += bytesWritten;
  }
}

function checksum(body: Buffer): string {
  return crc32(body).toString(16).padStart(CHECKSUM_CHARS, "0");
}
