// The broker to its clients: puts its parts together and is what the server sees of them. Sees no visitor.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { DuplexityError, type Session } from "../../protocol/index.ts";
import type { Ban } from "../accounts/index.ts";
import type { RegistryRecord } from "../backend/registry.ts";
import { refuseSocket } from "../http-answer.ts";
import type { Identity } from "../identity/index.ts";
import type { Routes } from "../routes.ts";
import { TurnQueue } from "../turn-queue.ts";
import { ClientLinks } from "./client-links.ts";
import type { ClientRecord } from "./client-record.ts";
import { type ClientRow, rowOf } from "./client-rows.ts";
import { ClientTable } from "./client-table.ts";
import { ControlMessages } from "./control-messages.ts";
import { ControlSockets } from "./control-sockets.ts";
import { DialerSockets } from "./dialer-sockets.ts";
import { Dials } from "./dials.ts";
import { Doors } from "./doors.ts";
import { handOver } from "./hand-over.ts";
import { checkHandshake } from "./handshake.ts";
import type { HubOptions, HubStatistics, HubUpgrade } from "./hub-options.ts";
import { type Banishment, type Found, type Kick, type KickedClient, Kicks, type NameHolder } from "./kicks.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { Lives } from "./lives.ts";
import { NodeSessions } from "./node-sessions.ts";
import { OwnerStreams } from "./owner-streams.ts";
import { Registrar } from "./registrar.ts";
import { NO_RELAYS, Relays } from "./relays.ts";
import { RouteTable } from "./route-table.ts";
import { TicketStore } from "./tickets.ts";

export class Hub {
  readonly #options: HubOptions;
  /** Of sockets in the lobby, which give their turn up when they leave it, and of clients' dials, one of each at a time. */
  readonly turns = new TurnQueue();
  readonly #clients: ClientTable;
  readonly #controls: ControlSockets;
  readonly #dialers: DialerSockets;
  readonly #tickets: TicketStore;
  readonly #routes: RouteTable;
  readonly #doors: Doors;
  /** Sessions over other hubs, and other nodes' sessions over this one. */
  readonly #relays: Relays | null;
  readonly #lives: Lives;
  readonly #kicks: Kicks;
  readonly #leases: LeaseKeeper;
  #isDraining = false;

