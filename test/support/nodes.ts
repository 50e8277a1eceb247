// A cluster as an operator runs it: several nodes as real processes on one real Redis, and haproxy in front of them, which
// asks /readyz. Nodes can be ended and started anew.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startBalancer } from "./balancer.ts";
import { type RunningServer, startServer } from "./duplexity.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { isObject } from "./lines.ts";
import { ADMIN_TOKEN, ask } from "./people.ts";
import { type RunningRedis, startRedisServer } from "./redis.ts";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";

const CLUSTER_SECRET = "cluster-secret-0123456789abcdef";

export interface Nodes {
  /** Each by its number; a node that was started anew takes the place of the one before. */
  readonly servers: RunningServer[];
  /** Numbers of those that clients' links lead to, and of those that visitors come to: here all of them are both. */
  readonly hubs: readonly number[];
  readonly proxies: readonly number[];
  /** Of haproxy, for visitors and clients alike. */
  readonly port: number;
  readonly url: string;
  readonly redisPort: number;
  readonly redis: RunningRedis;
  /** Each node's, by its number; none unless they were asked for. */
  readonly wires: readonly Wires[];
  admin(path: string, body?: unknown, node?: number): Promise<Record<string, unknown>>;
  /** Starts node `number` anew, on its old ports. */
  restart(number: number): Promise<void>;
  /** Until haproxy counts node `number` as up, or as down. */
  untilUp(number: number, isUp: boolean): Promise<void>;
}

/** What can be cut around a node. */
export interface Wires {
  /** From clients that come to its own address. */
  readonly clients: FaultProxy;
  /** From other nodes. */
  readonly peers: FaultProxy;
  /** To Redis. */
  readonly redis: FaultProxy;
}

export interface NodesOptions {
  /** @default 3 */
  readonly count?: number;
  readonly args?: readonly string[];
  /** Whether each node has an address of its own for clients. @default true */
  readonly hasOwnAddresses?: boolean;
  /** More arguments for redis-server. */
  readonly redisArgs?: readonly string[];
  /** Whether there is a fault proxy on each of a node's wires. @default false */
  readonly hasWires?: boolean;
  /** Arguments for node itself. */
  readonly nodeArgs?: readonly string[];
}

interface Place {
  readonly port: number;
  readonly internalPort: number;
  readonly wires: Wires | null;
}

export async function startNodes(stage: Stage, options: NodesOptions = {}): Promise<Nodes> {
  const { count = 3, args = [], hasOwnAddresses = true, hasWires = false, nodeArgs = [] } = options;
  const folder = await stage.folder("nodes");
  const secret = { admin: join(folder, "admin-token"), cluster: join(folder, "cluster-secret") };
  await writeFile(secret.admin, `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  await writeFile(secret.cluster, `${CLUSTER_SECRET}\n`, { mode: 0o600 });
  const redis = await startRedisServer(stage, { args: options.redisArgs ?? [] });
  const redisPort = redis.port;
  const port = await freePort();
  const start = ({ port: ownPort, internalPort, wires }: Place): Promise<RunningServer> =>
    startServer(stage, {
      ...{ port: ownPort, internalPort, nodeArgs },
      identity: ["--redis", `redis://127.0.0.1:${wires?.redis.port ?? redisPort}`, "--admin-token-file", secret.admin],
      args: [
        ...["--cluster-secret-file", secret.cluster, "--public-url", `http://localhost:${port}`],
        ...(hasOwnAddresses ? ["--node-public-url", `http://127.0.0.1:${wires?.clients.port ?? ownPort}`] : []),
        ...(wires === null ? [] : ["--node-url", wires.peers.url]),
        ...args,
      ],
    });
  const places: Place[] = [];
  for (let number = 0; number < count; number += 1) {
    const at = { port: await freePort(), internalPort: await freePort() };
    places.push({ ...at, wires: hasWires ? await startWires(stage, { ...at, redisPort }) : null });
  }
  const servers = await Promise.all(places.map(start));
  const balancer = await startBalancer(stage, port, places);
  const numbers = places.map((_place, number) => number);
  const nodes: Nodes = {
    ...{ hubs: numbers, proxies: numbers },
    ...{ servers, port, redisPort, redis, url: `http://127.0.0.1:${port}` },
    wires: places.flatMap(({ wires }) => wires ?? []),
    admin: (path, body, node) =>
      ask(node === undefined ? port : (places[node]?.port ?? 0), path, { token: ADMIN_TOKEN, body }),
    async restart(number) {
      const place = places[number];
      if (place === undefined) throw new Error(`There is no node ${number}`);
      servers[number] = await start(place);
    },
    untilUp: (number, isUp) => balancer.untilUp(number, isUp),
  };
  for (let number = 0; number < count; number += 1) await nodes.untilUp(number, true);
  return nodes;
}

async function startWires(
  stage: Stage,
  to: { readonly port: number; readonly internalPort: number; readonly redisPort: number },
): Promise<Wires> {
  return {
    clients: await FaultProxy.start(stage, to.port),
    peers: await FaultProxy.start(stage, to.internalPort),
    redis: await FaultProxy.start(stage, to.redisPort),
  };
}

/** The number of the node that the registry names for a name's client. */
export async function holderOf(nodes: Nodes, hostname: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${nodes.servers[0]?.internalPort}/locate?hostname=${hostname}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  const body: unknown = await answer.json();
  const nodeId = isObject(body) && isObject(body.record) ? body.record.nodeId : null;
  const number = nodes.servers.findIndex(({ process }) => process.lines[0]?.nodeId === nodeId);
  if (number === -1) throw new Error(`No node has ${hostname}: ${JSON.stringify(body)}`);
  return number;
}
