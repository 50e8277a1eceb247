// A cluster as an operator runs it: several nodes as real processes on one real Redis, and haproxy in front of them, which
// asks /readyz. Nodes can be ended and started anew.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { startBalancer } from "./balancer.ts";
import { type RunningServer, startServer } from "./duplexity.ts";
import type { FakeClock } from "./fake-clock.ts";
import { FaultProxy } from "./fault-proxy.ts";
import { isObject } from "./lines.ts";
import { ADMIN_TOKEN, ask } from "./people.ts";
import { type RunningRedis, startRedisServer } from "./redis.ts";
import { urlOf, type WatchedRedis } from "./redis-sentinel.ts";
import { freePort } from "./sockets.ts";
import type { Stage } from "./stage.ts";
import { visit } from "./visitor.ts";
import { poll } from "./wait.ts";

const ALL_ROLES = "auth,backend,hub,proxy";
const THREE = [ALL_ROLES, ALL_ROLES, ALL_ROLES];
/** Each with one role; only the backend knows Redis. */
export const SIX = ["proxy", "proxy", "hub", "hub", "backend", "auth"];
const CLUSTER_SECRET = "cluster-secret-0123456789abcdef";

/** What the same is shown of: nodes that are all alike, and processes with a role each. */
export const CLUSTERS = [
  { cluster: "three nodes", roles: THREE, isSplit: false },
  { cluster: "six processes with a role each", roles: SIX, isSplit: true },
] as const;

export interface Nodes {
  /** Each by its number; a node that was started anew takes the place of the one before. */
  readonly servers: RunningServer[];
  /** Numbers of those that clients' links lead to, and of those that visitors come to; nodes with all roles are both. */
  readonly hubs: readonly number[];
  readonly proxies: readonly number[];
  /** Numbers of those that know Redis. */
  readonly backends: readonly number[];
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
  /** Until haproxy counts node `number` as up, or as down; of one that it does not know, until /readyz says so. */
  untilUp(number: number, isUp: boolean): Promise<void>;
}

/** What can be cut around a node. */
export interface Wires {
  /** From clients that come to its own address. */
  readonly clients: FaultProxy;
  /** From other nodes that have something for it. */
  readonly peers: FaultProxy;
  /** To Redis, or from a node without it to the first backend, which is then the only one that it knows. */
  readonly store: FaultProxy;
}

export interface NodesOptions {
  /** The roles of each, those with the role proxy first: haproxy leads to them. @default all, three times */
  readonly roles?: readonly string[];
  readonly args?: readonly string[];
  /** Whether each node has an address of its own for clients. @default true */
  readonly hasOwnAddresses?: boolean;
  /** More arguments for redis-server. */
  readonly redisArgs?: readonly string[];
  /** Instead of a Redis that has nobody beside it. */
  readonly watched?: WatchedRedis;
  /** Whether there is a fault proxy on each of a node's wires. @default false */
  readonly hasWires?: boolean;
  /** The clock of each, by its number. @default the system's */
  readonly clocks?: readonly FakeClock[];
  /** Arguments for node itself. */
  readonly nodeArgs?: readonly string[];
}

interface Place {
  readonly roles: string;
  readonly port: number;
  readonly internalPort: number;
  readonly wires: Wires | null;
}

