// One JSON line over a local socket, with a bound on its size and on the wait.
// Both ends of the talk between commands use it; knows nothing of what is said.

import type { Socket } from "node:net";
import { MAX_LINE_BYTES } from "./messages.ts";

/** Reads one line. Rejects when it is too long, too late, or the other side hangs up before its end. */
export function readLine(socket: Socket, timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const timer = setTimeout(() => finish(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
    const onData = (chunk: Buffer) => {
      const end = chunk.indexOf(0x0a);
      chunks.push(end < 0 ? chunk : chunk.subarray(0, end));
      bytes += chunk.length;
      if (bytes > MAX_LINE_BYTES) finish(new Error(`a line of more than ${MAX_LINE_BYTES} bytes`));
      else if (end >= 0) finish(null);
    };
    const onClose = () => finish(new Error("the other side hung up"));
    const finish = (error: Error | null) => {
      clearTimeout(timer);
      socket.off("data", onData).off("error", finish).off("close", onClose).off("end", onClose);
      if (error === null) resolve(Buffer.concat(chunks).toString("utf8"));
      else reject(error);
    };
    socket.on("data", onData).on("error", finish).on("close", onClose).on("end", onClose);
  });
}

/** Writes one line and ends this direction. */
export function writeLine(socket: Socket, value: object): void {
  socket.end(`${JSON.stringify(value)}\n`);
}