  constructor(options: HubOptions) {
    this.#options = options;
    const { registry, limits, onRouteChange, log, now = Date.now, nodeId, domain, cluster = null } = options;
    const { maxClients, maxClientsPerOwner, heartbeatIdleMs, heartbeatTimeoutMs } = limits;
    const isAlone = cluster === null;
    const clients = new ClientTable({ maxClients, maxClientsPerOwner, now });
    const doors = new Doors({ ...options, now });
    const tickets = new TicketStore(options.ticketTtlMs ?? 30_000, isAlone ? null : nodeId);
    const sessions = new NodeSessions(limits);
    const streams = new OwnerStreams({ clients, limits });
    const routes = new RouteTable({
      registry,
      asks: !isAlone,
      graceMs: limits.graceMs,
      ...(options.registryAnsweredAt === undefined ? {} : { answeredAt: options.registryAnsweredAt }),
      sessionOf: (record) => this.#sessionOf(record),
      onRecord: (record) => this.#relays?.onRecord(record),
      onClientGone: (clientId) => this.#relays?.onClientGone(clientId),
      openOn: (session, clientId, request, handler) => streams.open(session, clientId, request, handler),
      // HTTP and TCP hold so many each.
      maxWaiters: 2 * limits.maxHeld,
      ...(onRouteChange === undefined ? {} : { onChange: onRouteChange }),
    });
    const registrar = new Registrar({
      ...options,
      maxPipes: limits.maxPipes,
      check: (client, hostname) => doors.checkPipe(client, hostname),
      isGone: async (ownerId) => (await options.authenticator.isGone?.(ownerId)) ?? false,
      onGivenBack: (record) => lives.givenBack(record),
    });
    const goneNodes = (): ((node: string) => boolean) => {
      const present = new Set([nodeId, ...(cluster?.nodeIds() ?? [])]);
      return (node) => !present.has(node);
    };
    const lives = new Lives({
      ...{ nodeId, registry, registrar, clients, limits, goneNodes, log },
      onReplaced: (clientIds) => options.onReplaced?.(clientIds),
      onAway: (client) => this.#relays?.onAway(client),
      onEnd: (client, error) => this.#dialers.refuseOf(client, error),
    });
    const links = new ClientLinks({
      ...{ sessions, lives, limits },
      takeBack: (client) => this.#relays?.takeBack(client) ?? null,
      onLinked: (client) => this.#relays?.onLinked(client),
      onLive: (client) => {
        for (const hostname of client.hostnames) routes.wake(hostname);
      },
    });
    const dials = new Dials({
      ...{ ...options, isAlone, clients, doors, registrar, lives, links, turns: this.turns },
      judge: (client) => this.#judge(client),
    });
    this.#dialers = new DialerSockets({
      ...{ clients, tickets, doors, log },
      dial: (dialer, client, message) => dials.dial(dialer, client, message),
    });
    const messages = new ControlMessages({
      ...options,
      ...{ clients, tickets, doors, lives },
      isDraining: () => this.#isDraining,
    });
    this.#controls = new ControlSockets({
      heartbeat: { idleMs: heartbeatIdleMs, timeoutMs: heartbeatTimeoutMs },
      onMessage: (control, message) => messages.receive(control, message),
      onClose: (control) => messages.closed(control),
    });
    this.#relays = isAlone ? null : new Relays({ clients, sessions, lives, limits, nodeId, log, routes, ...cluster });
    this.#kicks = new Kicks({ clients, lives, nodeId, domain, log });
    this.#leases = new LeaseKeeper({
      registry,
      everyMs: options.renewEveryMs ?? 10_000,
      clients: () => clients.all(),
      judge: (client) => this.#judge(client),
      goneNodes,
      onGone: (client, hostname, current) => lives.lostName(client, hostname, current),
      log,
    });
    this.#clients = clients;
    this.#doors = doors;
    this.#tickets = tickets;
    this.#routes = routes;
    this.#lives = lives;
  }

  get routes(): Routes {
    return this.#routes;
  }

  get statistics(): HubStatistics {
    let links = 0;
    let streams = 0;
    for (const { isLive, session } of this.#clients.all()) {
      if (isLive) links += 1;
      streams += session?.openStreams ?? 0;
    }
    return {
      ...{ links, streams },
      clients: this.#clients.size,
      controls: this.#controls.size,
      dialers: this.#dialers.size,
      tickets: this.#tickets.size,
      routes: this.#routes.size,
      waiters: this.#routes.waiterCount,
      ...(this.#relays?.statistics ?? NO_RELAYS),
    };
  }

  /** Clients, those between two links included. */
  get clientCount(): number {
    return this.#clients.size;
  }

  /** Connected clients of `identity`, for an admin those of all. */
  list(identity: Identity): readonly ClientRow[] {
    const mayBeSeen = (client: ClientRecord): boolean =>
      client.held.length > 0 && (identity.isAdmin || client.identity.ownerId === identity.ownerId);
    return this.#clients.all().filter(mayBeSeen).map(rowOf);
  }

  /** How long the round trip over the client's link here is, in ms; null where it has none, or none was measured yet. */
  rttOf(clientId: string): number | null {
    return this.#clients.get(clientId)?.link?.rttMs ?? null;
  }

  /**
   * Upgrades a request for `/control`.
   *
   * @throws {DuplexityError} `DPX_PROTOCOL`, `DPX_PROTOCOL_VERSION` or `DPX_BANNED`: nothing was answered then.
   */
  acceptControl(upgrade: HubUpgrade): void {
    checkHandshake(upgrade.request);
    this.#doors.checkClient(upgrade.identity);
    this.#controls.accept(upgrade);
  }

  /**
   * Upgrades a request for `/dialer`, if it has a ticket.
   *
   * @throws {DuplexityError} `DPX_TICKET_INVALID`, `DPX_BANNED`, or what `acceptUpgrade` throws: nothing was answered then.
   */
  acceptDialer(upgrade: HubUpgrade): void {
    this.#dialers.accept(upgrade);
  }

  /** Who is meant by `who`. @throws {DuplexityError} `DPX_USAGE` if a user and a pipe of another are called so. */
  find(who: string): Found {
    return this.#kicks.find(who);
  }

  /** Whether `who` means the client that has registered a name, at whichever hub. */
  means(who: string, holder: NameHolder): boolean {
    return this.#kicks.means(who, holder);
  }

  /** What `find` throws, for whoever asks several hubs. */
  ambiguous(who: string): DuplexityError {
    return this.#kicks.ambiguous(who);
  }

  /** All clients that `find` could find. */
  everybody(): readonly KickedClient[] {
    return this.#kicks.all();
  }

  /**
   * Ends who is meant by `kick.who`, for good. Resolves when they have no session and no name any more.
   *
   * @throws {DuplexityError} `DPX_USAGE` as `find` does.
   */
  kick(kick: Kick): Promise<readonly KickedClient[]> {
    return this.#kicks.kick(kick);
  }

  /** Ends those of `clients` that are here and keeps all of them out: they were ended at other hubs. Resolves as `kick` does. */
  banish(banishment: Banishment): Promise<void> {
    return this.#kicks.banish(banishment);
  }

  /** Ends at once whom a new ban is for; without this call it would be the next renewal. Resolves as `kick` does. */
  enforce(ban: Ban): Promise<readonly KickedClient[]> {
    return this.#kicks.enforce(ban);
  }

  /** Ends at once whoever may not stay: an account was removed, a token revoked. Else the next renewal would. */
  judgeAll(): void {
    for (const client of this.#clients.all()) this.#judge(client);
  }

  /** Looks now which names these clients still hold, and ends those that have lost one. Never rejects. */
  look(clientIds: readonly string[]): Promise<void> {
    return this.#leases.look(clientIds.flatMap((clientId) => this.#clients.get(clientId) ?? []));
  }

  /** Takes an upgrade request for `PEER_PATH` over: another node's, on the internal listener. Answers it whatever it is. */
  acceptPeer(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#relays !== null) this.#relays.accept(request, socket, head);
    else refuseSocket(socket, new DuplexityError("DPX_FORBIDDEN", "This node is in no cluster"));
  }

  /**
   * Tells all clients that this node ends, and takes no new ones. Those that are here may still resume. Resolves when
   * other hubs have registered them, or after a few seconds.
   */
  drain(deadlineMs: number): Promise<void> {
    this.#isDraining = true;
    const { cluster } = this.#options;
    const dataPlaneUris = cluster?.alternatives() ?? [];
    const hasOthers = cluster !== null && cluster !== undefined && cluster.nodeIds().length > 0;
    return handOver({ clients: () => this.#clients.all(), deadlineMs, dataPlaneUris, hasOthers });
  }

  /** Ends all sessions and sockets now. Safe to call twice. */
  close(): void {
    this.#isDraining = true;
    this.#leases.close();
    this.#lives.close();
    this.#relays?.close();
    const error = new DuplexityError("DPX_DRAINING", "This node is shutting down");
    this.#controls.close(error);
    this.#dialers.close(error);
    this.#routes.close();
  }

  #sessionOf(record: RegistryRecord): Session | null {
    const client = this.#clients.get(record.clientId);
    // Another owner's client may have come here with the same id while this one's is at another hub, or away.
    const session = client?.identity.ownerId === record.ownerId ? client.session : null;
    return session ?? this.#relays?.sessionOf(record) ?? null;
  }

  #judge(client: ClientRecord): void {
    if (client.ended !== null) return;
    const error = this.#doors.judge(client);
    if (error === null) return;
    this.#options.log("info", `${client.clientId} of ${client.identity.ownerName} is ended: ${error.message}`);
    void this.#lives.end(client, error);
  }
}
