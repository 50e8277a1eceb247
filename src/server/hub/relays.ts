// What a hub of a cluster does besides: sessions with clients at other hubs, and
// passing on what other nodes have to say to its own clients.

import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { DuplexityError, type Session, type SessionLink } from "../../protocol/index.ts";
import type { RegistryRecord } from "../backend/registry.ts";
import type { ServeLimits } from "../index.ts";
import type { NodeTls } from "../node-tls.ts";
import { Peers, type RelayRequest } from "../peer/index.ts";
import type { ClientRecord } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import type { Lives } from "./lives.ts";
import type { NodeSessions } from "./node-sessions.ts";
import { RemoteSessions } from "./remote-sessions.ts";
import type { RouteTable } from "./route-table.ts";

/** The other nodes, as a hub has to know them. */
export interface ClusterOptions {
  /** The cluster's secret, or two while it is changed: the first is shown, both are accepted. */
  readonly secrets: readonly string[];
  /** What it shows other nodes over https. @default nothing */
  readonly tls?: NodeTls | null;
  /** Internal address of another live node, `http(s)://host:port`; null if the cluster has no such node. No I/O. */
  readonly nodeUrl: (nodeId: string) => string | null;
  /** Other live nodes with a hub. No I/O. */
  readonly nodeIds: () => readonly string[];
  /** `ws(s)://…/dialer` of other hubs that take clients, at most 64. No I/O. */
  readonly alternatives: () => readonly string[];
  /** Those of them that have little to do. No I/O. */
  readonly lightHubs: () => readonly string[];
}

/** What a hub has to do with others at this moment. */
export interface RelayStatistics {
  /** Sessions with clients whose link is at another hub. */
  readonly remoteSessions: number;
  /** Sockets to and from other nodes. */
  readonly peers: number;
  /** Other nodes' sessions that are passed on here. */
  readonly relays: number;
  /** Bytes of those that wait for their nodes. */
  readonly relayQueuedBytes: number;
}

/** What it is in a hub that knows of no others. */
export const NO_RELAYS: RelayStatistics = { remoteSessions: 0, peers: 0, relays: 0, relayQueuedBytes: 0 };

export interface RelaysOptions extends ClusterOptions {
  readonly nodeId: string;
  readonly clients: ClientTable;
  readonly sessions: NodeSessions;
  readonly routes: RouteTable;
  readonly lives: Lives;
  readonly limits: Pick<ServeLimits, "resumeWindowMs" | "heartbeatIdleMs" | "heartbeatTimeoutMs">;
  readonly log: (level: "debug" | "info" | "warn", message: string) => void;
}

export class Relays {
  readonly #options: RelaysOptions;
  readonly #peers: Peers;
  readonly #remotes: RemoteSessions;

  constructor(options: RelaysOptions) {
    this.#options = options;
    const { nodeId, secrets, tls = null, nodeUrl, limits, sessions, log, routes } = options;
    const { resumeWindowMs, heartbeatIdleMs: idleMs, heartbeatTimeoutMs: timeoutMs } = limits;
    this.#peers = new Peers({
      ...{ nodeId, secrets, tls, nodeUrl, resumeWindowMs, log },
      heartbeat: { idleMs, timeoutMs },
      linkOf: (request) => this.#linkOf(request),
    });
    this.#remotes = new RemoteSessions({
      ...{ nodeId, nodeIds: options.nodeIds, sessions, log, peers: this.#peers },
      onLive: (clientId) => {
        for (const hostname of routes.hostnamesOf(clientId)) routes.wake(hostname);
      },
    });
  }

  get statistics(): RelayStatistics {
    const { incoming, outgoing, relays, queuedBytes } = this.#peers.statistics;
    return { remoteSessions: this.#remotes.size, peers: incoming + outgoing, relays, relayQueuedBytes: queuedBytes };
  }

  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.#peers.accept(request, socket, head);
  }

  /** This node's session with a client that has none here. */
  sessionOf(record: RegistryRecord): Session | null {
    return this.#remotes.sessionOf(record);
  }

  takeBack({ clientId, identity }: ClientRecord): Session | null {
    return this.#remotes.take(clientId, identity.ownerId);
  }

  onLinked({ clientId }: ClientRecord): void {
    this.#peers.clientLinked(clientId);
  }

  /** Its link is gone: another hub may have a second one, or will soon have the next. */
  onAway(client: ClientRecord): void {
    for (const hostname of client.hostnames) {
      const record = this.#options.routes.recordOf(hostname);
      if (record !== null && this.#passOn(client, record)) return;
    }
  }

  onRecord(record: RegistryRecord): void {
    const client = this.#options.clients.get(record.clientId);
    const isHere = record.nodeId === this.#options.nodeId;
    if (isHere) this.#options.lives.ledHere(record);
    else if (client !== null) {
      client.heard(record.hostname, record);
      this.#passOn(client, record);
      const isNewer = client.held.some(({ hostname, epoch }) => hostname === record.hostname && epoch < record.epoch);
      if (isNewer) this.#options.lives.lostName(client, record.hostname, record);
    }
    this.#remotes.moved(record);
  }

  onClientGone(clientId: string): void {
    this.#remotes.gone(clientId);
  }

  close(): void {
    this.#remotes.close();
    this.#peers.close();
  }

  /** The session of a client without a link here goes on over another hub. */
  #passOn(client: ClientRecord, record: RegistryRecord): boolean {
    if (record.ownerId !== client.identity.ownerId || record.clientId !== client.clientId) return false;
    const session = this.#options.lives.giveAway(client);
    if (session === null) return false;
    this.#remotes.adopt(session, record);
    return true;
  }

  #linkOf({ clientId, ownerId, hostname, epoch }: RelayRequest): SessionLink | null {
    const client = this.#options.clients.get(clientId);
    if (client === null || client.identity.ownerId !== ownerId || client.ended !== null) {
      throw new DuplexityError("DPX_CLIENT_AWAY", `The client ${clientId} is not at this hub`);
    }
    const pipe = client.held.find((held) => held.hostname === hostname);
    // Where it is registered, or is about to be, it will have a link, or say elsewhere; a second link that is gone is nobody's
    // to wait for.
    if (client.link === null && (pipe !== undefined || client.isRegistering)) return null;
    if (client.link === null) throw new DuplexityError("DPX_CLIENT_AWAY", `The client ${clientId} has no link here`);
    if (pipe === undefined || pipe.epoch >= epoch) return client.link;
    const message = `Cannot relay "${hostname}" at epoch ${epoch}: the client holds it here at ${pipe.epoch}`;
    throw new DuplexityError("DPX_EPOCH_STALE", message);
  }
}
