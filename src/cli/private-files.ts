// Folders and files that are one person's alone: made so, and closed where
// they are not. POSIX modes; on Windows the folder's own access list decides.

import { chmodSync, mkdirSync, statSync } from "node:fs";
import { DuplexityError } from "../protocol/errors.ts";

export const DIRECTORY_MODE = 0o700;
export const FILE_MODE = 0o600;

/** The sticky bit, and the right of all others to write: `/tmp` has both. */
const SHARED_MODE = 0o1002;

/** Whether a folder is meant for others too. To close such a one to them would break what they do there. */
export function isSharedMode(mode: number): boolean {
  return process.platform !== "win32" && (mode & SHARED_MODE) !== 0;
}

/** @throws {DuplexityError} `DPX_USAGE` if the folder cannot be made, or is one that others use as well. */
export function makePrivateDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: DIRECTORY_MODE });
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DuplexityError("DPX_USAGE", `Cannot make the settings folder "${directory}": ${reason}`, {
      hint: "Set DUPLEXITY_CONFIG_DIR to a folder that can be written.",
      cause: error,
    });
  }
  if (isSharedMode(statSync(directory).mode)) {
    throw new DuplexityError("DPX_USAGE", `Cannot use the settings folder "${directory}": others may write there`, {
      hint: "Set DUPLEXITY_CONFIG_DIR to a folder that is yours alone.",
    });
  }
}

/** Takes away what group and others may do to `path`, and tells `warn` so. A missing path is none of its business. */
export function tighten(path: string, mode: number, warn: (message: string) => void): void {
  if (process.platform === "win32") return;
  try {
    const current = statSync(path).mode & 0o777;
    if ((current & 0o077) === 0) return;
    chmodSync(path, mode);
    warn(`"${path}" was open to others (mode ${current.toString(8)}); it is ${mode.toString(8)} now`);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") warn(`cannot close "${path}" to others: ${String(error)}`);
  }
}

/** `ENOENT` and the like. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}
