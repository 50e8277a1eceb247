// The broker to its clients: takes their control and dialer sockets and reads
// their messages. What becomes of a client is in lives.ts. Sees no visitor.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocketServer } from "ws";
import {
  asDuplexityError,
  type ClientDisconnectRequest,
  type ClosePipesRequest,
  type ControlMessage,
  type DiscoveryRequest,
  DuplexityError,
  GATES_FEATURE,
  MAX_MESSAGE_BYTES,
  MAX_PACKET_BYTES,
  RELAY_FEATURE,
  type Session,
  SUBPROTOCOL,
  TICKET_HEADER,
  type TokenRefresh,
} from "../../protocol/index.ts";
import type { Ban } from "../accounts/index.ts";
import type { Attempts } from "../attempts.ts";
import type { Registry, RegistryRecord } from "../backend/registry.ts";
import { refuseSocket } from "../http-answer.ts";
import type { Admission, Authenticator, Identity } from "../identity/index.ts";
import type { ServeLimits } from "../index.ts";
import type { Route, Routes } from "../routes.ts";
import type { ClientRecord } from "./client-record.ts";
import { type ClientRow, rowOf } from "./client-rows.ts";
import { ClientTable } from "./client-table.ts";
import { ControlSocket } from "./control-socket.ts";
import { DialerSocket } from "./dialer-socket.ts";
import { Doors } from "./doors.ts";
import { checkHandshake, highestCommon } from "./handshake.ts";
import { type Found, type Kick, type KickedClient, Kicks } from "./kicks.ts";
import { LeaseKeeper } from "./lease-keeper.ts";
import { Lives } from "./lives.ts";
import type { LobbyPlace } from "./lobby.ts";
import { NodeSessions } from "./node-sessions.ts";
import { OwnerStreams } from "./owner-streams.ts";
import type { PortOpener } from "./registrar.ts";
import { type ClusterOptions, Relays } from "./relays.ts";
import { RouteTable } from "./route-table.ts";
import { nodeOfTicket, type Ticket, TicketStore } from "./tickets.ts";

