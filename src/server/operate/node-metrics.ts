// The table of a node's metrics: names, meanings, and where each figure comes from. docs/operating.md lists them.

import { LOADS } from "../load-level.ts";
import type { MetricsSources } from "./metrics.ts";

interface NodeMetric {
  /** In base units: bytes, seconds. */
  readonly name: `duplexity_${string}`;
  readonly help: string;
  readonly kind: "gauge" | "counter";
  readonly labelNames?: readonly string[];
  readonly read: () => readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[];
}

/** By the first digit of a status. */
const CLASSES = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"] as const;

export function nodeMetrics(from: MetricsSources): readonly NodeMetric[] {
  const visitors =
    (http: () => number, tcp: (statistics: NonNullable<ReturnType<typeof from.tcp>>) => number) => () => {
      const statistics = from.tcp();
      return [
        { labels: { protocol: "http" }, value: http() },
        { labels: { protocol: "tcp" }, value: statistics === null ? 0 : tcp(statistics) },
      ];
    };
  const [software = "", node = ""] = from.software.split(" ");
  const [, version = ""] = software.split("/");
  return [
    {
      ...{ name: "duplexity_build_info", help: "1; the labels say what runs.", kind: "gauge" },
      labelNames: ["version", "node"],
      read: () => [{ labels: { version, node: node.replace("node/", "") }, value: 1 }],
    },
    gauge("draining", "1 while the node takes no new work.", () => (from.isDraining() ? 1 : 0)),
    gauge("load", "0 normal, 1 busy: new clients go to other hubs, 2 overloaded: none is taken.", () =>
      LOADS.indexOf(from.load().load),
    ),
    gauge("eventloop_utilization", "Part of the last seconds in which the event loop was not idle.", () => {
      return from.load().utilization;
    }),
    gauge("clients", "Clients, those between two links included.", () => from.hub().clients),
    gauge("control_sockets", "Clients' open control sockets.", () => from.hub().controls),
    gauge("links", "Clients' links that carry packets.", () => from.hub().links),
    gauge("streams", "Streams that are open in all sessions.", () => from.hub().streams),
    gauge("remote_sessions", "Sessions with clients whose link is at another hub.", () => from.hub().remoteSessions),
    gauge("peers", "Sockets to and from other nodes.", () => from.hub().peers),
    gauge("relays", "Other nodes' sessions that are passed on here.", () => from.hub().relays),
    gauge("relay_queued_bytes", "Bytes of those that wait for their nodes.", () => from.hub().relayQueuedBytes),
    gauge("routes", "Hostnames that this node's hub serves.", () => from.hub().routes),
    gauge("unauthenticated_sockets", "Sockets that have not said who they are.", from.unauthenticated),
    labelled("visitor_connections", "Open connections of visitors.", "gauge", {
      labelNames: ["protocol"],
      read: visitors(
        () => from.proxy().openVisitors,
        (tcp) => tcp.openVisitors,
      ),
    }),
    gauge("upgraded_connections", "Visitors' connections after an upgrade, such as WebSockets.", () => {
      return from.proxy().openTunnels;
    }),
    gauge("requests_open", "Requests without a complete answer yet.", () => from.proxy().openExchanges),
    gauge("held_requests", "Requests that wait for their client to come back.", () => from.proxy().heldRequests),
    gauge("held_bytes", "Bytes that those keep in memory.", () => from.proxy().heldBytes),
    labelled("requests_total", "Requests that ended, by status; none: the visitor had left.", "counter", {
      labelNames: ["status"],
      read: () => {
        const { byClass } = from.proxy().answers;
        return CLASSES.map((status, index) => ({ labels: { status }, value: byClass[index] ?? 0 }));
      },
    }),
    counter("request_failures_total", "Requests that could not be served.", () => from.proxy().failures),
    counter("request_replays_total", "Requests that were sent to their client again.", () => from.proxy().replays),
    labelled("visitor_received_bytes_total", "Bytes from visitors, heads included.", "counter", {
      labelNames: ["protocol"],
      read: visitors(
        () => from.proxy().receivedBytes,
        (tcp) => tcp.receivedBytes,
      ),
    }),
    labelled("visitor_sent_bytes_total", "Bytes to visitors, heads included.", "counter", {
      labelNames: ["protocol"],
      read: visitors(
        () => from.proxy().sentBytes,
        (tcp) => tcp.sentBytes,
      ),
    }),
    counter("registry_failures_total", "Calls of the registry that failed.", from.registryFailures),
    counter("store_failures_total", "Calls of the store that failed.", from.storeFailures),
  ];
}

function labelled(
  name: string,
  help: string,
  kind: NodeMetric["kind"],
  rest: Required<Pick<NodeMetric, "labelNames" | "read">>,
): NodeMetric {
  return { name: `duplexity_${name}`, help, kind, ...rest };
}

function gauge(name: string, help: string, read: () => number): NodeMetric {
  return { name: `duplexity_${name}`, help, kind: "gauge", read: () => [{ labels: {}, value: read() }] };
}

function counter(name: string, help: string, read: () => number): NodeMetric {
  return { name: `duplexity_${name}`, help, kind: "counter", read: () => [{ labels: {}, value: read() }] };
}
