// Figures of the process: CPU, memory, descriptors, event loop lag. One set for all nodes of a process, begun by the
// first scrape: the lag's timer and the observer of the collector have no end.

import type { Registry } from "prom-client";

/** The event loop's lag is sampled so often: each sample wakes the process up. */
const LAG_PRECISION_MS = 20;

let registry: Promise<Registry> | null = null;

export const ProcessMetrics = {
  async text(): Promise<string> {
    registry ??= open();
    return (await registry).metrics();
  },
};

async function open(): Promise<Registry> {
  const { collectDefaultMetrics, Registry } = await import("prom-client");
  const register = new Registry();
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LAG_PRECISION_MS });
  return register;
}
