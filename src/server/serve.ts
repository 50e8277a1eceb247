// Puts a node together: people, registry, hub, proxy and listeners in one
// process, and takes it apart again. Forwards nothing itself.

import { randomBytes } from "node:crypto";
import { createServer as createHttpServer, type Server as HttpServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { createServer as createTlsServer } from "node:tls";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import { createAddressOf } from "./address-of.ts";
import { createApi } from "./api/index.ts";
import { createAttempts } from "./attempts.ts";
import { createBackendApi, NODE_ROLES, type NodeRecord, type OpenedRegistry, openRegistry } from "./backend/index.ts";
import { Broker } from "./broker.ts";
import { refuseSocket } from "./http-answer.ts";
import { type ClusterOptions, Hub, PEER_PATH } from "./hub/index.ts";
import { type Authenticator, isLoopbackHost } from "./identity/index.ts";
import type { ServeOptions, Server } from "./index.ts";
import { closeListener, hostInUrl, openListener } from "./listen.ts";
import { countFailures, createMetrics, FailureCount, type Metrics, Readiness } from "./operate/index.ts";
import { OwnEndpoints } from "./own-endpoints.ts";
import { openPeople, type People } from "./people.ts";
import { createProxy, createTcpPorts, type TcpPorts, type VisitorProxy } from "./proxy/index.ts";
import { type ResolvedServeOptions, resolveServeOptions } from "./serve-options.ts";
import { SignIn } from "./sign-in.ts";
import { SOFTWARE } from "./software.ts";

/** Connections of the internal listener: other nodes, a scraper, a probe. */
const MAX_INTERNAL_CONNECTIONS = 256;
/** How long a request on the internal listener may take to arrive. */
const INTERNAL_REQUEST_MS = 10_000;
/** A TLS handshake that takes longer is cut. */
const TLS_HANDSHAKE_MS = 10_000;
/**
 * How long a node of a cluster that is not ready any more still takes what comes: until its balancer has noticed, which
 * would otherwise send requests on connections that are being closed.
 */
const LAME_DUCK_MS = 500;
const TRUST_HINT =
  "everybody seems to come from this machine, and shares its limits: name what ends TLS in front, --trust-proxy 127.0.0.1";
const TLS_HINT = "use --tls-cert and --tls-key, or put TLS in front and name it: --public-url https://…";

/**
 * Starts a server; resolves when it listens.
 *
 * @throws {DuplexityError} `DPX_USAGE` if an option is wrong, `DPX_LISTEN` if an address cannot be taken. Nothing is
 * left open then.
 */
export async function serve(options: ServeOptions): Promise<Server> {
  const resolved = resolveServeOptions(options);
  const warn = (message: string): void => resolved.log("warn", message);
  const nodeId = `n${randomBytes(5).toString("hex")}`;
  // Only what the store itself cannot do: what a change of an entry refuses is no failure of the store.
  const storeFailures = new FailureCount((error) => asDuplexityError(error).code === "DPX_STORE");
  const people = await openPeople(resolved.identity, warn, storeFailures);
  const shared = await openShared(resolved, nodeId, warn).catch(async (error: unknown) => {
    await people.close();
    throw error;
  });
  const node = new Node(resolved, { nodeId, people, shared, storeFailures });
  try {
    await node.open();
  } catch (error) {
    await node.close();
    throw error;
  }
  return node;
}

/** What nodes share: in Redis for a cluster, else in this process. */
function openShared(
  { cluster, limits, tcpPorts }: ResolvedServeOptions,
  nodeId: string,
  warn: (message: string) => void,
): Promise<OpenedRegistry> {
  const common = { nodeId, tcpPorts, graceMs: limits.graceMs };
  if (cluster === null) return openRegistry({ kind: "memory", ...common });
  return openRegistry({ kind: "redis", ...common, url: cluster.redisUrl, secrets: cluster.secrets, warn });
}

interface NodeParts {
  readonly nodeId: string;
  readonly people: People;
  readonly shared: OpenedRegistry;
  readonly storeFailures: FailureCount;
}

class Node implements Server {
  readonly nodeId: string;
  readonly domain: string;
  readonly #options: ResolvedServeOptions;
  readonly #people: People;
  readonly #signIn: SignIn;
  readonly #shared: OpenedRegistry;
  readonly #hub: Hub;
  readonly #broker: Broker;
  readonly #proxy: VisitorProxy;
  readonly #tcpPorts: TcpPorts | null;
  readonly #own: OwnEndpoints;
  readonly #metrics: Metrics;
  readonly #readiness: Readiness;
  readonly #public: TcpServer;
  readonly #internal: HttpServer;
  /** What TLS connections run over: while one shakes hands, nobody else knows it. */
  readonly #rawSockets = new Set<Socket>();
  #publicUrl: URL;
  #internalUrl = "";
  #claim: Server["claim"] = null;
  #isDraining = false;
  #closing: Promise<void> | null = null;

  constructor(options: ResolvedServeOptions, { nodeId, people, shared, storeFailures }: NodeParts) {
    this.nodeId = nodeId;
    this.#options = options;
    this.#people = people;
    this.#shared = shared;
    const { domain, limits, tcpPorts, listen, log, trustProxy, cluster } = options;
    const { topics, presence } = shared;
    const registryFailures = new FailureCount();
    const registry = countFailures(shared.registry, registryFailures);
    this.domain = domain;
    // Before the listener is open nobody asks for it.
    this.#publicUrl = options.publicUrl ?? urlOf(options.tls !== null, listen.host, listen.port);
    const attempts = createAttempts();
    const addressOf = createAddressOf(trustProxy);
    this.#signIn = new SignIn({ identity: options.identity, people, attempts, addressOf, domain, log });
    const { authenticator } = this.#signIn;
    const { accounts, tokens, bans, audit, visitorSecret } = people;
    this.#hub = new Hub({
      ...{ authenticator, attempts, admission: bans },
      ...{ registry, nodeId, domain, limits, log, software: SOFTWARE },
      cluster: cluster === null ? null : { secrets: cluster.secrets, ...this.#others() },
      canSignIn: this.#signIn.visitors !== null,
      dataPlaneUri: (host) => this.#dataPlaneUri(host),
      urlOf: (hostname, tcpPort) => this.#pipeUrl(hostname, tcpPort),
      ports: tcpPorts === null ? null : { open: (route) => this.#openPort(route) },
      onRouteChange: (previous, next) => {
        if (previous !== null) this.#proxy.routeChanged(previous, next);
        const port = previous?.tcpPort;
        if (port !== undefined && port !== next?.tcpPort) void this.#tcpPorts?.close(port);
      },
    });
    this.#broker = new Broker({
      ...{ hub: this.#hub, registry, topics, presence, nodeId },
      urlOf: (hostname, tcpPort) => this.#pipeUrl(hostname, tcpPort),
    });
    // Also one that another node adds: its own would do without.
    bans.onAdded((ban) => void this.#hub.enforce(ban));
    const { routes } = this.#hub;
    this.#tcpPorts = tcpPorts === null ? null : createTcpPorts({ ...tcpPorts, host: listen.host, routes, limits, log });
    const { maxUnauthenticated, maxHeadBytes } = limits;
    this.#own = new OwnEndpoints({
      ...{ attempts, auth: this.#signIn.pages },
      api: createApi({
        ...{ hub: this.#broker, authenticator, accounts, tokens, bans, audit, domain, addressOf, log },
        inviteUrl: (code) => this.#signIn.inviteUrl(code),
      }),
      ...{ hub: this.#hub, authenticator, domain, maxUnauthenticated, maxHeadBytes, trustProxy },
    });
    this.#proxy = createProxy({
      ...{ routes, domain, nodeId, limits, trustProxy, log },
      gates: { signIn: this.#signIn.visitors, secret: visitorSecret, attempts },
      serveOwn: (socket, head) => this.#own.take(socket, head),
      isDraining: () => this.#isDraining,
      ...forwardingOf(options.publicUrl),
    });
    this.#metrics = createMetrics({
      ...{ hub: () => this.#hub.statistics, proxy: () => this.#proxy.statistics },
      tcp: () => this.#tcpPorts?.statistics ?? null,
      unauthenticated: () => this.#own.unauthenticated,
      registryFailures: () => registryFailures.total,
      storeFailures: () => storeFailures.total,
      isDraining: () => this.#isDraining,
      software: SOFTWARE,
    });
    this.#readiness = new Readiness({
      isDraining: () => this.#isDraining,
      store: people.store,
      publicAddress: () => loopbackOf(this.#public.address()),
      isTls: options.tls !== null,
      domain,
    });
    this.#public = this.#createPublic();
    // Without accounts a client owns names by its own key: no proof of it says who may speak for the whole registry.
    this.#internal = this.#createInternal(options.identity.kind === "no-auth" ? null : authenticator);
  }

  get publicUrl(): string {
    return this.#publicUrl.origin;
  }

  get internalUrl(): string {
    return this.#internalUrl;
  }

  get claim(): Server["claim"] {
    return this.#claim;
  }

  async open(): Promise<void> {
    const { listen, internalListen, publicUrl, tls, identity } = this.#options;
    const internal = await openListener(this.#internal, internalListen, "--internal-listen");
    const open = await openListener(this.#public, listen, "--listen");
    if (identity.kind === "no-auth") for (const address of [open, internal]) checkLoopback(address);
    if (!isLoopbackHost(internal.address)) {
      this.#options.log(
        "warn",
        `--internal-listen ${internal.address} can be reached from other machines: they can ask for its health, a proxy in front of it for more`,
      );
    }
    this.#internalUrl = urlOf(false, internalListen.host, internal.port).origin;
    if (publicUrl === null) this.#publicUrl = urlOf(tls !== null, listen.host, open.port);
    const origin = publicUrl ?? urlOf(tls !== null, this.domain, open.port);
    await this.#signIn.open(origin.origin);
    await this.#join();
    this.#claim = await this.#signIn.newClaim();
    // A terminator on this machine, and nobody said so.
    const isBehindTls = publicUrl?.protocol === "https:" && tls === null && isLoopbackHost(open.address);
    if (isBehindTls && this.#options.trustProxy.rules.length === 0) this.#options.log("warn", TRUST_HINT);
    if (identity.kind === "accounts" && origin.protocol === "http:" && !isLoopbackHost(open.address)) {
      this.#options.log("warn", `${origin.origin} takes passwords and tokens unencrypted: ${TLS_HINT}`);
    }
  }

  async drain(deadlineMs: number): Promise<void> {
    if (this.#isDraining) return this.close();
    // Not ready from now on, and each visitor's connection ends with its next answer.
    this.#isDraining = true;
    // No client is sent here any more.
    await this.#join().catch(() => {});
    const handedOver = this.#hub.drain(deadlineMs);
    if (this.#options.cluster !== null) await delay(Math.min(LAME_DUCK_MS, deadlineMs), undefined, { ref: false });
    // From now on another process may take the address.
    this.#public.close();
    await Promise.all([this.#proxy.drain(deadlineMs), this.#tcpPorts?.drain(deadlineMs), handedOver]);
    await this.close();
  }

  close(): Promise<void> {
    this.#isDraining = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = Promise.all([closeListener(this.#public), closeListener(this.#internal)]);
    this.#internal.closeAllConnections();
    this.#proxy.close();
    await this.#tcpPorts?.closeAll();
    this.#hub.close();
    this.#own.close();
    for (const socket of this.#rawSockets) socket.destroy();
    this.#broker.close();
    await this.#shared.presence.leave();
    await this.#shared.close();
    await this.#signIn.close();
    await this.#people.close();
    await closed;
  }

  async #join(): Promise<void> {
    await this.#shared.presence.join(this.#record());
    await this.#broker.announce();
  }

  /** What other nodes are told of this one. */
  #record(): NodeRecord {
    const { cluster } = this.#options;
    return {
      nodeId: this.nodeId,
      internalUrl: cluster?.nodeUrl ?? this.#internalUrl,
      // While it drains no client is to come.
      dialerUri: this.#isDraining || cluster?.nodePublicUrl === undefined ? null : dialerAt(cluster.nodePublicUrl),
      roles: NODE_ROLES,
    };
  }

  /** The other nodes, as the hub has to know them. */
  #others(): Omit<ClusterOptions, "secrets"> {
    const { presence } = this.#shared;
    const others = () => presence.nodes().filter(({ nodeId }) => nodeId !== this.nodeId);
    return {
      nodeUrl: (nodeId) => (nodeId === this.nodeId ? null : presence.urlOf(nodeId)),
      nodeIds: () => others().flatMap(({ nodeId, roles }) => (roles.includes("hub") ? [nodeId] : [])),
      alternatives: () => others().flatMap(({ dialerUri }) => dialerUri ?? []),
    };
  }

  async #openPort(route: Parameters<TcpPorts["open"]>[0]): Promise<void> {
    await this.#tcpPorts?.open(route);
  }

  #createPublic(): TcpServer {
    const { tls, limits } = this.#options;
    const handle = (socket: Socket): void => this.#proxy.handleConnection(socket);
    let server: TcpServer;
    if (tls === null) {
      server = createTcpServer({ noDelay: true, allowHalfOpen: true }, handle);
    } else {
      const secure = createTlsServer({
        ...{ cert: tls.cert, key: tls.key, noDelay: true, allowHalfOpen: true },
        ...{ minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"], handshakeTimeout: TLS_HANDSHAKE_MS },
      });
      secure.on("secureConnection", handle);
      secure.on("tlsClientError", (_error, socket) => socket.destroy());
      secure.on("connection", (socket: Socket) => this.#remember(socket));
      server = secure;
    }
    // Above what visitors and clients may have, so that their own limits answer first.
    server.maxConnections = limits.maxVisitors + 2 * limits.maxClients + limits.maxUnauthenticated;
    return server;
  }

  #remember(socket: Socket): void {
    this.#rawSockets.add(socket);
    socket.once("close", () => this.#rawSockets.delete(socket));
  }

  #createInternal(authenticator: Authenticator | null): HttpServer {
    const { internalListen, domain, cluster } = this.#options;
    const hostnames = [internalListen.host.toLowerCase()];
    const api = createBackendApi({
      ...{ registry: this.#shared.registry, domain, authenticator, hostnames },
      checkReady: (what) => this.#readiness.check(what),
      scrape: () => this.#metrics.scrape(),
    });
    const server = createHttpServer({ requestTimeout: INTERNAL_REQUEST_MS, headersTimeout: INTERNAL_REQUEST_MS }, api);
    server.maxConnections = MAX_INTERNAL_CONNECTIONS;
    server.on("upgrade", (request, socket, head) => {
      if ((request.url ?? "").split("?", 1)[0] === PEER_PATH) this.#hub.acceptPeer(request, socket, head);
      else if (cluster !== null) this.#own.takeForwarded(request, socket, head);
      else refuseSocket(socket, new DuplexityError("DPX_REQUEST_INVALID", "Cannot upgrade: it is not a WebSocket"));
    });
    return server;
  }

  /** Without a public URL: the very address at which the client has reached this server. */
  #dataPlaneUri(host: string): string {
    const { publicUrl, tls, cluster } = this.#options;
    if (cluster?.nodePublicUrl !== undefined) return dialerAt(cluster.nodePublicUrl);
    if (publicUrl !== null) return `${publicUrl.protocol === "https:" ? "wss" : "ws"}://${publicUrl.host}/dialer`;
    const uri = `${tls === null ? "ws" : "wss"}://${host}/dialer`;
    return URL.canParse(uri) ? uri : `${this.#publicUrl.origin.replace(/^http/, "ws")}/dialer`;
  }

  #pipeUrl(hostname: string, tcpPort: number | undefined): string {
    if (tcpPort !== undefined) return `tcp://${this.domain}:${tcpPort}`;
    const { protocol, port } = this.#publicUrl;
    return `${protocol}//${hostname}${port === "" ? "" : `:${port}`}`;
  }
}

/** `https://node1.example.com` -> `wss://node1.example.com/dialer` */
function dialerAt(url: string): string {
  return new URL("/dialer", url).href.replace(/^http/, "ws");
}

/** What visitors see, when that is not the socket's own. */
function forwardingOf(publicUrl: URL | null): { publicScheme?: "http" | "https"; publicPort?: number } {
  if (publicUrl === null) return {};
  const publicScheme = publicUrl.protocol === "https:" ? "https" : "http";
  const publicPort = publicUrl.port === "" ? (publicScheme === "https" ? 443 : 80) : Number(publicUrl.port);
  return { publicScheme, publicPort };
}

function urlOf(isTls: boolean, host: string, port: number): URL {
  return new URL(`${isTls ? "https" : "http"}://${hostInUrl(host)}:${port}`);
}

/** How this machine itself reaches a listener; null while it is not open. */
function loopbackOf(address: ReturnType<TcpServer["address"]>): { host: string; port: number } | null {
  if (address === null || typeof address === "string") return null;
  const { address: host, port } = address;
  // All addresses: among them the loopback one.
  if (host === "0.0.0.0") return { host: "127.0.0.1", port };
  return { host: host === "::" ? "::1" : host, port };
}

/** A name such as localhost leads where /etc/hosts says. */
function checkLoopback({ address }: AddressInfo): void {
  if (isLoopbackHost(address)) return;
  throw new DuplexityError("DPX_USAGE", `Cannot start with --no-auth: ${address} can be reached from other machines`, {
    hint: "Listen on 127.0.0.1.",
  });
}
