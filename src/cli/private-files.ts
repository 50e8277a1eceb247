// Folders and files that are one person's alone: made so; files are closed
// where they are not. A folder that was there before stays as it is. POSIX
// modes; on Windows the folder's own access list decides.

import { randomBytes } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DuplexityError } from "../protocol/errors.ts";

export const DIRECTORY_MODE = 0o700;
export const FILE_MODE = 0o600;

/** The right of the group and of all others to write. */
const SHARED_MODE = 0o022;

/** Whether others may put files into the folder, or take some away. */
export function isSharedMode(mode: number): boolean {
  return process.platform !== "win32" && (mode & SHARED_MODE) !== 0;
}

/**
 * Makes a folder, and those above it, for its owner alone. One that is there stays as it is.
 *
 * Not `mkdirSync`'s own `recursive`: where a folder takes no children, such as /proc, that never returns (Node 20 to 24).
 */
export function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: DIRECTORY_MODE });
  } catch (error) {
    if (isDirectory(directory)) return;
    const parent = dirname(resolve(directory));
    if (codeOf(error) !== "ENOENT" || isDirectory(parent)) throw error;
    makeDirectory(parent);
    makeDirectory(directory);
  }
}

/** @throws {DuplexityError} `DPX_USAGE` if the folder cannot be made, or is one that others may write in. */
export function makePrivateDirectory(directory: string): void {
  try {
    makeDirectory(directory);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DuplexityError("DPX_USAGE", `Cannot make the settings folder "${directory}": ${reason}`, {
      hint: "Set DUPLEXITY_CONFIG_DIR to a folder that can be written.",
      cause: error,
    });
  }
  if (isSharedMode(statSync(directory).mode)) {
    throw new DuplexityError("DPX_USAGE", `Cannot use the settings folder "${directory}": others may write there`, {
      hint: "Set DUPLEXITY_CONFIG_DIR to a folder that is yours alone, or take their right: chmod go-w",
    });
  }
}

/** Puts `text` into a file for its owner alone, in one step: whoever reads it finds the old text or the new, also after a crash. */
export function replaceFile(path: string, text: string): void {
  const draft = `${path}.${randomBytes(6).toString("hex")}`;
  try {
    const file = openSync(draft, "wx", FILE_MODE);
    try {
      writeSync(file, text);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(draft, path);
  } finally {
    // Gone already, or half of it is there.
    rmSync(draft, { force: true });
  }
}

/** Takes away what group and others may do to a file, and tells `warn` so. A missing one is none of its business. */
export function tighten(path: string, warn: (message: string) => void): void {
  if (process.platform === "win32") return;
  try {
    const current = statSync(path).mode & 0o777;
    if ((current & 0o077) === 0) return;
    chmodSync(path, FILE_MODE);
    warn(`"${path}" was open to others (mode ${current.toString(8)}); it is ${FILE_MODE.toString(8)} now`);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") warn(`cannot close "${path}" to others: ${String(error)}`);
  }
}

/** A full disk, a folder without the right to write: which path it is, and what else there is. */
export function unwritable(path: string, error: unknown, variable: string): DuplexityError {
  const reason = error instanceof Error ? error.message : String(error);
  return new DuplexityError("DPX_USAGE", `Cannot write "${path}": ${reason}`, {
    hint: `Make room and rights there, or set ${variable} to a folder that can be written.`,
    cause: error,
  });
}

/** `ENOENT` and the like. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

function isDirectory(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
