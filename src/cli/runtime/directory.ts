// Where running `up`s leave their sockets and logs: a folder that only this
// person can enter. Knows names and rights, opens no socket.

import { randomBytes } from "node:crypto";
import { lstatSync, readdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { DuplexityError } from "../../protocol/errors.ts";
import { isSharedMode, makeDirectory } from "../private-files.ts";

/** `sun_path` has 104 bytes on macOS and 108 on Linux, its closing zero among them. */
const MAX_SOCKET_PATH_BYTES = 103;
/** More sockets than this in one folder are not looked at. */
export const MAX_UPS = 256;
const SOCKET_NAME = /^\d+-[0-9a-f]{8}\.sock$/;
const PIPE_ROOT = "\\\\.\\pipe\\";

/** The folder's path: `DUPLEXITY_RUNTIME_DIR`, else `$XDG_RUNTIME_DIR/duplexity`, else one in the temporary folder. */
export function runtimeDirectory(env: NodeJS.ProcessEnv): string {
  if (env.DUPLEXITY_RUNTIME_DIR) return env.DUPLEXITY_RUNTIME_DIR;
  if (env.XDG_RUNTIME_DIR) return join(env.XDG_RUNTIME_DIR, "duplexity");
  return join(tmpdir(), `duplexity-${process.getuid?.() ?? userInfo().username}`);
}

/**
 * Makes the folder if it is missing and checks that nobody else can write there: the temporary folder is everybody's,
 * and a folder laid there by somebody else would hand them the tunnels. One that was there stays as it is.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it is somebody else's or cannot be made.
 */
export function ensureRuntimeDirectory(env: NodeJS.ProcessEnv): string {
  const directory = runtimeDirectory(env);
  try {
    makeDirectory(directory);
  } catch (error) {
    throw unusable(directory, error instanceof Error ? error.message : String(error));
  }
  // lstat: a symbolic link is somebody's choice of another folder.
  const stats = lstatSync(directory);
  if (!stats.isDirectory()) throw unusable(directory, "it is not a folder");
  if (process.getuid !== undefined) {
    if (stats.uid !== process.getuid()) throw unusable(directory, `it belongs to user ${stats.uid}`);
    if (isSharedMode(stats.mode)) throw unusable(directory, "others may write there");
  }
  return directory;
}

/** A new socket's address for this process. On Windows a named pipe, which needs no folder. */
export function newSocketPath(directory: string): string {
  const name = `${process.pid}-${randomBytes(4).toString("hex")}.sock`;
  if (process.platform === "win32") return `${PIPE_ROOT}${pipePrefix()}${name}`;
  const path = join(directory, name);
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES) {
    throw unusable(directory, `its path is too long for a socket (${MAX_SOCKET_PATH_BYTES} bytes with the name)`);
  }
  return path;
}

/** Addresses of all sockets there, dead ones among them. A missing folder has none. */
export function listSocketPaths(directory: string): readonly string[] {
  const isWindows = process.platform === "win32";
  const prefix = isWindows ? pipePrefix() : "";
  let names: string[];
  try {
    names = readdirSync(isWindows ? PIPE_ROOT : directory);
  } catch {
    return [];
  }
  return names
    .filter((name) => name.startsWith(prefix) && SOCKET_NAME.test(name.slice(prefix.length)))
    .slice(0, MAX_UPS)
    .map((name) => (isWindows ? `${PIPE_ROOT}${name}` : join(directory, name)));
}

function pipePrefix(): string {
  return `duplexity-${userInfo().username}-`;
}

function unusable(directory: string, reason: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot use the runtime folder "${directory}": ${reason}`, {
    hint: "Set DUPLEXITY_RUNTIME_DIR to a short path that is yours alone.",
  });
}
