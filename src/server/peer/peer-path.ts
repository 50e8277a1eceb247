// The way of one session to its client over another node's hub. To the session
// it is what a link is. What the hub has no room for waits here, by reference:
// the session keeps those packets anyhow until they are acknowledged.

import {
  type Carried,
  type Carrier,
  type DuplexityError,
  LINK_LOW_WATER_BYTES,
  type OutgoingPacket,
  type PacketHeader,
  PacketKind,
  packetForAnotherLink,
  type Session,
} from "../../protocol/index.ts";
import { RELAY_WINDOW_BYTES } from "./limits.ts";

/** The socket to the hub, as a path needs it. */
export interface PathSocket extends Carrier {
  /** The session goes another way, or is over: the hub shall forget it. */
  leave(path: PeerPath): void;
}

export interface PeerPathOptions {
  /** What the hub knows the relay by. */
  readonly relay: number;
  readonly session: Session;
  readonly nodeId: string;
}

export class PeerPath implements Carrier, Carried {
  readonly id: number;
  readonly relay: number;
  readonly nodeId: string;
  isOpen = true;
  readonly #socket: PathSocket;
  readonly #session: Session;
  #hasCarried = false;
  /** Bytes that the hub has room for. Below 0 by less than one packet. */
  #creditBytes = RELAY_WINDOW_BYTES;
  #waiting: OutgoingPacket[] = [];
  #waitingBytes = 0;
  /** Round trip between the hub and the client, as the hub says. */
  #clientRttMs: number;

  constructor(socket: PathSocket, options: PeerPathOptions, clientRttMs: number) {
    this.#socket = socket;
    this.#session = options.session;
    this.#clientRttMs = clientRttMs;
    this.relay = options.relay;
    this.nodeId = options.nodeId;
    this.id = options.session.id;
    socket.add(this);
  }

  get isCongested(): boolean {
    return this.#waitingBytes > LINK_LOW_WATER_BYTES || this.#socket.isCongested;
  }

  get rttMs(): number | null {
    const { rttMs } = this.#socket;
    return rttMs === null ? null : rttMs + this.#clientRttMs;
  }

  // ── What the session calls ─────────────────────────────────────────────

  add(): void {
    this.#hasCarried = true;
  }

  /** It is made for one session, which comes once. */
  hasCarried(): boolean {
    return this.#hasCarried;
  }

  forget(): void {
    if (!this.isOpen) return;
    this.#close();
    this.#socket.leave(this);
  }

  send(packet: OutgoingPacket): void {
    if (!this.isOpen) return;
    if (this.#waiting.length === 0 && this.#creditBytes > 0) {
      this.#pass(packet);
      return;
    }
    this.#waiting.push(packet);
    this.#waitingBytes += packet.byteLength;
  }

  // ── What the socket to the hub calls ───────────────────────────────────

  /** The hub has passed so much on. */
  credit(bytes: number, clientRttMs: number): void {
    this.#clientRttMs = clientRttMs;
    this.#creditBytes += bytes;
    const wasCongested = this.isCongested;
    let sent = 0;
    while (this.#creditBytes > 0) {
      const packet = this.#waiting[sent];
      if (packet === undefined) break;
      sent += 1;
      this.#waitingBytes -= packet.byteLength;
      this.#pass(packet);
    }
    if (sent > 0) this.#waiting = this.#waiting.slice(sent);
    if (wasCongested && !this.isCongested) this.#session.linkDrained();
  }

  receive(_socket: Carrier, header: Readonly<PacketHeader>, packet: Buffer, rest: readonly Buffer[]): void {
    // The client wrote it for the way before this one: what counts follows its answer to RESUME.
    const isEarly = !this.#session.isLive && (header.kind === PacketKind.data || header.kind === PacketKind.ack);
    if (this.isOpen && !isEarly) this.#session.receive(this, header, packet, rest);
  }

  /** The socket is gone, or the hub has ended the relay. */
  linkLost(_socket: Carrier, error: DuplexityError): void {
    if (!this.isOpen) return;
    this.#close();
    this.#session.linkLost(this, error);
  }

  linkDrained(): void {
    if (this.isOpen && !this.isCongested) this.#session.linkDrained();
  }

  #pass(packet: OutgoingPacket): void {
    this.#creditBytes -= packet.byteLength;
    this.#socket.send(packetForAnotherLink(packet));
  }

  #close(): void {
    this.isOpen = false;
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#socket.forget(this);
  }
}
