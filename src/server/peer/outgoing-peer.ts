// The socket to another node's hub, from the side of the node whose visitors
// want something: asks for relays and keeps the paths that were granted.

import {
  asDuplexityError,
  type Carried,
  createPacketLink,
  DuplexityError,
  type Heartbeat,
  type OutgoingPacket,
  type Session,
  SessionLink,
} from "../../protocol/index.ts";
import type { ProvenPeer } from "./peer-handshake.ts";
import { decodePeerMessage, encodePeerMessage, type PeerMessage, type RelayRequest } from "./peer-messages.ts";
import { type PathSocket, PeerPath } from "./peer-path.ts";

/** Which client a session is with. */
export type RelayTarget = Pick<RelayRequest, "clientId" | "ownerId" | "hostname" | "epoch">;

interface Pending {
  readonly session: Session;
  resolve(path: PeerPath): void;
  reject(error: DuplexityError): void;
}

export class OutgoingPeer implements PathSocket {
  readonly nodeId: string;
  readonly #peer: ProvenPeer;
  readonly #link: SessionLink;
  readonly #pending = new Map<number, Pending>();
  readonly #paths = new Map<number, PeerPath>();
  #relays = 0;

  constructor(peer: ProvenPeer, heartbeat: Heartbeat, onClose: (peer: OutgoingPeer, error: DuplexityError) => void) {
    this.#peer = peer;
    this.nodeId = peer.peerId;
    const link = createPacketLink(peer.connection, (text) => this.#receive(text));
    this.#link = new SessionLink(link, {
      heartbeat,
      onClose: (error) => {
        this.#paths.clear();
        for (const pending of this.#pending.values()) pending.reject(error);
        this.#pending.clear();
        onClose(this, error);
      },
    });
    for (const packet of peer.early) this.#link.onPacket(packet);
  }

  get isOpen(): boolean {
    return this.#link.isOpen;
  }

  get isCongested(): boolean {
    return this.#link.isCongested;
  }

  get rttMs(): number | null {
    return this.#link.rttMs;
  }

  /**
   * Asks the hub to pass the session's packets on. Waits while the client is between two links.
   *
   * @throws {DuplexityError} what the hub refuses it with: `DPX_CLIENT_AWAY`, `DPX_EPOCH_STALE`, …; `DPX_LINK_LOST`; or the
   * signal's reason.
   */
  openPath(session: Session, target: RelayTarget, signal: AbortSignal): Promise<PeerPath> {
    if (!this.isOpen) return Promise.reject(new DuplexityError("DPX_LINK_LOST", `Node ${this.nodeId} is gone`));
    // Nothing is said then: at the hub it would end the session's relay that is there.
    if (signal.aborted) return Promise.reject(asDuplexityError(signal.reason));
    this.#relays += 1;
    const relay = this.#relays;
    return new Promise((resolve, reject) => {
      const abort = (): void => {
        if (!this.#pending.delete(relay)) return;
        this.#say({ type: "relayEnd", relay });
        reject(asDuplexityError(signal.reason));
      };
      const settled = (): void => signal.removeEventListener("abort", abort);
      this.#pending.set(relay, {
        session,
        resolve: (path) => {
          settled();
          resolve(path);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      this.#say({ type: "relayRequest", relay, session: session.id, hops: 1, ...target });
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  close(code: "DPX_DRAINING" | "DPX_LINK_LOST", reason: string): void {
    this.#link.close(code, reason);
  }

  // ── What its paths call ────────────────────────────────────────────────

  add(path: Carried): void {
    this.#link.add(path);
  }

  hasCarried(path: Carried): boolean {
    return this.#link.hasCarried(path);
  }

  forget(path: Carried): void {
    this.#link.forget(path);
  }

  send(packet: OutgoingPacket): void {
    this.#link.send(packet);
  }

  leave({ relay }: PeerPath): void {
    this.#paths.delete(relay);
    this.#say({ type: "relayEnd", relay });
  }

  // ── What the hub says ──────────────────────────────────────────────────

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
      case "relayResponse":
        this.#granted(message.relay, message.rttMs);
        return;
      case "relayCredit":
        this.#paths.get(message.relay)?.credit(message.bytes, message.rttMs);
        return;
      case "relayEnded":
        this.#ended(message.relay, new DuplexityError(message.code, message.message));
        return;
      default:
        throw new DuplexityError("DPX_PROTOCOL", `A hub does not send ${message.type} to a node`);
    }
  }

  #granted(relay: number, rttMs: number): void {
    const pending = this.#pending.get(relay);
    // Nobody waits for it any more: the hub has been told.
    if (pending === undefined) return;
    this.#pending.delete(relay);
    const { session } = pending;
    const path = new PeerPath(this, { relay, session, nodeId: this.nodeId }, rttMs);
    this.#paths.set(relay, path);
    pending.resolve(path);
  }

  #ended(relay: number, error: DuplexityError): void {
    this.#pending.get(relay)?.reject(error);
    this.#pending.delete(relay);
    const path = this.#paths.get(relay);
    this.#paths.delete(relay);
    path?.linkLost(this, error);
  }

  #say(message: PeerMessage): void {
    if (this.isOpen) this.#peer.connection.sendText(encodePeerMessage(message));
  }
}
