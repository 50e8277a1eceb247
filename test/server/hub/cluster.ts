// Several nodes in one process: each a hub on a public and an internal listener of its own, all of them with one
// registry. A node can be killed: from then on nothing of it answers, and what it still does reaches nobody.

import { createServer as createHttpServer, type Server as HttpServer, type IncomingMessage } from "node:http";
import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { StreamHandler } from "../../../src/protocol/index.ts";
import { createApi } from "../../../src/server/api/index.ts";
import { createAttempts } from "../../../src/server/attempts.ts";
import { MemoryRegistry, NODE_ROLES, type Registry } from "../../../src/server/backend/index.ts";
import { Hub, type HubOptions, PEER_PATH } from "../../../src/server/hub/index.ts";
import { KeyProofAuthenticator } from "../../../src/server/identity/index.ts";
import { OwnEndpoints } from "../../../src/server/own-endpoints.ts";
import { OwnPlaces } from "../../../src/server/own-places.ts";
import type { Route } from "../../../src/server/routes.ts";
import { DEFAULT_LIMITS } from "../../../src/server/serve-options.ts";
import { FaultProxy } from "../../support/fault-proxy.ts";
import { listen } from "../../support/sockets.ts";
import type { Stage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { apiHub } from "./api-hub.ts";
import { NO_PEOPLE } from "./no-people.ts";

export const SECRET = "a secret of the cluster, long enough";

export interface ClusterNode {
  readonly nodeId: string;
  readonly hub: Hub;
  readonly own: OwnEndpoints;
  readonly url: string;
  readonly internalUrl: string;
  /** Between the other nodes and this one's internal listener. */
  readonly peerProxy: FaultProxy;
  /** Between clients and this node's public listener. */
  readonly clientProxy: FaultProxy;
  readonly log: string[];
  /** As kill -9 does it. */
  kill(): void;
  routeTo(hostname: string): Route;
  /** A visitor's stream, as the proxy opens it: waits while the client is away. */
  open(
    hostname: string,
    handler: StreamHandler,
  ): ReturnType<Hub["routes"]["open"]> | Promise<ReturnType<Hub["routes"]["open"]>>;
}

export interface ClusterOptions extends Partial<Omit<HubOptions, "cluster" | "registry">> {
  readonly nodes?: number;
  readonly secretsOf?: (nodeId: string) => readonly string[];
  /** The node to which a balancer brings all dialers; left out: to that of their control socket. */
  readonly dialersAt?: string;
  /** Public ports of TCP pipes, of all nodes together; nothing listens there. @default none */
  readonly tcpPorts?: { readonly from: number; readonly to: number };
  /** The one node that discovery names; left out: all others. */
  readonly alternative?: string;
  /** Whether a node knows of the others just now. @default it does */
  readonly knowsOthers?: (nodeId: string) => boolean;
}

export interface Cluster {
  readonly nodes: readonly ClusterNode[];
  readonly registry: Registry;
}

export async function startCluster(stage: Stage, options: ClusterOptions = {}): Promise<Cluster> {
  const { nodes: count = 2, secretsOf = () => [SECRET], alternative, dialersAt, tcpPorts, ...rest } = options;
  const { knowsOthers = () => true, ...more } = rest;
  const registry = new MemoryRegistry({ tcpPorts: tcpPorts ?? null });
  stage.defer(() => registry.close());
  const nodes: (ClusterNode & { readonly isDead: () => boolean })[] = [];
  const dialerOf = (id: string): string =>
    `ws://127.0.0.1:${nodes.find(({ nodeId }) => nodeId === id)?.clientProxy.port}/dialer`;
  for (let index = 0; index < count; index += 1) {
    const nodeId = `node-${index + 1}`;
    const live = () => nodes.filter((other) => other.nodeId !== nodeId && !other.isDead());
    nodes.push(
      await startNode(stage, registry, {
        ...more,
        ...(tcpPorts === undefined ? {} : { ports: { open: async () => {} } }),
        ...(dialersAt === undefined ? {} : { dataPlaneUri: () => dialerOf(dialersAt) }),
        nodeId,
        cluster: {
          secrets: secretsOf(nodeId),
          nodeUrl: (id) => nodes.find((other) => other.nodeId === id)?.peerProxy.url ?? null,
          nodeIds: () => (knowsOthers(nodeId) ? live().map((other) => other.nodeId) : []),
          lightHubs: () => [],
          alternatives: () =>
            live()
              .filter((other) => alternative === undefined || other.nodeId === alternative)
              .map(({ clientProxy }) => `ws://127.0.0.1:${clientProxy.port}/dialer`),
        },
      }),
    );
  }
  return { nodes, registry };
}

type NodeOptions = Partial<HubOptions> & Pick<HubOptions, "nodeId" | "cluster">;

async function startNode(stage: Stage, shared: Registry, options: NodeOptions) {
  const log: string[] = [];
  const registry = new KillableRegistry(shared);
  const authenticator = new KeyProofAuthenticator();
  const attempts = createAttempts();
  const peerProxy = await FaultProxy.start(stage);
  const clientProxy = await FaultProxy.start(stage);
  const say = (level: string, message: string): void => {
    log.push(`${level} ${message}`);
  };
  const hub = new Hub({
    ...{ registry, authenticator, attempts, admission: NO_PEOPLE.bans },
    domain: "test",
    software: "duplexity/test",
    dataPlaneUri: () => `ws://127.0.0.1:${clientProxy.port}/dialer`,
    urlOf: (hostname) => `http://${hostname}`,
    limits: DEFAULT_LIMITS,
    ports: null,
    log: say,
    ...options,
  });
  const places = new OwnPlaces({
    ...{ nodeId: options.nodeId, roles: NODE_ROLES, secrets: options.cluster?.secrets ?? [] },
    nodes: () =>
      ["node-1", "node-2", "node-3"].flatMap((nodeId) => {
        const internalUrl = options.cluster?.nodeUrl(nodeId) ?? null;
        return internalUrl === null
          ? []
          : [{ nodeId, internalUrl, dialerUri: null, roles: NODE_ROLES, isDraining: false }];
      }),
  });
  const own = new OwnEndpoints({
    ...{ hub, authenticator, attempts, auth: null, domain: "test", maxUnauthenticated: 256, maxHeadBytes: 65_536 },
    ...{ places, addressOf: () => "127.0.0.1" },
    api: createApi({
      ...{ hub: apiHub(hub), authenticator, attempts, domain: "test", ...NO_PEOPLE, log: say },
      inviteUrl: () => "",
      addressOf: () => "",
    }),
  });
  const sockets = new Set<Duplex>();
  const remember = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.once("close", () => sockets.delete(socket));
  };
  const front = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    remember(socket);
    own.take(socket, Buffer.alloc(0));
  });
  const internal: HttpServer = createHttpServer();
  internal.on("connection", remember);
  internal.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (request.url === PEER_PATH) hub.acceptPeer(request, socket, head);
    else own.takeForwardedUpgrade(request, socket, head);
  });
  const port = await listen(front);
  clientProxy.targetPort = port;
  const internalPort = await listen(internal);
  peerProxy.targetPort = internalPort;
  let isDead = false;
  const closeListeners = (): void => {
    front.close();
    internal.close();
    for (const socket of sockets) socket.destroy();
  };
  stage.defer(() => {
    registry.kill();
    hub.close();
    own.close();
    closeListeners();
  });
  const routeTo = (hostname: string): Route => {
    const route = hub.routes.locate(hostname);
    if (route === null || route instanceof Promise) throw new Error(`${options.nodeId} has no route to ${hostname}`);
    return route;
  };
  return {
    ...{ nodeId: options.nodeId, hub, own, log, peerProxy, clientProxy, routeTo },
    url: `http://127.0.0.1:${clientProxy.port}`,
    internalUrl: `http://127.0.0.1:${internalPort}`,
    isDead: () => isDead,
    kill: () => {
      isDead = true;
      registry.kill();
      clientProxy.isRefusing = true;
      peerProxy.isRefusing = true;
      clientProxy.cutAll();
      peerProxy.cutAll();
      closeListeners();
    },
    open: (hostname: string, handler: StreamHandler) =>
      poll(
        () => {
          try {
            return hub.routes.open(
              routeTo(hostname),
              { hostname, protocol: "http", visitor: "", isTls: false },
              handler,
            );
          } catch {
            return null;
          }
        },
        10_000,
        `a way from ${options.nodeId} to ${hostname}: ${log.slice(-5).join("; ")}`,
        2,
      ),
  };
}

