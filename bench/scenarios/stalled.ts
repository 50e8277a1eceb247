// Readers that ask for a large body and then read nothing: what they cost each process, and a neighbour pipe meanwhile.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Endpoint } from "../endpoint.ts";
import { wrk } from "../load.ts";
import { residentBytes } from "../proc.ts";
import type { Environment, Scenario } from "../scenario.ts";
import { startTunnel } from "../tunnel.ts";

/** How long memory is watched before the neighbour's second run. */
const SETTLE_MS = 3_000;

/** Opens a reader that asks and stays silent: nothing is read beyond what the kernel and one socket's buffer take. */
async function openStalledReader(endpoint: Endpoint): Promise<Socket> {
  const socket = connect({
    port: endpoint.port,
    host: "127.0.0.1",
    onread: { buffer: Buffer.alloc(1), callback: () => false },
  });
  await once(socket, "connect");
  socket.write(`GET /large HTTP/1.1\r\nHost: ${endpoint.host}\r\n\r\n`);
  return socket;
}

async function measure(endpoint: Endpoint, { seconds, stalledReaders }: Environment) {
  const neighbour = () => wrk(endpoint, { connections: 10, seconds, host: endpoint.neighbourHost });
  await neighbour();
  const before = await neighbour();
  const baseline = endpoint.processes.map(({ pid }) => residentBytes(pid));
  const peaks = [...baseline];
  const watch = setInterval(() => {
    endpoint.processes.forEach(({ pid }, index) => {
      peaks[index] = Math.max(peaks[index] ?? 0, residentBytes(pid));
    });
  }, 50);
  const readers = await Promise.all(Array.from({ length: stalledReaders }, () => openStalledReader(endpoint)));
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  const during = await neighbour();
  clearInterval(watch);
  for (const reader of readers) reader.destroy();

  const sample: Record<string, number> = { neighbour: (during["rps"] ?? 0) / (before["rps"] ?? Number.NaN) };
  endpoint.processes.forEach(({ name }, index) => {
    sample[`growthMB.${name}`] = ((peaks[index] ?? Number.NaN) - (baseline[index] ?? 0)) / 1e6;
  });
  return sample;
}

const growthBar = (name: "server" | "client") => ({
  what: `100 stalled readers of 1 GiB: ${name}`,
  metric: `growthMB.${name}`,
  against: null,
  direction: "atMost" as const,
  must: 64,
  aim: 32,
  unit: "MB more",
});

export const stalled: Scenario = {
  name: "stalled",
  title: "100 readers that ask for 1 GiB and read nothing, while a neighbour pipe is used (wrk -c10)",
  endpoints: ["haproxy", "tunnel"],
  bars: [
    growthBar("server"),
    growthBar("client"),
    {
      what: "100 stalled readers: neighbour keeps",
      metric: "neighbour",
      against: null,
      direction: "atLeast",
      must: 0.8,
      aim: 0.8,
      unit: "of its rate",
    },
  ],
  async run(endpoint, environment) {
    if (endpoint.name === "haproxy") return measure(endpoint, environment);
    // Fresh processes each time: memory that an earlier run has touched would hide the growth.
    const { node = environment.tunnel.node } = endpoint;
    const options = { folder: join(environment.folder, "stalled"), node };
    const fresh = await startTunnel(endpoint.name, options, environment.origin);
    try {
      return await measure(fresh.endpoint, environment);
    } finally {
      await fresh.stop();
    }
  },
};
