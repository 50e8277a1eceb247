// Logs of `up -d`: one file each, bounded in size, and bounded in number.

import { randomBytes } from "node:crypto";
import {
  closeSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const LOG_NAME = /^up-.*\.log$/;
/** Older logs than the newest so many are removed when another one starts. */
const MAX_LOGS = 20;
/** A log that grows beyond this keeps its newer half. */
export const MAX_LOG_BYTES = 1_048_576;

/** A path for a new log; makes room for it. */
export function newLogPath(directory: string): string {
  const logs = readdirSync(directory)
    .filter((name) => LOG_NAME.test(name))
    .map((name) => ({ path: join(directory, name), changed: changedAt(join(directory, name)) }))
    .sort((a, b) => b.changed - a.changed);
  for (const { path } of logs.slice(MAX_LOGS - 1)) remove(path);
  const stamp = new Date().toISOString().replace(/[-:]|\..*/g, "");
  return join(directory, `up-${stamp}-${randomBytes(2).toString("hex")}.log`);
}

export interface LogFile {
  write(text: string): void;
  close(): void;
}

/** Appends to `path`, which the process's own stderr may be writing to as well. */
export function openLogFile(path: string, maxBytes: number = MAX_LOG_BYTES): LogFile {
  const reader = openSync(path, "a+", 0o600);
  return {
    write(text) {
      const bytes = Buffer.from(text);
      try {
        const { size } = fstatSync(reader);
        if (size + bytes.length > maxBytes) keepTail(reader, size, Math.floor(maxBytes / 2));
        writeSync(reader, bytes);
      } catch {
        // A full disk costs lines of the log, not the tunnel.
      }
    },
    close() {
      closeSync(reader);
    },
  };
}

/** In place, because other descriptors append to the same file. */
function keepTail(file: number, size: number, keepBytes: number): void {
  const tail = Buffer.alloc(Math.min(keepBytes, size));
  const length = readSync(file, tail, 0, tail.length, size - tail.length);
  const start = tail.indexOf(0x0a) + 1;
  ftruncateSync(file, 0);
  writeSync(file, tail, start, length - start);
}

function remove(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Without the right to write there, the new log fails and tells.
  }
}

function changedAt(path: string): number {
  try {
    return statSync(path).mtimeMs;
  } catch {
    return 0;
  }
}
