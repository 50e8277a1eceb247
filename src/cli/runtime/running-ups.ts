// Finds the running `up`s of this person and talks to them; removes the
// sockets of those that died without a word. Prints nothing.

import { unlinkSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { listSocketPaths } from "./directory.ts";
import { readLine } from "./line-socket.ts";
import { readUpAnswer, type UpAnswer, type UpRequest, type UpStatus } from "./messages.ts";

/** A healthy `up` answers in milliseconds; a frozen one must not hold `status` up. */
const STATUS_TIMEOUT_MS = 2_000;
/** Its drain of 10 s, and room to say goodbye. */
const DOWN_TIMEOUT_MS = 15_000;

export interface RunningUp {
  readonly path: string;
  readonly status: UpStatus;
}

export interface FoundUps {
  readonly ups: readonly RunningUp[];
  /** Sockets that somebody listens on, but who does not answer. */
  readonly silent: readonly { readonly path: string; readonly reason: string }[];
}

/** All `up`s that run, oldest first. */
export async function findUps(directory: string): Promise<FoundUps> {
  const ups: RunningUp[] = [];
  const silent: { path: string; reason: string }[] = [];
  await Promise.all(
    listSocketPaths(directory).map(async (path) => {
      const answer = await ask(path, { v: 1, type: "status" }, STATUS_TIMEOUT_MS);
      if (answer.type === "status") ups.push({ path, status: answer });
      else if (answer.type === "failed") silent.push({ path, reason: answer.message });
    }),
  );
  ups.sort((a, b) => a.status.upSince.localeCompare(b.status.upSince));
  return { ups, silent };
}

/** Asks one `up` to close pipes (null: all). Answers what it closed or why not. */
export function askDown(path: string, names: readonly string[] | null): Promise<UpAnswer | { type: "dead" }> {
  return ask(path, { v: 1, type: "down", names }, DOWN_TIMEOUT_MS);
}

async function ask(path: string, request: UpRequest, timeoutMs: number): Promise<UpAnswer | { type: "dead" }> {
  let socket: Socket;
  try {
    socket = await dial(path, timeoutMs);
  } catch (error) {
    // Refused: the file is there and nobody listens, so its process is gone (it is never listed before it listens).
    if (hasCode(error, "ECONNREFUSED")) removeSocket(path);
    if (hasCode(error, "ECONNREFUSED") || hasCode(error, "ENOENT")) return { type: "dead" };
    return failure(error);
  }
  try {
    const line = readLine(socket, timeoutMs);
    socket.write(`${JSON.stringify(request)}\n`);
    return readUpAnswer(await line) ?? failure(new Error("it answers in a way that this version does not know"));
  } catch (error) {
    return failure(error);
  } finally {
    socket.destroy();
  }
}

function dial(path: string, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(path);
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    socket.once("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    socket.once("connect", () => {
      clearTimeout(timer);
      socket.removeAllListeners("error");
      socket.on("error", () => socket.destroy());
      resolve(socket);
    });
  });
}

function removeSocket(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Another command was quicker.
  }
}

function failure(error: unknown): UpAnswer {
  return { v: 1, type: "failed", message: error instanceof Error ? error.message : String(error) };
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
