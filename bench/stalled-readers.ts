// Readers that ask for a large body and then read nothing, and what they cost.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import type { Endpoint, Sample } from "./endpoint.ts";
import { wrk } from "./load.ts";
import { residentBytes } from "./proc.ts";
import type { Environment } from "./scenario.ts";

/** How long memory is watched before the neighbour's second run. */
const SETTLE_MS = 3_000;

/**
 * How many MB each measured process of `endpoint` grows at most (`growthMB.NAME`), and what share of its rate a neighbour
 * pipe keeps (`neighbour`). Memory that was touched before would hide the growth: wants fresh processes.
 */
export async function measureStalled(
  endpoint: Endpoint,
  { seconds, stalledReaders }: Pick<Environment, "seconds" | "stalledReaders">,
): Promise<Sample> {
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