export interface HubOptions {
  readonly registry: Registry;
  readonly admission: Admission;
  readonly authenticator: Pick<Authenticator, "authenticateToken" | "current">;
  readonly attempts: Attempts;
  readonly nodeId: string;
  readonly domain: string;
  /** `duplexity/0.1.0 node/20.20.2` */
  readonly software: string;
  /** `ws(s)://…/dialer`, as a client reaches it that has reached control at `host`. */
  readonly dataPlaneUri: (host: string) => string;
  /** What a visitor opens. */
  readonly urlOf: (hostname: string, tcpPort: number | undefined) => string;
  readonly limits: Omit<ServeLimits, "maxUnauthenticated">;
  /** Null: no TCP pipes. */
  readonly ports: PortOpener | null;
  /** The other nodes. Null: there are none. @default null */
  readonly cluster?: ClusterOptions | null;
  /** Whether visitors can sign in with this server: else a pipe that asks for it is refused. @default false */
  readonly canSignIn?: boolean;
  /** A route came, changed or (null) went. */
  readonly onRouteChange?: (previous: Route | null, next: Route | null) => void;
  readonly log: (level: "debug" | "info" | "warn" | "error", message: string) => void;
  /** How often leases are renewed. @default 10_000 */
  readonly renewEveryMs?: number;
  /** How long a dial ticket is good for. @default 30_000 */
  readonly ticketTtlMs?: number;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

/** What is in the hub's tables at this moment. */
export interface HubStatistics {
  readonly clients: number;
  /** Clients with a link that carries packets. */
  readonly links: number;
  /** Streams that are open in all sessions. */
  readonly streams: number;
  readonly controls: number;
  readonly dialers: number;
  readonly tickets: number;
  readonly routes: number;
  readonly waiters: number;
  /** Sessions with clients whose link is at another hub. */
  readonly remoteSessions: number;
  /** Sockets to and from other nodes. */
  readonly peers: number;
  /** Other nodes' sessions that are passed on here. */
  readonly relays: number;
}

/** A request for one of the hub's sockets, whose sender is known. The place in the lobby is left with its first message. */
export interface HubUpgrade {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly identity: Identity;
  readonly place: LobbyPlace;
  /** Whom its attempts count for besides its owner; null for an address behind which are many. */
  readonly sender: string | null;
}

export class Hub {
  readonly #options: HubOptions;
  readonly #clients: ClientTable;
  readonly #controls = new Map<ControlSocket, LobbyPlace>();
  /** Dialers that are not a link yet. */
  readonly #dialers = new Set<DialerSocket>();
  readonly #tickets: TicketStore;
  readonly #routes: RouteTable;
  readonly #doors: Doors;
  /** Sessions over other hubs, and other nodes' sessions over this one. */
  readonly #relays: Relays | null;
  readonly #lives: Lives;
  readonly #kicks: Kicks;
  readonly #leases: LeaseKeeper;
  readonly #webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    skipUTF8Validation: true,
    allowSynchronousEvents: true,
    maxPayload: MAX_MESSAGE_BYTES,
    handleProtocols: () => SUBPROTOCOL,
  });
  #isDraining = false;

  constructor(options: HubOptions) {
    this.#options = options;
    // Emitted within `handleUpgrade`: left alone, ws would answer by itself, without a code.
    this.#webSockets.on("wsClientError", ({ message }) => {
      throw new DuplexityError("DPX_PROTOCOL", `Cannot upgrade to a WebSocket: ${message}`);
    });
    const { registry, limits, onRouteChange, log, now = Date.now, admission, authenticator, nodeId, domain } = options;
    const { maxClients, maxClientsPerOwner } = limits;
    const clients = new ClientTable({ maxClients, maxClientsPerOwner, now });
    this.#clients = clients;
    this.#doors = new Doors({ admission, authenticator, now });
    const isAlone = (options.cluster ?? null) === null;
    this.#tickets = new TicketStore(options.ticketTtlMs ?? 30_000, now, isAlone ? null : nodeId);
    const streams = new OwnerStreams({ clients, limits });
    this.#routes = new RouteTable({
      registry,
      asks: !isAlone,
      sessionOf: (record) => this.#sessionOf(record),
      onRecord: (record) => this.#relays?.onRecord(record),
      onClientGone: (clientId) => this.#relays?.onClientGone(clientId),
      openOn: (session, clientId, request, handler) => streams.open(session, clientId, request, handler),
      // HTTP and TCP hold so many each.
      maxWaiters: 2 * limits.maxHeld,
      ...(onRouteChange === undefined ? {} : { onChange: onRouteChange }),
    });
    const sessions = new NodeSessions(limits);
    const lives = new Lives({
      ...options,
      ...{ clients, sessions, doors: this.#doors },
      takeBack: (client) => this.#relays?.takeBack(client) ?? null,
      onLinked: (client) => this.#relays?.onLinked(client),
      onAway: (client) => this.#relays?.onAway(client),
      onLive: (client) => {
        for (const hostname of client.hostnames) this.#routes.wake(hostname);
      },
      onEnd: (client, error) => this.#refuseDialers(client, error),
    });
    this.#lives = lives;
    this.#kicks = new Kicks({ clients, lives, nodeId, domain, log });
    const { cluster = null } = options;
    const parts = { clients, sessions, lives, limits, nodeId, log, routes: this.#routes };
    this.#relays = cluster === null ? null : new Relays({ ...parts, ...cluster });
    this.#leases = new LeaseKeeper({
      registry,
      everyMs: options.renewEveryMs ?? 10_000,
      clients: () => clients.all(),
      judge: (client) => this.#judge(client),
      onGone: (client, hostname, current) => lives.lostName(client, hostname, current),
      log,
    });
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
      ...(this.#relays?.statistics ?? { remoteSessions: 0, peers: 0, relays: 0 }),
    };
  }

  /** Connected clients of `identity`, for an admin those of all. */
  list(identity: Identity): readonly ClientRow[] {
    const mayBeSeen = (client: ClientRecord): boolean =>
      client.held.length > 0 && (identity.isAdmin || client.identity.ownerId === identity.ownerId);
    return this.#clients.all().filter(mayBeSeen).map(rowOf);
  }

  /**
   * Upgrades a request for `/control`.
   *
   * @throws {DuplexityError} `DPX_PROTOCOL`, `DPX_PROTOCOL_VERSION` or `DPX_BANNED`: nothing was answered then.
   */
  acceptControl({ request, socket, head, identity, place }: HubUpgrade): void {
    checkHandshake(request);
    this.#doors.checkClient(identity);
    // The closures below live as long as the socket: they must not hold the request.
    const host = request.headers.host ?? "";
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const { heartbeatIdleMs: idleMs, heartbeatTimeoutMs: timeoutMs } = this.#options.limits;
      const control = new ControlSocket(webSocket, {
        identity,
        host,
        heartbeat: { idleMs, timeoutMs },
        onMessage: (from, message) => this.#onMessage(from, message),
        onClose: (from) => this.#controlClosed(from),
      });
      this.#controls.set(control, place);
      place.onExpire = (error) => control.refuse(error);
      place.restart();
    });
  }

  /** The internal address of the node that has the control socket of this dialer, if that is another one of the cluster. */
  dialerElsewhere(request: IncomingMessage): string | null {
    const header = request.headers[TICKET_HEADER];
    const nodeId = typeof header === "string" ? nodeOfTicket(header) : null;
    if (nodeId === null || nodeId === this.#options.nodeId) return null;
    return this.#options.cluster?.nodeUrl(nodeId) ?? null;
  }

  /**
   * Upgrades a request for `/dialer`, if it has a ticket.
   *
   * @throws {DuplexityError} `DPX_TICKET_INVALID`, `DPX_BANNED`, or what `acceptUpgrade` throws: nothing was answered then.
   */
  acceptDialer(upgrade: HubUpgrade): void {
    const { request, identity, sender } = upgrade;
    const header = request.headers[TICKET_HEADER];
    const ticket = this.#tickets.redeem(typeof header === "string" ? header : undefined, identity);
    const { clientId } = ticket;
    this.#doors.checkClient(identity, clientId);
    const dialer: DialerSocket = new DialerSocket({
      ...upgrade,
      clientId,
      attemptKeys: sender === null ? [identity.ownerId] : [sender, identity.ownerId],
      onDial: (_dialer, message) => {
        const client = this.#clientOf(ticket, message.clientId);
        this.#doors.checkClient(client.identity, client.clientId);
        void this.#lives
          .dial(dialer, client, message.pipes, message.wants)
          .catch((error: unknown) => {
            this.#options.log("error", `The dialer of ${client.clientId} failed: ${asDuplexityError(error).message}`);
            dialer.refuse(new DuplexityError("DPX_INTERNAL", "The server failed to take the dialer"));
          })
          .finally(() => this.#dialers.delete(dialer));
      },
      onClose: () => this.#dialers.delete(dialer),
    });
    this.#dialers.add(dialer);
  }

  /** Who is meant by `who`. @throws {DuplexityError} `DPX_USAGE` if a user and a pipe of another are called so. */
  find(who: string): Found {
    return this.#kicks.find(who);
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

  /** Ends at once whom a new ban is for; without this call it would be the next renewal. Resolves as `kick` does. */
  enforce(ban: Ban): Promise<readonly KickedClient[]> {
    return this.#kicks.enforce(ban);
  }

  /** Ends at once whoever may not stay: an account was removed, a token revoked. Else the next renewal would. */
  judgeAll(): void {
    for (const client of this.#clients.all()) this.#judge(client);
  }

  /** Takes an upgrade request for `PEER_PATH` over: another node's, on the internal listener. Answers it whatever it is. */
  acceptPeer(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#relays !== null) this.#relays.accept(request, socket, head);
    else refuseSocket(socket, new DuplexityError("DPX_FORBIDDEN", "This node is in no cluster"));
  }

  /** Tells all clients that this node ends, and takes no new ones. Those that are here may still resume. */
  drain(deadlineMs: number): void {
    this.#isDraining = true;
    const dataPlaneUris = this.#relays?.alternatives() ?? [];
    for (const control of this.#controls.keys()) control.send({ type: "drainRequest", deadlineMs, dataPlaneUris });
    for (const client of this.#clients.all()) client.link?.goAway(deadlineMs);
  }

  /** Ends all sessions and sockets now. Safe to call twice. */
  close(): void {
    this.#isDraining = true;
    this.#leases.close();
    this.#lives.close();
    this.#relays?.close();
    const error = new DuplexityError("DPX_DRAINING", "This node is shutting down");
    for (const control of [...this.#controls.keys()]) control.close(error.code, error.message);
    for (const dialer of [...this.#dialers]) dialer.refuse(error);
    this.#routes.close();
    this.#webSockets.close();
  }

  #sessionOf(record: RegistryRecord): Session | null {
    const client = this.#clients.get(record.clientId);
    // Another owner's client may have come here with the same id while this one's is at another hub, or away.
    const session = client?.identity.ownerId === record.ownerId ? client.session : null;
    return session ?? this.#relays?.sessionOf(record) ?? null;
  }

  #onMessage(control: ControlSocket, message: ControlMessage): void {
    switch (message.type) {
      case "discoveryRequest":
        this.#discover(control, message);
        return;
      case "closePipesRequest":
        this.#closePipes(control, message);
        return;
      case "clientDisconnectRequest":
        this.#goodbye(control, message);
        return;
      case "tokenRefresh":
        void this.#refresh(control, message);
        return;
      default:
        throw new DuplexityError("DPX_PROTOCOL", `A client does not send ${message.type} on control`);
    }
  }

  #discover(control: ControlSocket, message: DiscoveryRequest): void {
    const { clientId } = message;
    const protocolVersion = highestCommon(message.protocolVersions);
    if (control.clientId !== null && control.clientId !== clientId) {
      const why = `this socket is for "${control.clientId}"`;
      throw new DuplexityError("DPX_CLIENT_ID", `Cannot take the clientId "${clientId}": ${why}`);
    }
    const farewell = this.#clients.farewellFor(clientId);
    if (farewell !== null) {
      control.send(farewell);
      control.close(farewell.code, farewell.reason);
      return;
    }
    if (this.#isDraining && this.#clients.get(clientId) === null) {
      throw new DuplexityError("DPX_DRAINING", "This node is shutting down and takes no new clients");
    }
    this.#doors.checkClient(control.identity, clientId);
    const client = this.#clients.admit(clientId, control.identity);
    control.clientId = clientId;
    this.#controls.get(control)?.leave();
    const previous = client.control;
    if (previous !== control) {
      client.control = control;
      // The newest proof counts: it may end later.
      client.identity = control.identity;
      previous?.close("DPX_LINK_LOST", "A newer control socket took its place");
    }
    this.#answerDiscovery(control, clientId, protocolVersion);
  }

  #answerDiscovery(control: ControlSocket, clientId: string, protocolVersion: number): void {
    const { nodeId, software, domain, limits, dataPlaneUri } = this.#options;
    const { identity } = control;
    control.send({
      type: "discoveryResponse",
      dataPlaneUri: dataPlaneUri(control.host),
      alternatives: this.#relays?.alternatives() ?? [],
      protocolVersion,
      nodeId,
      software,
      domain,
      owner: identity.ownerName,
      ticket: this.#tickets.issue({ clientId, identity, control }),
      ticketTtlMs: this.#tickets.ttlMs,
      heartbeat: { idleMs: limits.heartbeatIdleMs, timeoutMs: limits.heartbeatTimeoutMs },
      resumeWindowMs: limits.resumeWindowMs,
      limits: { maxPipes: limits.maxPipes, maxStreams: limits.maxStreams, maxPacketBytes: MAX_PACKET_BYTES },
      features: this.#relays === null ? [GATES_FEATURE] : [GATES_FEATURE, RELAY_FEATURE],
    });
  }

  /** A fresh proof before the old one ends: links and sessions go on as they are. */
  async #refresh(control: ControlSocket, { token }: TokenRefresh): Promise<void> {
    const client = control.clientId === null ? null : this.#clients.get(control.clientId);
    try {
      if (client === null) throw new DuplexityError("DPX_PROTOCOL", "A tokenRefresh came before a discoveryRequest");
      client.refreshes += 1;
      const refresh = client.refreshes;
      const identity = await this.#doors.refresh(client, token);
      // Another one came meanwhile, or the socket it came on has lost its place.
      if (client.refreshes !== refresh || client.control !== control) return;
      control.identity = identity;
      client.identity = identity;
    } catch (error) {
      const refusal = asDuplexityError(error);
      if (client !== null && refusal.code === "DPX_BANNED") void this.#lives.end(client, refusal);
      control.refuse(refusal);
    }
  }

  #judge(client: ClientRecord): void {
    if (client.ended !== null) return;
    const error = this.#doors.judge(client);
    if (error === null) return;
    this.#options.log("info", `${client.clientId} of ${client.identity.ownerName} is ended: ${error.message}`);
    void this.#lives.end(client, error);
  }

  /** Dialers of a client that is no more: those that have said nothing yet, or wait for their turn. */
  #refuseDialers({ clientId }: ClientRecord, error: DuplexityError): void {
    for (const dialer of this.#dialers) if (dialer.clientId === clientId) dialer.refuse(error);
  }

  #closePipes(control: ControlSocket, message: ClosePipesRequest): void {
    const client = this.#clientBehind(control, message.clientId);
    const { clientId } = client;
    void this.#lives.closePipes(client, message.names).then((names) => {
      if (names.length > 0) {
        this.#options.log("info", `${clientId} of ${client.identity.ownerName} closes ${names.join(", ")}`);
      }
      // No more of them than its dialRequest held: it fits into a message.
      control.send({ type: "pipesAreClosedResponse", clientId, names });
    });
  }

  #goodbye(control: ControlSocket, message: ClientDisconnectRequest): void {
    const client = this.#clientBehind(control, message.clientId);
    this.#options.log("info", `${client.clientId} of ${client.identity.ownerName} leaves: ${message.reason}`);
    this.#lives.leave(client);
  }

  #controlClosed(control: ControlSocket): void {
    this.#controls.get(control)?.leave();
    this.#controls.delete(control);
    this.#tickets.drop(control);
    const client = control.clientId === null ? null : this.#clients.get(control.clientId);
    if (client?.control !== control) return;
    client.control = null;
    this.#lives.dropIfUnused(client);
  }

  #clientBehind(control: ControlSocket, clientId: string): ClientRecord {
    const client = control.clientId === null ? null : this.#clients.get(control.clientId);
    if (client?.clientId === clientId) return client;
    throw new DuplexityError("DPX_CLIENT_ID", `Cannot act for the client "${clientId}": this socket is not its own`);
  }

  #clientOf(ticket: Ticket, clientId: string): ClientRecord {
    const client = this.#clients.get(clientId);
    if (clientId === ticket.clientId && client !== null && client.control === ticket.control) return client;
    const why = clientId === ticket.clientId ? "its control socket is gone" : "its ticket is another client's";
    throw new DuplexityError("DPX_TICKET_INVALID", `Cannot take the dialer: ${why}`);
  }
}
