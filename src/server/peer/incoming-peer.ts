// The socket from another node, from the side of the hub that has the clients'
// links: grants relays, and ends them when the client's link goes.

import {
  asDuplexityError,
  createPacketLink,
  DuplexityError,
  type Heartbeat,
  SessionLink,
} from "../../protocol/index.ts";
import type { LeftSessions } from "./left-sessions.ts";
import { MAX_RELAYS_PER_PEER, RELAY_WAIT_MS, RTT_UPDATE_MS } from "./limits.ts";
import type { ProvenPeer } from "./peer-handshake.ts";
import { decodePeerMessage, encodePeerMessage, type PeerMessage, type RelayRequest } from "./peer-messages.ts";
import { Relay } from "./relay.ts";

export interface IncomingPeerOptions {
  readonly heartbeat: Heartbeat;
  readonly left: LeftSessions;
  /**
   * The link of the client that is asked for; null while it is between two links.
   *
   * @throws {DuplexityError} `DPX_CLIENT_AWAY` if it is not at this hub, `DPX_EPOCH_STALE` if the name is not its own at
   * that epoch.
   */
  linkOf(request: RelayRequest): SessionLink | null;
  onClose(peer: IncomingPeer, error: DuplexityError): void;
}

interface Granted {
  readonly request: RelayRequest;
  readonly relay: Relay;
  /** While it waits for its client. */
  timer: NodeJS.Timeout | undefined;
}

export class IncomingPeer {
  readonly nodeId: string;
  readonly #options: IncomingPeerOptions;
  readonly #peer: ProvenPeer;
  readonly #link: SessionLink;
  readonly #relays = new Map<number, Granted>();
  /** The relay of each session. */
  readonly #ofSession = new Map<number, number>();
  /** Relays that wait for each client. */
  readonly #waiting = new Map<string, Set<number>>();
  readonly #rttTimer: NodeJS.Timeout;

  constructor(peer: ProvenPeer, options: IncomingPeerOptions) {
    this.#peer = peer;
    this.nodeId = peer.peerId;
    this.#options = options;
    const link = createPacketLink(peer.connection, (text) => this.#receive(text));
    this.#link = new SessionLink(link, {
      heartbeat: options.heartbeat,
      onClose: (error) => this.#closed(error),
    });
    this.#rttTimer = setInterval(() => {
      // It can wait until what waits is through.
      if (this.#link.isCongested) return;
      for (const { relay } of this.#relays.values()) relay.updateRtt();
    }, RTT_UPDATE_MS);
    this.#rttTimer.unref();
    for (const packet of peer.early) this.#link.onPacket(packet);
  }

  /** Bytes that wait to be sent to the node. */
  get queuedBytes(): number {
    return this.#link.bufferedBytes;
  }

  /** Sessions that are passed on or wait to be. */
  get relayCount(): number {
    return this.#relays.size;
  }

  /** A client has a link: relays that waited for it begin. */
  clientLinked(clientId: string): void {
    for (const number of [...(this.#waiting.get(clientId) ?? [])]) {
      const granted = this.#relays.get(number);
      if (granted !== undefined) this.#start(number, granted);
    }
  }

  close(code: "DPX_DRAINING" | "DPX_LINK_LOST", reason: string): void {
    this.#link.close(code, reason);
  }

  #receive(text: string): void {
    try {
      this.#handle(decodePeerMessage(text));
    } catch (error) {
      const { code, message } = asDuplexityError(error);
      this.#link.close(code, message);
    }
  }

  #handle(message: PeerMessage): void {
    switch (message.type) {
      case "relayRequest":
        this.#grant(message);
        return;
      case "relayEnd":
        this.#forget(message.relay);
        return;
      default:
        throw new DuplexityError("DPX_PROTOCOL", `A node does not send ${message.type} to a hub`);
    }
  }

  #grant(request: RelayRequest): void {
    const { relay: number, session } = request;
    if (this.#relays.has(number)) throw new DuplexityError("DPX_PROTOCOL", `Relay ${number} was asked for twice`);
    if (request.hops > 1) {
      this.#refuse(number, new DuplexityError("DPX_LOOP", "The session was passed on by another node already"));
      return;
    }
    const before = this.#ofSession.get(session);
    // The node may have taken it in the meantime, and want nothing of this one any more.
    if (before !== undefined) this.#ended(before, new DuplexityError("DPX_LINK_LOST", "A newer relay took its place"));
    if (this.#relays.size >= MAX_RELAYS_PER_PEER) {
      const message = `Cannot pass another session on: ${this.#relays.size} of that node are`;
      this.#refuse(number, new DuplexityError("DPX_CLIENTS_LIMIT", message));
      return;
    }
    const relay = new Relay({
      id: session,
      peer: this.#link,
      left: this.#options.left,
      onCredit: (bytes, rttMs) => this.#say({ type: "relayCredit", relay: number, bytes, rttMs }),
      onEnded: (error) => this.#ended(number, error),
    });
    const granted: Granted = { request, relay, timer: undefined };
    this.#relays.set(number, granted);
    this.#ofSession.set(session, number);
    this.#start(number, granted);
  }

  #start(number: number, granted: Granted): void {
    const { request, relay } = granted;
    try {
      const client = this.#options.linkOf(request);
      if (client === null) {
        this.#wait(number, granted);
        return;
      }
      this.#stopWaiting(number, granted);
      if (client.isFull) throw new DuplexityError("DPX_STREAMS_LIMIT", "The client's link carries too many sessions");
      // Said first: behind it come the client's packets.
      this.#say({ type: "relayResponse", relay: number, rttMs: relay.start(client) });
    } catch (error) {
      this.#ended(number, asDuplexityError(error));
    }
  }

  #wait(number: number, granted: Granted): void {
    if (granted.timer !== undefined) return;
    const { request } = granted;
    granted.timer = setTimeout(() => this.#ended(number, away(request)), RELAY_WAIT_MS);
    const waiting = this.#waiting.get(request.clientId) ?? new Set();
    this.#waiting.set(request.clientId, waiting.add(number));
  }

  #stopWaiting(number: number, granted: Granted): void {
    const { clientId } = granted.request;
    clearTimeout(granted.timer);
    granted.timer = undefined;
    const waiting = this.#waiting.get(clientId);
    waiting?.delete(number);
    if (waiting?.size === 0) this.#waiting.delete(clientId);
  }

  #ended(number: number, error: DuplexityError): void {
    this.#forget(number);
    this.#refuse(number, error);
  }

  #refuse(relay: number, { code, message }: DuplexityError): void {
    this.#say({ type: "relayEnded", relay, code, message });
  }

  #forget(number: number): void {
    const granted = this.#relays.get(number);
    if (granted === undefined) return;
    this.#relays.delete(number);
    const { session } = granted.request;
    if (this.#ofSession.get(session) === number) this.#ofSession.delete(session);
    this.#stopWaiting(number, granted);
    granted.relay.end();
  }

  #closed(error: DuplexityError): void {
    clearInterval(this.#rttTimer);
    for (const number of [...this.#relays.keys()]) this.#forget(number);
    this.#options.onClose(this, error);
  }

  #say(message: PeerMessage): void {
    if (this.#link.isOpen) this.#peer.connection.sendText(encodePeerMessage(message));
  }
}

function away({ clientId }: RelayRequest): DuplexityError {
  return new DuplexityError("DPX_CLIENT_AWAY", `The client ${clientId} did not come back to this hub`);
}
