// What a connected client that does nothing costs the server: memory after a collection, divided by the clients.

import { join } from "node:path";
import { connectClients } from "../connect-clients.ts";
import { openInspector } from "../inspector.ts";
import { stopAll } from "../origin.ts";
import { type Child, freePort, residentBytes } from "../proc.ts";
import type { Scenario } from "../scenario.ts";
import { startServer } from "../tunnel.ts";

/**
 * Clients that connect before the first look, so that what exists once is not counted: code, caches, and V8's young
 * generation, which Node 24 lets grow by some 12 MB and keeps.
 */
const WARM_UP_CLIENTS = 500;

export const idle: Scenario = {
  name: "idle",
  title: "connected clients that do nothing, on the server, both sockets",
  endpoints: ["tunnel"],
  bars: [
    {
      what: "idle connected client, on the server",
      metric: "residentKB",
      against: null,
      direction: "atMost",
      must: 40,
      aim: 20,
      unit: "KB",
    },
  ],
  async run({ node = process.execPath }, { tunnel, folder, idleClients }) {
    const inspectorPort = await freePort();
    const options = { ...tunnel, node, folder: join(folder, "idle"), profileFolder: undefined };
    const server = await startServer(options, { inspectorPort });
    const children: Child[] = [];
    try {
      const inspector = await openInspector(inspectorPort);
      children.push(await connectClients(server.url, { count: WARM_UP_CLIENTS, prefix: "warm" }));
      const heapBefore = await inspector.collect();
      const residentBefore = residentBytes(server.child.pid);
      children.push(await connectClients(server.url, { count: idleClients, prefix: "idle" }));
      const heapAfter = await inspector.collect();
      const residentAfter = residentBytes(server.child.pid);
      inspector.close();
      return {
        residentKB: (residentAfter - residentBefore) / 1000 / idleClients,
        heapKB: (heapAfter - heapBefore) / 1000 / idleClients,
      };
    } finally {
      await stopAll([...children, server.child]);
    }
  },
};
