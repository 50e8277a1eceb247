// What is measured: a way from the load to the origin. The same load runs over each.

/** A process whose CPU and memory count. */
export interface MeasuredProcess {
  readonly name: "haproxy" | "server" | "client" | "relay";
  readonly pid: number;
}

export interface Endpoint {
  /** `direct`, `haproxy`, `tunnel`, `tunnel@24` for another Node, or what a scenario calls its own. Bars hold for tunnels. */
  readonly name: string;
  readonly port: number;
  /** Host header that leads to the origin; a second name that leads there as well; and the one for the upload sink. */
  readonly host: string;
  readonly neighbourHost: string;
  readonly sinkHost: string;
  readonly sinkPort: number;
  readonly processes: readonly MeasuredProcess[];
  /** The Node binary of a tunnel's processes, for scenarios that start fresh ones. */
  readonly node?: string;
  /** Where else the same load goes, in turn: other nodes of a cluster. */
  readonly alsoAt?: readonly { readonly port: number; readonly host: string }[];
}

/** What one run over one endpoint gave: metric to value. */
export type Sample = Readonly<Record<string, number>>;