export async function startNodes(stage: Stage, options: NodesOptions = {}): Promise<Nodes> {
  const { roles = THREE, args = [], hasOwnAddresses = true, hasWires = false, nodeArgs = [] } = options;
  const folder = await stage.folder("nodes");
  const secret = { admin: join(folder, "admin-token"), cluster: join(folder, "cluster-secret") };
  await writeFile(secret.admin, `${ADMIN_TOKEN}\n`, { mode: 0o600 });
  await writeFile(secret.cluster, `${CLUSTER_SECRET}\n`, { mode: 0o600 });
  const { watched } = options;
  const redis = watched?.primary ?? (await startRedisServer(stage, { args: options.redisArgs ?? [] }));
  const redisPort = redis.port;
  const port = await freePort();
  const numbersOf = (role: string): readonly number[] =>
    roles.flatMap((own, number) => (has(own, role) ? [number] : []));
  const [proxies, backends] = [numbersOf("proxy"), numbersOf("backend")];
  const places: Place[] = [];
  const sharedOf = ({ roles: own, wires }: Place): readonly string[] =>
    has(own, "backend")
      ? ["--redis", watched === undefined ? `redis://127.0.0.1:${wires?.store.port ?? redisPort}` : urlOf(watched)]
      : (wires === null ? backends.map((number) => places[number]?.internalPort) : [wires.store.port]).flatMap(
          (backendPort) => ["--backend", `http://127.0.0.1:${backendPort}`],
        );
  const start = (place: Place): Promise<RunningServer> => {
    const { roles: own, port: ownPort, internalPort, wires } = place;
    return startServer(stage, {
      ...{ port: ownPort, internalPort, nodeArgs },
      env: options.clocks?.[places.indexOf(place)]?.env ?? {},
      identity: [...sharedOf(place), "--admin-token-file", secret.admin],
      args: [
        ...["--roles", own],
        ...["--cluster-secret-file", secret.cluster, "--public-url", `http://localhost:${port}`],
        ...(hasOwnAddresses && has(own, "hub")
          ? ["--node-public-url", `http://127.0.0.1:${wires?.clients.port ?? ownPort}`]
          : []),
        ...(wires === null ? [] : ["--node-url", wires.peers.url]),
        ...args,
      ],
    });
  };
  const ports = await Promise.all(roles.map(async () => ({ port: await freePort(), internalPort: await freePort() })));
  for (const [number, own] of roles.entries()) {
    const at = ports[number];
    if (at === undefined) throw new Error(`Node ${number} has no ports`);
    const backendPort = ports[backends[0] ?? 0]?.internalPort ?? 0;
    const to = { ...at, storePort: has(own, "backend") ? redisPort : backendPort };
    places.push({ roles: own, ...at, wires: hasWires ? await startWires(stage, to) : null });
  }
  const servers = await Promise.all(places.map(start));
  const balancer = await startBalancer(
    stage,
    port,
    places.filter((place) => has(place.roles, "proxy")),
  );
  const nodes: Nodes = {
    ...{ hubs: numbersOf("hub"), proxies, backends },
    ...{ servers, port, redisPort, redis, url: `http://127.0.0.1:${port}` },
    wires: places.flatMap(({ wires }) => wires ?? []),
    admin: (path, body, node) =>
      ask(node === undefined ? port : (places[node]?.port ?? 0), path, { token: ADMIN_TOKEN, body }),
    async restart(number) {
      const place = places[number];
      if (place === undefined) throw new Error(`There is no node ${number}`);
      servers[number] = await start(place);
    },
    untilUp: (number, isUp) =>
      proxies.includes(number)
        ? balancer.untilUp(number, isUp)
        : untilReady(places[number]?.internalPort ?? 0, isUp, `node ${number}`),
  };
  for (const number of places.keys()) await nodes.untilUp(number, true);
  return nodes;
}

function has(roles: string, role: string): boolean {
  return roles.split(",").includes(role);
}

async function untilReady(internalPort: number, isUp: boolean, who: string): Promise<void> {
  const look = async (): Promise<boolean> => {
    const status = await visit(internalPort, "localhost", "/readyz").then(
      (answer) => answer.status,
      () => null,
    );
    return (status === 200) === isUp;
  };
  await poll(look, 20_000, `${who} to be ${isUp ? "ready" : "not ready"}`, 20);
}

async function startWires(
  stage: Stage,
  to: { readonly port: number; readonly internalPort: number; readonly storePort: number },
): Promise<Wires> {
  return {
    clients: await FaultProxy.start(stage, to.port),
    peers: await FaultProxy.start(stage, to.internalPort),
    store: await FaultProxy.start(stage, to.storePort),
  };
}

/** The number of the node that the registry names for a name's client. Rejects while that is away, or there is none. */
export async function holderOf(nodes: Nodes, hostname: string): Promise<number> {
  const answer = await fetch(`http://127.0.0.1:${nodes.servers[0]?.internalPort}/locate?hostname=${hostname}`, {
    headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
  });
  const body: unknown = await answer.json();
  const nodeId = isObject(body) && isObject(body.record) && body.record.state === "up" ? body.record.nodeId : null;
  const number = nodes.servers.findIndex(({ process }) => process.lines[0]?.nodeId === nodeId);
  if (number === -1) throw new Error(`No node has ${hostname}: ${JSON.stringify(body)}`);
  return number;
}
