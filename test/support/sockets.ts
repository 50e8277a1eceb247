// Small things that every test with sockets needs: a free port, a way to hurry a server's end.

import type { AddressInfo, Server, Socket } from "node:net";
import { createServer } from "node:net";
import type { Stage } from "./stage.ts";

/** Listens on a free loopback port and answers it. */
export async function listen(server: Server, port = 0, host = "127.0.0.1"): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, host, backlog: 1024 }, () => resolve());
  });
  return (server.address() as AddressInfo).port;
}

/** Closes a server together with the sockets that it has accepted. */
export function closeWithSockets(stage: Stage, server: Server): void {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  stage.defer(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
}

/** A port on which nothing listened a moment ago, and most likely nothing listens now. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
