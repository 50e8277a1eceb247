// Small things that every test with sockets needs: a free port, a way to hurry a server's end.

import { randomInt } from "node:crypto";
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

/**
 * Below what systems give out by themselves (Linux from 32,768, others from 49,152): neither a listener on port 0 nor a
 * connection of somebody else takes one by chance, also not while a server that had it is down.
 */
const FIRST_PORT = 20_000;
const BLOCKS = 240;
const BLOCK_PORTS = 50;
/** Of the block that is this process's as long as it lives. */
const ownPorts: number[] = [];

/** A port on which nothing listens, and that no other test takes. Another one each time. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = ownPorts.shift();
    if (port === undefined) ownPorts.push(...(await claimBlock()));
    else if (await isFree(port)) return port;
  }
}

/** Whoever listens on the first port of a block has the others. */
async function claimBlock(): Promise<readonly number[]> {
  for (;;) {
    const first = FIRST_PORT + randomInt(BLOCKS) * BLOCK_PORTS;
    const guard = createServer().unref();
    try {
      await listen(guard, first);
    } catch {
      continue;
    }
    return Array.from({ length: BLOCK_PORTS - 1 }, (_, index) => first + 1 + index);
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    await listen(server, port);
  } catch {
    return false;
  }
  await new Promise((resolve) => server.close(resolve));
  return true;
}
