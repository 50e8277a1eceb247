// A node's figures for Prometheus. All are read when somebody asks: until then nothing is loaded, counted or timed for
// their sake. Labels come from short closed lists; no name of a pipe, a client or a person is among them.

import type { Histogram, Registry } from "prom-client";
import type { HubStatistics } from "../hub/index.ts";
import type { Load } from "../load-level.ts";
import {
  type AnswerCounts,
  DURATION_BOUNDS_MS,
  type ProxyStatistics,
  type TcpPortsStatistics,
} from "../proxy/index.ts";
import { nodeMetrics } from "./node-metrics.ts";
import { ProcessMetrics } from "./process-metrics.ts";

export interface MetricsSources {
  readonly hub: () => HubStatistics;
  readonly proxy: () => ProxyStatistics;
  /** Null: there are no TCP ports. */
  readonly tcp: () => TcpPortsStatistics | null;
  /** Sockets that have not said who they are. */
  readonly unauthenticated: () => number;
  readonly registryFailures: () => number;
  readonly storeFailures: () => number;
  readonly isDraining: () => boolean;
  readonly load: () => { readonly load: Load; readonly utilization: number };
  /** `duplexity/0.1.0 node/20.20.2` */
  readonly software: string;
}

export interface Metrics {
  /** In Prometheus's text format. */
  scrape(): Promise<{ readonly contentType: string; readonly text: string }>;
}

type PromClient = typeof import("prom-client");

export function createMetrics(sources: MetricsSources): Metrics {
  let registry: Promise<Registry> | null = null;
  let taken = { hub: sources.hub, proxy: sources.proxy, tcp: sources.tcp };
  const lookedUp = {
    ...sources,
    hub: () => taken.hub(),
    proxy: () => taken.proxy(),
    tcp: () => taken.tcp(),
  };
  return {
    async scrape() {
      // Once for all figures: these go through all connections.
      const [hub, proxy, tcp] = [sources.hub(), sources.proxy(), sources.tcp()];
      taken = { hub: () => hub, proxy: () => proxy, tcp: () => tcp };
      registry ??= open(lookedUp);
      const own = await registry;
      const text = `${await own.metrics()}\n${await ProcessMetrics.text()}`;
      return { contentType: own.contentType, text };
    },
  };
}

async function open(sources: MetricsSources): Promise<Registry> {
  const client = await import("prom-client");
  const registry = new client.Registry();
  const registers = [registry];
  for (const { name, help, kind, labelNames = [], read } of nodeMetrics(sources)) {
    const values = highestOf(read, kind);
    if (kind === "gauge") {
      new client.Gauge({
        ...{ name, help, registers, labelNames: [...labelNames] },
        collect() {
          for (const { labels, value } of values()) this.set(labels, value);
        },
      });
    } else {
      new client.Counter({
        ...{ name, help, registers, labelNames: [...labelNames] },
        collect() {
          this.reset();
          for (const { labels, value } of values()) this.inc(labels, value);
        },
      });
    }
  }
  registry.registerMetric(durations(client, () => sources.proxy().answers));
  return registry;
}

interface Sample {
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/**
 * A counter that falls reads as a restart. What a socket was given counts as sent; when it is cut, what it had not sent
 * yet does not any more.
 */
function highestOf(read: () => readonly Sample[], kind: "gauge" | "counter"): () => readonly Sample[] {
  if (kind === "gauge") return read;
  const highest = new Map<string, number>();
  return () =>
    read().map(({ labels, value }) => {
      const key = Object.values(labels).join();
      const most = Math.max(value, highest.get(key) ?? 0);
      highest.set(key, most);
      return { labels, value: most };
    });
}

/** prom-client would count each request into a table by labels; ours are counted already. */
function durations({ Histogram: Base }: PromClient, read: () => AnswerCounts): Histogram {
  const buckets = DURATION_BOUNDS_MS.map((ms) => ms / 1000);
  const help = "Time from a request's head to the end of its answer; of an upgrade, to its 101.";
  class Durations extends Base {
    /** What the registry asks for the values; not in prom-client's types. */
    async getForPromString() {
      const { byDuration, durationMs } = read();
      const sharedLabels = {};
      let count = 0;
      const values = byDuration.map((inBucket, index) => {
        count += inBucket;
        return { metricName: `${NAME}_bucket`, labels: { le: buckets[index] ?? "+Inf" }, sharedLabels, value: count };
      });
      const sum = { metricName: `${NAME}_sum`, labels: {}, sharedLabels, value: durationMs / 1000 };
      const all = { metricName: `${NAME}_count`, labels: {}, sharedLabels, value: count };
      return { name: NAME, help, type: "histogram", values: [...values, sum, all], aggregator: "sum" };
    }
  }
  return new Durations({ name: NAME, help, buckets, registers: [] });
}

const NAME = "duplexity_request_duration_seconds";
