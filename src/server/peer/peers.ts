// This node's sockets to and from the others of its cluster: one for each node
// that it has something to ask, opened when it first does, and kept.

import type { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  acceptUpgrade,
  asDuplexityError,
  DuplexityError,
  type ErrorCode,
  type Heartbeat,
  type SessionLink,
} from "../../protocol/index.ts";
import type { Clock } from "../clock.ts";
import { refuseSocket } from "../http-answer.ts";
import { agentOf, type NodeTls } from "../node-tls.ts";
import { SparseWarnings } from "../sparse-warnings.ts";
import { IncomingPeer } from "./incoming-peer.ts";
import { LeftSessions } from "./left-sessions.ts";
import { OutgoingPeer } from "./outgoing-peer.ts";
import { dialPeer, welcomePeer } from "./peer-handshake.ts";
import type { RelayRequest } from "./peer-messages.ts";
import { type ClusterSecrets, checkSecrets } from "./peer-proof.ts";

export interface PeersOptions {
  readonly nodeId: string;
  /** One, or two while they are changed; the first is shown, both are accepted. */
  readonly secrets: ClusterSecrets;
  /** What it shows other nodes over https. @default nothing */
  readonly tls?: NodeTls | null;
  /** Internal address of another live node, `http(s)://host:port`; null if the cluster has no such node. */
  readonly nodeUrl: (nodeId: string) => string | null;
  readonly heartbeat: Heartbeat;
  /** How long a client keeps a session whose node is gone. */
  readonly resumeWindowMs: number;
  /** The link of a client of this node, as IncomingPeerOptions has it. */
  readonly linkOf: (request: RelayRequest) => SessionLink | null;
  readonly log: (level: "debug" | "info" | "warn", message: string) => void;
  /** By which warnings of refusals are spread. @default the machine's */
  readonly clock?: Clock;
}

export interface PeerStatistics {
  readonly incoming: number;
  readonly outgoing: number;
  /** Sessions of other nodes that this one passes on. */
  readonly relays: number;
  /** Bytes of those that wait for their nodes. */
  readonly queuedBytes: number;
}

export const PEER_PATH = "/peer";

/**
 * More than the nodes of any cluster that come back at once after a restart. The one that has been silent for longest makes
 * room for the next: whoever opens sockets and says nothing keeps no node out that proves itself within a round trip.
 */
const MAX_UNPROVEN_PEERS = 256;

export class Peers {
  readonly #options: PeersOptions;
  readonly #incoming = new Map<string, IncomingPeer>();
  readonly #outgoing = new Map<string, Promise<OutgoingPeer>>();
  readonly #left: LeftSessions;
  readonly #agent: ReturnType<typeof agentOf>;
  /** Sockets whose other end has not proven yet that it is a node, oldest first. */
  readonly #unproven = new Set<Socket>();
  /** Whoever reaches the listener can cause as many as they like. */
  readonly #refusals: SparseWarnings;
  /** Ends dials that are under way. */
  readonly #life = new AbortController();

