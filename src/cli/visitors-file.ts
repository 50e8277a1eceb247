// Reads who may come in by a password: a file of `user:password` lines. Its content is never told, nor changed.

import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { DuplexityError } from "../protocol/errors.ts";

export interface PasswordVisitor {
  readonly user: string;
  readonly password: string;
}

export interface VisitorsFileOptions {
  readonly cwd: string;
  /** Which flag, variable or setting names the file. */
  readonly place: string;
  readonly warn: (message: string) => void;
}

/** Room for 64 users with the longest names and passwords, and some remarks. */
const MAX_FILE_BYTES = 131_072;
/** What htpasswd writes: bcrypt, MD5, SHA-1, SHA-2. Taken for passwords, they would be ones that anybody can read there. */
const HASHED = /^(\$(2[abxy]|apr1|1|5|6)\$|\{SHA\})/;

/**
 * The visitors in the file `path`. Blank lines and such as begin with `#` count for nothing.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it can't be read, names nobody, or a line is not `user:password`.
 */
export function readVisitors(path: string, options: VisitorsFileOptions): readonly PasswordVisitor[] {
  const visitors: PasswordVisitor[] = [];
  for (const [index, raw] of readText(path, options).split("\n").entries()) {
    const line = raw.endsWith("\r") ? raw.slice(0, -1) : raw;
    if (line.trim() === "" || line.startsWith("#")) continue;
    const colon = line.indexOf(":");
    if (colon < 1) {
      throw usage(`Cannot read line ${index + 1} of "${path}": it is not user:password`);
    }
    const password = line.slice(colon + 1);
    if (HASHED.test(password)) {
      throw usage(
        `Cannot read line ${index + 1} of "${path}": it has a hash, as htpasswd makes, wanted the password itself`,
        "The server is sent a hash of its own kind, never the password.",
      );
    }
    visitors.push({ user: line.slice(0, colon), password });
  }
  if (visitors.length > 0) return visitors;
  throw usage(`Cannot let visitors in by "${path}": it names nobody, wanted lines of user:password`);
}

function readText(path: string, { cwd, place, warn }: VisitorsFileOptions): string {
  try {
    const file = openSync(isAbsolute(path) ? path : join(cwd, path), "r");
    try {
      const isOpen = process.platform !== "win32" && (fstatSync(file).mode & 0o077) !== 0;
      if (isOpen) warn(`"${path}" has passwords and others may read it: chmod 600`);
      return readBounded(file);
    } finally {
      closeSync(file);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new DuplexityError("DPX_USAGE", `Cannot read the visitors' passwords in "${path}" (${place}): ${reason}`, {
      cause,
    });
  }
}

/** Not all files end, such as /dev/zero. */
function readBounded(file: number): string {
  const bytes = Buffer.alloc(MAX_FILE_BYTES + 1);
  let length = 0;
  for (;;) {
    const count = readSync(file, bytes, length, bytes.length - length, null);
    length += count;
    if (length > MAX_FILE_BYTES) throw new Error(`it has over ${MAX_FILE_BYTES} bytes`);
    if (count === 0) return new TextDecoder("utf-8", { fatal: true }).decode(bytes.subarray(0, length));
  }
}

function usage(message: string, hint?: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", message, { hint });
}
