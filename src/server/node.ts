// One node: puts hub, proxy, sign-in and listeners together over what it shares with others, and takes them apart again.
// Every node has the same parts; its roles say which of them have doors. Forwards nothing itself.

import { setTimeout as delay } from "node:timers/promises";
import { createAddressOf } from "./address-of.ts";
import { createApi } from "./api/index.ts";
import { createAttempts } from "./attempts.ts";
import {
  createBackendApi,
  createNodeCalls,
  createNodeEvents,
  type NodeRecord,
  type NodeRole,
} from "./backend/index.ts";
import { Broker } from "./broker.ts";
import { CallServer } from "./calls/index.ts";
import { type ClusterOptions, Hub } from "./hub/index.ts";
import { dialersOf } from "./hub-addresses.ts";
import { isLoopbackHost } from "./identity/index.ts";
import type { Server } from "./index.ts";
import { closeListener, openListener } from "./listen.ts";
import { LoadWatch } from "./load-watch.ts";
import { NO_VISITORS } from "./no-visitors.ts";
import { checkLoopback, loopbackOf, NodeAddress } from "./node-address.ts";
import {
  createInternalListener,
  createPublicListener,
  type InternalListener,
  type PublicListener,
} from "./node-listeners.ts";
import type { NodeParts } from "./node-parts.ts";
import { checkInternal, warnOf } from "./node-warnings.ts";
import { oneAtATime } from "./one-at-a-time.ts";
import { countFailures, createMetrics, FailureCount, type Metrics, Readiness } from "./operate/index.ts";
import { OwnEndpoints } from "./own-endpoints.ts";
import { OwnPlaces } from "./own-places.ts";
import { OwnUrl } from "./own-url.ts";
import { createProxy, createTcpPorts, type TcpPorts, type VisitorProxy } from "./proxy/index.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";
import { SignIn } from "./sign-in.ts";
import { SOFTWARE } from "./software.ts";
import { createStoreCall } from "./store/index.ts";

/**
 * How long a node of a cluster that is not ready any more still takes what comes: until its balancer has noticed, which
 * would otherwise send requests on connections that are being closed.
 */
const LAME_DUCK_MS = 500;

export class Node implements Server {
  readonly nodeId: string;
  readonly domain: string;
  readonly #options: ResolvedServeOptions;
  readonly #parts: NodeParts;
  readonly #address: NodeAddress;
  readonly #ownUrl: OwnUrl;
  readonly #signIn: SignIn;
  readonly #hub: Hub;
  readonly #broker: Broker;
  readonly #proxy: VisitorProxy;
  readonly #tcpPorts: TcpPorts | null;
  readonly #own: OwnEndpoints;
  readonly #metrics: Metrics;
  readonly #readiness: Readiness;
  readonly #load: LoadWatch;
  /** What nodes without the role backend ask of this one. */
  readonly #calls: CallServer | null;
  readonly #public: PublicListener;
  readonly #internal: InternalListener;
  #claim: Server["claim"] = null;
  #isDraining = false;
  #closing: Promise<void> | null = null;