  /** @throws {DuplexityError} `DPX_USAGE` if the secrets are none. */
  constructor(options: PeersOptions) {
    checkSecrets(options.secrets);
    this.#options = options;
    this.#agent = agentOf(options.tls ?? null);
    this.#left = new LeftSessions(options.resumeWindowMs);
    this.#refusals = new SparseWarnings({
      ...{ many: "refusals of peers", warn: (message) => options.log("warn", message) },
      ...(options.clock === undefined ? {} : { clock: options.clock }),
    });
  }

  get statistics(): PeerStatistics {
    let relays = 0;
    let queuedBytes = 0;
    for (const peer of this.#incoming.values()) {
      relays += peer.relayCount;
      queuedBytes += peer.queuedBytes;
    }
    return { incoming: this.#incoming.size, outgoing: this.#outgoing.size, relays, queuedBytes };
  }

  /** Takes an upgrade request for `/peer` over. Answers it whatever it is. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (!(socket instanceof Socket) || this.#life.signal.aborted) {
      socket.destroy();
      return;
    }
    try {
      acceptUpgrade(request, socket);
    } catch (error) {
      refuseSocket(socket, asDuplexityError(error));
      return;
    }
    for (const oldest of this.#unproven) {
      if (this.#unproven.size < MAX_UNPROVEN_PEERS) break;
      this.#unproven.delete(oldest);
      oldest.destroy();
    }
    void this.#welcome(socket, head);
  }

  /**
   * The socket to another node, opened if there is none.
   *
   * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE` if there is no such node or it does not answer, or what `dialPeer` throws.
   */
  connect(nodeId: string): Promise<OutgoingPeer> {
    const known = this.#outgoing.get(nodeId);
    if (known !== undefined) return known;
    const dialled = this.#dial(nodeId);
    this.#outgoing.set(nodeId, dialled);
    // The next one who asks tries anew.
    dialled.catch(() => this.#outgoing.delete(nodeId));
    return dialled;
  }

  /** A client of this node has a link. */
  clientLinked(clientId: string): void {
    for (const peer of this.#incoming.values()) peer.clientLinked(clientId);
  }

  /** Closes all of them; the other nodes look for other ways. */
  close(): void {
    const error = new DuplexityError("DPX_DRAINING", "This node is shutting down");
    this.#life.abort(error);
    this.#refusals.close();
    for (const peer of [...this.#incoming.values()]) peer.close("DPX_DRAINING", error.message);
    for (const dialled of [...this.#outgoing.values()]) {
      dialled.then((peer) => peer.close("DPX_DRAINING", error.message)).catch(() => {});
    }
  }

  async #welcome(socket: Socket, head: Buffer): Promise<void> {
    const { heartbeat, linkOf, log } = this.#options;
    this.#unproven.add(socket);
    try {
      const proven = await welcomePeer(socket, head, this.#options);
      const peer = new IncomingPeer(proven, {
        ...{ heartbeat, linkOf, left: this.#left },
        onClose: (closed, error) => {
          if (this.#incoming.get(closed.nodeId) === closed) this.#incoming.delete(closed.nodeId);
          log("debug", `The socket from node ${closed.nodeId} is gone: ${error.message}`);
        },
      });
      const previous = this.#incoming.get(peer.nodeId);
      this.#incoming.set(peer.nodeId, peer);
      previous?.close("DPX_LINK_LOST", "A newer socket took its place");
      if (this.#life.signal.aborted) peer.close("DPX_DRAINING", "This node is shutting down");
    } catch (error) {
      this.#refusals.warn(`A peer was refused: ${asDuplexityError(error).message}`);
    } finally {
      this.#unproven.delete(socket);
    }
  }

  async #dial(nodeId: string): Promise<OutgoingPeer> {
    const { nodeId: ownId, nodeUrl, heartbeat, log } = this.#options;
    const { signal } = this.#life;
    if (nodeId === ownId) throw new DuplexityError("DPX_LOOP", "Cannot be a peer of this node: it is itself");
    // Never an address from a record: whoever could write one there could send this node anywhere.
    const url = nodeUrl(nodeId);
    if (url === null) throw unreachable(nodeId, "it is no node of this cluster");
    if (signal.aborted) throw asDuplexityError(signal.reason);
    const proven = await dialPeer(url, nodeId, { ...this.#options, agent: this.#agent }, signal);
    return new OutgoingPeer(proven, heartbeat, (_peer, error) => {
      this.#outgoing.delete(nodeId);
      log("debug", `The socket to node ${nodeId} is gone: ${error.message}`);
    });
  }
}

function unreachable(nodeId: string, why: string, code: ErrorCode = "DPX_SERVER_UNREACHABLE"): DuplexityError {
  return new DuplexityError(code, `Cannot reach node ${nodeId}: ${why}`);
}
