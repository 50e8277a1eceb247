// What it costs to be three: three nodes, each with a client of its own that is visited there, beside one node without a
// cluster. And, without a bar, one client that is visited at each of the three, as a balancer brings its visitors.

import { join } from "node:path";
import { startCluster } from "../cluster.ts";
import type { Endpoint, MeasuredProcess, Sample } from "../endpoint.ts";
import { wrk } from "../load.ts";
import { stopAll } from "../origin.ts";
import type { Child } from "../proc.ts";
import type { Environment, Scenario } from "../scenario.ts";
import { startClient, startTunnel } from "../tunnel.ts";

const NODES = 3;
/** Before the first round: a cluster's processes are visited by two endpoints, and would be compiled sooner. */
const WARM_UP_SECONDS = 2;

async function prepare({ tunnel, folder, origin }: Environment) {
  const options = { ...tunnel, folder: join(folder, "nodes") };
  const alone = await startTunnel("one node", { ...tunnel, folder: join(folder, "one-node") }, origin);
  const stops = [() => alone.stop()];
  const stop = async () => {
    for (const each of stops.reverse()) await each();
  };
  try {
    const cluster = await startCluster(options, NODES);
    stops.push(() => cluster.stop());
    const clients: Child[] = [];
    stops.push(() => stopAll(clients));
    for (const [index, { url }] of cluster.nodes.entries()) {
      const pipes = [`cat${index + 1}:127.0.0.1:${origin.port}`];
      clients.push(await startClient(options, url, pipes, ["--token-file", cluster.tokenFile]));
    }
    const servers = cluster.nodes.map(({ pid }): MeasuredProcess => ({ name: "server", pid }));
    const ports = cluster.nodes.map(({ port }) => port);
    const own = ports.map((port, index) => ({ port, host: `cat${index + 1}.localhost` }));
    const spread = ports.map((port) => ({ port, host: "cat1.localhost" }));
    const endpoints = [
      alone.endpoint,
      endpointOf("tunnel", own, [...servers, ...clientsOf(clients)]),
      endpointOf("spread", spread, [...servers, ...clientsOf(clients.slice(0, 1))]),
    ];
    for (const endpoint of endpoints) await wrkInTurn(endpoint, WARM_UP_SECONDS);
    return { endpoints, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

function endpointOf(
  name: string,
  places: readonly { readonly port: number; readonly host: string }[],
  processes: readonly MeasuredProcess[],
): Endpoint {
  const [first, ...alsoAt] = places;
  if (first === undefined) throw new Error(`Endpoint "${name}" is nowhere`);
  return { ...first, name, alsoAt, processes, neighbourHost: "", sinkHost: "", sinkPort: 0 };
}

function clientsOf(children: readonly Child[]): MeasuredProcess[] {
  return children.map(({ pid }) => ({ name: "client", pid }));
}

/** In turn, so that a node has the same 50 connections, and as much of the machine, as one that is alone. */
async function wrkInTurn(endpoint: Endpoint, seconds: number): Promise<Sample> {
  const samples: Sample[] = [];
  for (const place of [endpoint, ...(endpoint.alsoAt ?? [])]) {
    samples.push(await wrk({ ...endpoint, ...place }, { connections: 50, seconds }));
  }
  const sum = (take: (sample: Sample) => number) => samples.reduce((total, sample) => total + take(sample), 0);
  const rate = sum(({ rps = Number.NaN }) => rps);
  // Runs are equally long: their rates are the weights of what a request costs in each.
  const perRequest = (metric: string) =>
    sum(({ rps = Number.NaN, [metric]: value = Number.NaN }) => rps * value) / rate;
  const metrics = ["cpu", "cpu.server", "cpu.client"];
  return {
    rps: rate / samples.length,
    ...Object.fromEntries(metrics.map((metric) => [metric, perRequest(metric)])),
  };
}

export const nodes: Scenario = {
  name: "nodes",
  title:
    "three nodes in turn, each visited for its own client (wrk -t1 -c50); spread: for one client; CPU of all nodes",
  endpoints: [],
  bars: [
    {
      what: "three nodes against one: CPU a request, own processes",
      metric: "cpu",
      against: "one node",
      direction: "atMost",
      must: 1.3,
      aim: 1.1,
      unit: "× one node",
    },
  ],
  prepare,
  run: (endpoint, { seconds }) => wrkInTurn(endpoint, seconds),
};
