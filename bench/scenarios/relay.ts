// A visitor at one node, the client's only link at another: what the node between them costs, which passes packets on and
// looks into none. Beside haproxy, and beside the same client visited at its own node.

import { join } from "node:path";
import { type Cluster, startCluster } from "../cluster.ts";
import type { Endpoint, MeasuredProcess } from "../endpoint.ts";
import { download, wrk } from "../load.ts";
import type { Environment, Scenario } from "../scenario.ts";
import { measureStalled } from "../stalled-readers.ts";
import { startClient, type TunnelOptions } from "../tunnel.ts";

/** Before the first round: code that is not compiled and a file that is not in memory would count against who comes first. */
const WARM_UP_SECONDS = 2;

interface Relay {
  /** The client visited at its own node, and at the other one. */
  readonly own: Endpoint;
  readonly relayed: Endpoint;
  stop(): Promise<void>;
}

async function startRelay(options: TunnelOptions, { origin }: Environment): Promise<Relay> {
  const cluster = await startCluster(options, 2);
  const [relay, visited] = cluster.nodes;
  if (relay === undefined || visited === undefined) throw new Error("A cluster of two has fewer nodes");
  const pipes = [`cat1:127.0.0.1:${origin.port}`, `cat2:127.0.0.1:${origin.port}`];
  // With a second link the visited node would have one of its own.
  const flags = ["--token-file", cluster.tokenFile, "--links", "1"];
  const client = await startClient(options, relay.url, pipes, flags).catch((error: unknown) => failed(cluster, error));
  const at = (name: string, port: number, processes: readonly MeasuredProcess[]): Endpoint => ({
    ...{ name, port, processes, host: "cat1.localhost", neighbourHost: "cat2.localhost", sinkHost: "", sinkPort: 0 },
  });
  return {
    own: at("own node", relay.port, []),
    relayed: at("tunnel", visited.port, [{ name: "relay", pid: relay.pid }]),
    async stop() {
      await client.stop();
      await cluster.stop();
    },
  };
}

async function failed(cluster: Cluster, error: unknown): Promise<never> {
  await cluster.stop();
  throw error;
}

async function prepare(environment: Environment) {
  const { own, relayed, stop } = await startRelay(
    { ...environment.tunnel, folder: join(environment.folder, "relay") },
    environment,
  );
  for (const endpoint of [own, relayed]) {
    await wrk(endpoint, { connections: 50, seconds: WARM_UP_SECONDS });
    await download(endpoint, environment.bytes);
  }
  return { endpoints: [own, relayed], stop };
}

/** Fresh processes each time: memory that an earlier run has touched would hide the growth. */
async function measureGrowth(environment: Environment) {
  const options = { ...environment.tunnel, folder: join(environment.folder, "relay-stalled") };
  const { relayed, stop } = await startRelay(options, environment);
  try {
    return await measureStalled(relayed, environment);
  } finally {
    await stop();
  }
}

export const relay: Scenario = {
  name: "relay",
  title: "through a second node (wrk -t1 -c50, one large download, stalled readers); CPU is the relay node's alone",
  endpoints: ["haproxy"],
  bars: [
    {
      what: "relay node: CPU a request",
      metric: "cpu",
      against: "haproxy",
      direction: "atMost",
      must: 0.6,
      aim: 0.3,
      unit: "× haproxy",
    },
    {
      what: "relay node: CPU, 1 GiB down",
      metric: "down.cpu",
      against: "haproxy",
      direction: "atMost",
      must: 1.8,
      aim: 1.1,
      unit: "× haproxy",
    },
    {
      what: "req/s over a relay",
      metric: "rps",
      against: "own node",
      direction: "atLeast",
      must: 0.75,
      aim: 0.9,
      unit: "× without",
    },
    {
      what: "100 stalled readers of 1 GiB: relay node",
      metric: "growthMB.relay",
      against: null,
      direction: "atMost",
      must: 64,
      aim: 16,
      unit: "MB more",
    },
  ],
  prepare,
  async run(endpoint, environment) {
    const { seconds, bytes } = environment;
    const requests = await wrk(endpoint, { connections: 50, seconds });
    const { wall, cpu } = await download(endpoint, bytes);
    return {
      ...requests,
      ...(wall === undefined ? {} : { "down.wall": wall }),
      ...(cpu === undefined ? {} : { "down.cpu": cpu }),
      ...(endpoint.name === "tunnel" ? await measureGrowth(environment) : {}),
    };
  },
};
