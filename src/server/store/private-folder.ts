// The folder of a store and the files in it, for their owner alone: made so, closed to others where they are not.
// POSIX modes; on Windows the folder's own access list decides.

import { chmod, mkdir, open, rm, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { DuplexityError } from "../../protocol/index.ts";

const FOLDER_MODE = 0o700;
export const FILE_MODE = 0o600;
const OTHERS = 0o077;
const GROUP_WRITES = 0o020;
const OTHERS_WRITE = 0o002;
const ROOT = 0;

type Warn = (message: string) => void;

/**
 * Makes the folder, and those above it, where they are missing.
 *
 * @throws {DuplexityError} `DPX_STORE` if it cannot be made.
 */
export async function openFolder(path: string): Promise<void> {
  try {
    await makeFolder(path);
  } catch (error) {
    throw failed("open", path, error);
  }
}

/**
 * Closes the folder, if it is this user's, to others, and tells `warn`. Files of its own keep their secrets in another
 * user's folder as long as nobody else can put other ones in their place.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it is another user's and others may write in it.
 */
export async function closeFolder(path: string, warn: Warn): Promise<void> {
  const { uid, mode } = await stat(path);
  if (process.getuid === undefined || process.getuid() === uid) return tighten(path, FOLDER_MODE, warn);
  // A volume of a container is often root's, with its rights given to a group that is this process's alone.
  const writers = uid === ROOT ? OTHERS_WRITE : OTHERS_WRITE | GROUP_WRITES;
  if ((mode & writers) !== 0) {
    const shown = (mode & 0o777).toString(8);
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot keep a store in "${path}": it is another user's, and others may write in it (mode ${shown})`,
      { hint: "Name a folder of this user's own: --data DIR." },
    );
  }
  if ((mode & OTHERS) !== 0) warn(`"${path}" is another user's and open to others; only its files are closed to them`);
}

/** Closes these files in it to others. */
export async function tightenFiles(folder: string, names: readonly string[], warn: Warn): Promise<void> {
  for (const name of names) await tighten(`${folder}/${name}`, FILE_MODE, warn);
}

/** Makes names in the folder last: a renamed file's name is lost by a crash as long as its folder was not synced. */
export async function syncFolder(path: string): Promise<void> {
  // Windows opens no folders; its renames last by themselves.
  if (process.platform === "win32") return;
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** A missing one is none of its business. */
export async function removeFile(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** A full disk, a missing right, a damaged disk: which folder or file it is, and what to do. */
export function failed(action: "open" | "read" | "write", path: string, error: unknown): DuplexityError {
  if (error instanceof DuplexityError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new DuplexityError("DPX_STORE", `Cannot ${action} the store "${path}": ${reason}`, {
    hint:
      action === "write" ? "Make room and rights there; the server goes on by itself." : "Make room and rights there.",
    cause: error,
  });
}

/** `ENOENT` and the like. */
export function codeOf(error: unknown): unknown {
  return error instanceof Error && "code" in error ? error.code : undefined;
}

/** Not mkdir's own `recursive`: where a folder takes no children, such as /proc, that never returns (Node 20 to 24). */
async function makeFolder(path: string): Promise<void> {
  if (await isFolder(path)) return;
  const parent = dirname(resolve(path));
  try {
    await mkdir(path, { mode: FOLDER_MODE });
  } catch (error) {
    if (codeOf(error) !== "ENOENT" || (await isFolder(parent))) throw error;
    await makeFolder(parent);
    await mkdir(path, { mode: FOLDER_MODE });
  }
  await syncFolder(parent);
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}

async function tighten(path: string, wanted: number, warn: Warn): Promise<void> {
  if (process.platform === "win32") return;
  try {
    const mode = (await stat(path)).mode & 0o777;
    if ((mode & OTHERS) === 0) return;
    await chmod(path, wanted);
    warn(`"${path}" was open to others (mode ${mode.toString(8)}); it is ${wanted.toString(8)} now`);
  } catch (error) {
    if (codeOf(error) !== "ENOENT") warn(`cannot close "${path}" to others: ${String(error)}`);
  }
}
