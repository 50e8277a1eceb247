// A local service that is nothing but a socket: a test says byte by byte what it reads and writes.

import { createServer, type Socket } from "node:net";
import { closeWithSockets, listen } from "./sockets.ts";
import type { Stage } from "./stage.ts";

export interface TcpOrigin {
  readonly port: number;
  readonly target: string;
  /** Connections that it accepted so far. */
  readonly sockets: Socket[];
}

/** Calls `onConnection` for each connection. Half-open: the answer may come after the visitor's end. */
export async function startTcpOrigin(
  stage: Stage,
  onConnection: (socket: Socket) => void,
  atPort = 0,
): Promise<TcpOrigin> {
  const sockets: Socket[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    sockets.push(socket);
    socket.on("error", () => {});
    onConnection(socket);
  });
  closeWithSockets(stage, server);
  const port = await listen(server, atPort);
  return { port, target: `127.0.0.1:${port}`, sockets };
}

/** Answers each request head with the next of `answers` (the last again and again), as it is, and keeps what came. */
export async function startScriptedOrigin(
  stage: Stage,
  answers: readonly (string | Buffer)[],
  options: { readonly endAfter?: boolean } = {},
): Promise<TcpOrigin & { received: () => string }> {
  let received = "";
  let turn = 0;
  const origin = await startTcpOrigin(stage, (socket) => {
    let head = "";
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      head += chunk.toString("latin1");
      for (let end = head.indexOf("\r\n\r\n"); end !== -1; end = head.indexOf("\r\n\r\n")) {
        head = head.slice(end + 4);
        const answer = answers[Math.min(turn++, answers.length - 1)] ?? "";
        socket.write(answer);
        if (options.endAfter) socket.end();
      }
    });
    socket.on("end", () => socket.end());
  });
  return Object.assign(origin, { received: () => received });
}