/** A node's way to the registry, until the node is dead. */
class KillableRegistry implements Registry {
  readonly #shared: Registry;
  readonly #stops: (() => void)[] = [];
  #isDead = false;

  constructor(shared: Registry) {
    this.#shared = shared;
  }

  kill(): void {
    this.#isDead = true;
    for (const stop of this.#stops) stop();
  }

  register(...args: Parameters<Registry["register"]>): ReturnType<Registry["register"]> {
    return this.#alive().register(...args);
  }

  async renewAll<T extends Parameters<Registry["renewAll"]>[0][number]>(held: readonly T[]): Promise<readonly T[]> {
    return this.#alive().renewAll(held);
  }

  async locate(hostname: string) {
    return this.#alive().locate(hostname);
  }

  async remove(...args: Parameters<Registry["remove"]>) {
    return this.#alive().remove(...args);
  }

  async list(...args: Parameters<Registry["list"]>) {
    return this.#alive().list(...args);
  }

  async countBound(ownerId: string) {
    return this.#alive().countBound(ownerId);
  }

  watch(listener: Parameters<Registry["watch"]>[0]): () => void {
    const stop = this.#shared.watch(listener);
    this.#stops.push(stop);
    return stop;
  }

  async close(): Promise<void> {}

  #alive(): Registry {
    if (this.#isDead) throw new Error("This node was killed");
    return this.#shared;
  }
}