  constructor(options: ResolvedServeOptions, parts: NodeParts) {
    const { nodeId, people, shared, storeFailures } = parts;
    const { domain, identity, limits, tcpPorts, listen, log, trustProxy, cluster } = options;
    const { topics, presence } = shared;
    const { now } = parts.time;
    this.nodeId = nodeId;
    this.domain = domain;
    this.#options = options;
    this.#parts = parts;
    this.#address = new NodeAddress(options);
    this.#ownUrl = new OwnUrl(options, { nodeId, address: this.#address });
    const registryFailures = new FailureCount();
    const registry = countFailures(shared.registry, registryFailures);
    const places = this.#createPlaces();
    const attempts = createAttempts();
    const addressOf = createAddressOf(trustProxy, (socket) => places?.fromOf(socket)?.address ?? null);
    this.#signIn = new SignIn({ identity, people, attempts, addressOf, domain, log, now });
    const { authenticator, visitors } = this.#signIn;
    const { accounts, tokens, bans, audit, visitorSecret } = people;
    const urlOf = (hostname: string, tcpPort: number | undefined) => this.#address.pipeUrl(hostname, tcpPort);
    this.#hub = new Hub({
      ...{ authenticator, attempts, admission: bans },
      ...{ registry, nodeId, domain, limits, log, urlOf, now, software: SOFTWARE },
      cluster: cluster === null ? null : { secrets: cluster.secrets, tls: options.internalTls, ...this.#others() },
      load: () => this.#load.load,
      canSignIn: visitors !== null,
      registryAnsweredAt: () => shared.answeredAt(),
      dataPlaneUri: (host) => this.#address.dataPlaneUri(host),
      ports: tcpPorts === null ? null : { open: (route) => this.#openPort(route) },
      onReplaced: (clientIds) => this.#broker.tellReplaced(clientIds),
      onRouteChange: (previous, next) => {
        if (previous !== null) this.#proxy.routeChanged(previous, next);
        const port = previous?.tcpPort;
        if (port !== undefined && port !== next?.tcpPort) void this.#tcpPorts?.close(port);
      },
    });
    const lookAtBans = (): Promise<void> => bans.look();
    this.#broker = new Broker({ hub: this.#hub, registry, topics, presence, nodeId, urlOf, lookAtBans });
    // Also one that another node adds: its own would do without.
    bans.onAdded((ban) => void this.#hub.enforce(ban));
    // Word of it may come to this node's clients before this node knows.
    const judge = oneAtATime(async () => this.#hub.judgeAll());
    accounts.onChanged(judge);
    tokens.onGone(judge);
    const routes = this.#has("proxy") ? this.#hub.routes : NO_VISITORS;
    this.#tcpPorts = tcpPorts === null ? null : createTcpPorts({ ...tcpPorts, host: listen.host, routes, limits, log });
    const { maxUnauthenticated, maxHeadBytes } = limits;
    this.#own = new OwnEndpoints({
      ...{ attempts, auth: this.#signIn.pages, places, addressOf },
      api: createApi({
        ...{ hub: this.#broker, authenticator, accounts, tokens, bans, audit, domain, attempts, addressOf, log, now },
        inviteUrl: (code) => this.#signIn.inviteUrl(code),
      }),
      ...{ hub: this.#hub, authenticator, domain, maxUnauthenticated, maxHeadBytes, trustProxy },
    });
    this.#proxy = createProxy({
      ...{ routes, domain, nodeId, limits, trustProxy, log },
      gates: { signIn: visitors, secret: visitorSecret, attempts, now },
      serveOwn: (socket, head) => this.#own.take(socket, head),
      isDraining: () => this.#isDraining,
      ...this.#address.forwarding(),
    });
    this.#load = new LoadWatch({
      clients: () => this.#hub.clientCount / limits.maxClients,
      unauthenticated: () => this.#own.unauthenticated / maxUnauthenticated,
      onChange: (load) => {
        log("info", `This node is ${load === "normal" ? "not busy any more" : load}`);
        void presence.tell(this.#record());
      },
    });
    this.#metrics = createMetrics({
      load: () => this.#load,
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
      isRegistryReachable: () => shared.isReachable(),
      checkOwnUrl: () => this.#ownUrl.check(),
      publicAddress: () => loopbackOf(this.#public.server.address()),
      isTls: options.tls !== null,
      domain,
    });
    this.#public = createPublicListener(options, (socket) => {
      this.#hub.turns.arrived();
      this.#proxy.handleConnection(socket);
    });
    this.#calls = this.#createCalls();
    this.#internal = createInternalListener(options, {
      nodeId,
      ...{ own: this.#own, places, calls: this.#calls },
      acceptPeer: (request, socket, head) => this.#hub.acceptPeer(request, socket, head),
      api: createBackendApi({
        ...{ registry: shared.registry, domain, hostnames: [options.internalListen.host.toLowerCase()] },
        // Without accounts a client owns names by its own key: no proof of it says who may speak for the whole registry.
        authenticator: identity.kind === "no-auth" ? null : authenticator,
        checkReady: (what) => this.#readiness.check(what),
        scrape: () => this.#metrics.scrape(),
      }),
    });
  }

  get publicUrl(): string {
    return this.#address.publicUrl;
  }

  get internalUrl(): string {
    return this.#address.internalUrl;
  }

  get claim(): Server["claim"] {
    return this.#claim;
  }

  async open(): Promise<void> {
    const { listen, internalListen, identity, log } = this.#options;
    const internal = await openListener(this.#internal, internalListen, "--internal-listen");
    const open = await openListener(this.#public.server, listen, "--listen");
    if (identity.kind === "no-auth") for (const address of [open, internal]) checkLoopback(address);
    checkInternal(internal, this.#options);
    this.#address.opened({ open: open.port, internal: internal.port });
    const origin = this.#address.originAt(open.port);
    await this.#signIn.open(origin.origin);
    await this.#ownUrl.check();
    await this.#join();
    if (this.#has("auth")) this.#claim = await this.#signIn.newClaim();
    const isLocal = { open: isLoopbackHost(open.address), internal: isLoopbackHost(internal.address) };
    for (const warning of warnOf(this.#options, { origin, internal, isLocal })) log("warn", warning);
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
    this.#public.server.close();
    await Promise.all([this.#proxy.drain(deadlineMs), this.#tcpPorts?.drain(deadlineMs), handedOver]);
    await this.#calls?.drain();
    await this.close();
  }

  close(): Promise<void> {
    this.#isDraining = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = Promise.all([closeListener(this.#public.server), closeListener(this.#internal)]);
    this.#calls?.close();
    this.#internal.closeAllConnections();
    this.#proxy.close();
    await this.#tcpPorts?.closeAll();
    this.#hub.close();
    this.#own.close();
    this.#public.cut();
    this.#broker.close();
    this.#load.close();
    await this.#parts.shared.presence.leave();
    await this.#signIn.close();
    await this.#parts.close();
    await closed;
  }

  #has(role: NodeRole): boolean {
    return this.#options.roles.includes(role);
  }

  async #join(): Promise<void> {
    await this.#parts.shared.presence.join(this.#record());
    await this.#broker.announce();
  }

  /** What other nodes are told of this one. */
  #record(): NodeRecord {
    const isDraining = this.#isDraining;
    return {
      ...{ nodeId: this.nodeId, internalUrl: this.#address.nodeUrl, roles: this.#options.roles, isDraining },
      identity: this.#options.identity.kind,
      load: this.#load.load,
      // While it drains no client is to come.
      dialerUri: isDraining || !this.#has("hub") ? null : this.#address.ownDialerUri,
    };
  }

  /** The other nodes, as the hub has to know them. */
  #others(): Omit<ClusterOptions, "secrets" | "tls"> {
    const { presence } = this.#parts.shared;
    const others = () => presence.nodes().filter(({ nodeId }) => nodeId !== this.nodeId);
    return {
      nodeUrl: (nodeId) => (nodeId === this.nodeId ? null : presence.urlOf(nodeId)),
      nodeIds: () => others().flatMap(({ nodeId, roles }) => (roles.includes("hub") ? [nodeId] : [])),
      alternatives: () => dialersOf(others(), ["normal", "busy"]),
      lightHubs: () => dialersOf(others(), ["normal"]),
    };
  }

  #createPlaces(): OwnPlaces | null {
    const { cluster, roles, internalTls: tls } = this.#options;
    if (cluster === null) return null;
    const { presence } = this.#parts.shared;
    const nodes = () => presence.nodes();
    return new OwnPlaces({ nodeId: this.nodeId, roles, secrets: cluster.secrets, nodes, tls });
  }

  #createCalls(): CallServer | null {
    const { shared, people } = this.#parts;
    const { cluster } = this.#options;
    if (cluster === null || shared.shares === null) return null;
    const { registry, shares } = { ...shared, shares: shared.shares };
    return new CallServer({
      ...{ nodeId: this.nodeId, secrets: cluster.secrets },
      handlers: new Map([...createNodeCalls({ registry, ...shares }), ["store", createStoreCall(people.store)]]),
      events: createNodeEvents({
        ...{ registry, topics: shares.topics },
        watchStore: (listener) => people.store.watch("", listener),
      }),
    });
  }

  async #openPort(route: Parameters<TcpPorts["open"]>[0]): Promise<void> {
    await this.#tcpPorts?.open(route);
  }
}
