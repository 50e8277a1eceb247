// Figures of the process: CPU, memory, descriptors, event loop lag. One set for all nodes of a process, begun by the
// first scrape: the lag's timer and the observer of the collector have no end.

import { readdir, stat } from "node:fs/promises";
import type { Registry } from "prom-client";

/** The event loop's lag is sampled so often: each sample wakes the process up. */
const LAG_PRECISION_MS = 20;

const OPEN_FDS = "process_open_fds";
/**
 * For these prom-client goes through all sockets in one turn of the event loop: with thousands of them visitors would wait for
 * 10 ms and more. Only the descriptors are worth counting, and the kernel has counted them.
 */
const PER_SOCKET = [
  OPEN_FDS,
  ...["nodejs_active_handles", "nodejs_active_handles_total"],
  ...["nodejs_active_requests", "nodejs_active_requests_total"],
  ...["nodejs_active_resources", "nodejs_active_resources_total"],
];

let registry: Promise<Registry> | null = null;

export const ProcessMetrics = {
  async text(): Promise<string> {
    registry ??= open();
    return (await registry).metrics();
  },
};

async function open(): Promise<Registry> {
  const { collectDefaultMetrics, Gauge, Registry } = await import("prom-client");
  const register = new Registry();
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
  for (const name of PER_SOCKET) register.removeSingleMetric(name);
  if (process.platform === "linux") {
    new Gauge({
      ...{ name: OPEN_FDS, help: "Number of open file descriptors.", registers: [register] },
      async collect() {
        this.set(await openDescriptors());
      },
    });
  }
  return register;
}

async function openDescriptors(): Promise<number> {
  const folder = "/proc/self/fd";
  const { size } = await stat(folder).catch(() => ({ size: 0 }));
  if (size > 0) return size;
  // Linux before 6.2 says 0. Of what is listed one is the list's own.
  return Math.max(0, (await readdir(folder).catch(() => [])).length - 1);
}
