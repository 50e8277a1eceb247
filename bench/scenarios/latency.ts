// One stream at 100 ms round trip: curl straight through a proxy that delays, and the tunnel with its link through the same.

import { fileURLToPath } from "node:url";
import type { Endpoint } from "../endpoint.ts";
import { download } from "../load.ts";
import { stopAll } from "../origin.ts";
import { type Child, startAndRead } from "../proc.ts";
import type { Environment, Scenario } from "../scenario.ts";
import { startClient, startServer } from "../tunnel.ts";

const RTT_MS = 100;
/** What Linux lets a connection have in flight by default (tcp_rmem's maximum): 63 MB/s at 100 ms. */
const WINDOW_BYTES = 6_291_456;
/** Long enough that the start-up phase, the same for both, weighs little. */
const BYTES = 268_435_456;

async function startDelayProxy(port: number): Promise<{ child: Child; port: number }> {
  const program = fileURLToPath(new URL("../delay-proxy.js", import.meta.url));
  const args = [program, String(port), String(RTT_MS), String(WINDOW_BYTES)];
  const { child, line } = await startAndRead(process.execPath, args, "listening");
  return { child, port: Number(line["port"]) };
}

async function prepare({ origin, tunnel }: Environment) {
  const toOrigin = await startDelayProxy(origin.port);
  const server = await startServer(tunnel);
  const serverPort = Number(new URL(server.url).port);
  const toServer = await startDelayProxy(serverPort);
  const client = await startClient(tunnel, `http://127.0.0.1:${toServer.port}`, [`slow:127.0.0.1:${origin.port}`]);
  const usual = { neighbourHost: "slow.localhost", sinkHost: "", sinkPort: 0 };
  const endpoints: Endpoint[] = [
    { ...usual, name: "direct", port: toOrigin.port, host: "localhost", processes: [] },
    {
      ...usual,
      name: "tunnel",
      port: serverPort,
      host: "slow.localhost",
      processes: [
        { name: "server", pid: server.child.pid },
        { name: "client", pid: client.pid },
      ],
    },
  ];
  return { endpoints, stop: () => stopAll([client, server.child, toOrigin.child, toServer.child]) };
}

export const latency: Scenario = {
  name: "rtt",
  title: "one download over a link with 100 ms RTT and 6 MiB in flight",
  endpoints: [],
  bars: [
    {
      what: "one stream at 100 ms RTT",
      metric: "megabytesPerSecond",
      against: "direct",
      direction: "atLeast",
      must: 0.8,
      aim: 0.95,
      unit: "× the same TCP",
    },
  ],
  prepare,
  async run(endpoint, environment) {
    const bytes = Math.min(BYTES, environment.bytes);
    const { wall = Number.NaN } = await download(endpoint, bytes);
    return { wall, megabytesPerSecond: bytes / wall / 1e6 };
  },
};
