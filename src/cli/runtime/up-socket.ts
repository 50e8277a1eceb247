// The socket of one running `up`: answers `status` and `down` from other
// terminals of the same person. Knows no tunnel: it asks those who do.

import { chmodSync, renameSync, unlinkSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { asDuplexityError } from "../../protocol/errors.ts";
import { FILE_MODE, unwritable } from "../private-files.ts";
import { newSocketPath } from "./directory.ts";
import { readLine, writeLine } from "./line-socket.ts";
import { readUpRequest, type UpAnswer, type UpRequest, type UpStatus } from "./messages.ts";

/** Commands that ask at the same time; more are hung up on. */
const MAX_CONNECTIONS = 16;
/** How long a command may take to send its line. */
const REQUEST_TIMEOUT_MS = 5_000;
/** How long the last answers may take when the `up` ends. */
const FAREWELL_MS = 1_000;

export interface UpSocketHandler {
  status(): UpStatus;
  /** Closes pipes, all of them when `names` is null; answers the names of those that were closed. */
  down(names: readonly string[] | null): Promise<readonly string[]>;
}

export interface UpSocket {
  readonly path: string;
  /** Removes the socket at once, then waits for answers that are under way, at most a second. */
  close(): Promise<void>;
}

/** Opens the socket in `directory`. Rejects when that is not possible. */
export async function openUpSocket(directory: string, handler: UpSocketHandler): Promise<UpSocket> {
  const path = newSocketPath(directory);
  const isFile = process.platform !== "win32";
  // Listens under another name first: between bind and listen a socket looks dead, and `status` removes dead ones.
  const draft = isFile ? path.replace(/\.sock$/, ".new") : path;
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    void answer(socket, handler);
  });
  server.maxConnections = MAX_CONNECTIONS;
  try {
    await listen(server, draft);
    if (isFile) {
      chmodSync(draft, FILE_MODE);
      renameSync(draft, path);
    }
  } catch (error) {
    server.close();
    throw unwritable(path, error, "DUPLEXITY_RUNTIME_DIR");
  }
  return {
    path,
    close() {
      if (isFile) removeFile(path);
      return new Promise((resolve) => {
        setTimeout(resolve, FAREWELL_MS);
        server.close(() => resolve());
      });
    },
  };
}

async function answer(socket: Socket, handler: UpSocketHandler): Promise<void> {
  try {
    const request = readUpRequest(await readLine(socket, REQUEST_TIMEOUT_MS));
    writeLine(
      socket,
      request === null ? failed("not a request that this version knows") : await answerTo(request, handler),
    );
  } catch (error) {
    if (socket.writable) writeLine(socket, failed(asDuplexityError(error).message));
  }
}

async function answerTo(request: UpRequest, handler: UpSocketHandler): Promise<UpAnswer> {
  if (request.type === "status") return handler.status();
  return { v: 1, type: "downed", names: await handler.down(request.names) };
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody emptied the folder: gone is gone.
  }
}

function failed(message: string): UpAnswer {
  return { v: 1, type: "failed", message };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    // It is this person's alone from its first moment: the folder may be one that others can enter. It binds at once.
    const umask = process.umask(0o777 & ~FILE_MODE);
    try {
      server.listen(path, () => {
        server.off("error", reject);
        resolve();
      });
    } finally {
      process.umask(umask);
    }
  });
}
