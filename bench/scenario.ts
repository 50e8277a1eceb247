// What a scenario is, what it may use, and the bar that its figures are held to.

import type { Endpoint, Sample } from "./endpoint.ts";
import type { Origin } from "./origin.ts";
import type { TunnelOptions } from "./tunnel.ts";

export interface Environment {
  readonly origin: Origin;
  readonly tunnel: TunnelOptions;
  /** A folder for a scenario's own files. */
  readonly folder: string;
  /** Seconds of each run of wrk. */
  readonly seconds: number;
  /** Size of large bodies. */
  readonly bytes: number;
  /** How many idle clients, and how many stalled readers. */
  readonly idleClients: number;
  readonly stalledReaders: number;
}

export interface Bar {
  /** As in the table of docs/performance.md. */
  readonly what: string;
  readonly metric: string;
  /** The endpoint that the tunnel's value is divided by, in the same round; null: the value itself counts. */
  readonly against: string | null;
  /** `atMost`: smaller is better. */
  readonly direction: "atMost" | "atLeast";
  readonly must: number;
  readonly aim: number;
  readonly unit: string;
}

export interface Scenario {
  /** For `--only`. */
  readonly name: string;
  readonly title: string;
  /** Which of the usual endpoints it runs over. */
  readonly endpoints: readonly ("direct" | "haproxy" | "tunnel")[];
  readonly bars: readonly Bar[];
  /** Starts what it needs besides the usual, once; its endpoints are run over after the usual ones. */
  prepare?(environment: Environment): Promise<{ endpoints: readonly Endpoint[]; stop(): Promise<void> }>;
  /** One run over one endpoint. */
  run(endpoint: Endpoint, environment: Environment): Promise<Sample>;
}
