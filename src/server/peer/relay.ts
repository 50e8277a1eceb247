// One session that another node has with a client of this hub: its packets are
// passed on as they are, both ways. Looks into none and knows of no stream.

import {
  type Carried,
  type Carrier,
  DuplexityError,
  LINK_LOW_WATER_BYTES,
  MAX_PACKET_BYTES,
  type PacketHeader,
  packetToPassOn,
  type SessionLink,
} from "../../protocol/index.ts";
import type { LeftSessions } from "./left-sessions.ts";
import { PEER_PAUSE_BYTES, PEER_QUEUE_BYTES, RELAY_CREDIT_BYTES, RELAY_WINDOW_BYTES } from "./limits.ts";

export interface RelayOptions {
  readonly id: number;
  /** The link to the node that asked. */
  readonly peer: SessionLink;
  /** What becomes of the session at the client when the relay is over. */
  readonly left: LeftSessions;
  /** So many bytes have gone on to the client. */
  onCredit(bytes: number, rttMs: number): void;
  /** It is over, not by the peer. */
  onEnded(error: DuplexityError): void;
}

export class Relay {
  readonly #options: RelayOptions;
  readonly #fromPeer: Carried;
  readonly #fromClient: Carried;
  #client: SessionLink | null = null;
  #isEnded = false;
  /** Came from the peer, and the peer has not been given credit for it. */
  #owedBytes = 0;
  #toldRttMs = 0;
  /** Whether the client was asked to send no DATA of this session. */
  #isPaused = false;

  constructor(options: RelayOptions) {
    this.#options = options;
    const { id } = options;
    this.#fromPeer = {
      id,
      receive: (_peer, _header, packet, rest) => this.#toClient(packet, rest),
      linkLost: () => this.end(),
      linkDrained: () => this.#setPaused(false),
    };
    this.#fromClient = {
      id,
      receive: (_client: Carrier, _header: Readonly<PacketHeader>, packet: Buffer, rest: readonly Buffer[]) =>
        this.#toPeer(packet, rest),
      linkLost: (_client, error) => this.#fail(error),
      linkDrained: () => this.#giveCredit(),
    };
    options.peer.add(this.#fromPeer);
  }

  /** Begins to pass packets on. */
  start(client: SessionLink): number {
    const { left, id } = this.#options;
    left.take(client, id);
    this.#client = client;
    client.add(this.#fromClient);
    this.#toldRttMs = rttOf(client);
    return this.#toldRttMs;
  }

  /** Tells the peer the client's round trip if it has changed by a quarter. */
  updateRtt(): void {
    if (this.#client === null) return;
    const rttMs = rttOf(this.#client);
    if (Math.abs(rttMs - this.#toldRttMs) <= this.#toldRttMs / 4) return;
    this.#toldRttMs = rttMs;
    this.#options.onCredit(0, rttMs);
  }

  /** Passes nothing on any more. Tells the node nothing. */
  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    this.#options.peer.forget(this.#fromPeer);
    const client = this.#client;
    this.#client = null;
    if (client === null) return;
    client.forget(this.#fromClient);
    this.#options.left.leave(client, this.#options.id);
  }

  #fail(error: DuplexityError): void {
    if (this.#isEnded) return;
    this.end();
    this.#options.onEnded(error);
  }

  #toClient(packet: Buffer, rest: readonly Buffer[]): void {
    const client = this.#client;
    // It was under way when the relay began or ended.
    if (client === null) return;
    const passed = packetToPassOn(packet, rest);
    this.#owedBytes += passed.byteLength;
    if (this.#owedBytes > RELAY_WINDOW_BYTES + MAX_PACKET_BYTES) {
      this.#fail(
        new DuplexityError("DPX_LINK_QUEUE", `The node sent more than the ${RELAY_WINDOW_BYTES} bytes agreed on`),
      );
      return;
    }
    client.send(passed);
    // Else when the link has drained: so the bytes that wait in it are bounded.
    if (client.bufferedBytes <= LINK_LOW_WATER_BYTES) this.#giveCredit();
  }

  #giveCredit(): void {
    if (this.#client === null || this.#owedBytes < RELAY_CREDIT_BYTES) return;
    const bytes = this.#owedBytes;
    this.#owedBytes = 0;
    this.#toldRttMs = rttOf(this.#client);
    this.#options.onCredit(bytes, this.#toldRttMs);
  }

  #toPeer(packet: Buffer, rest: readonly Buffer[]): void {
    const { peer } = this.#options;
    const waitingBytes = peer.bufferedBytes;
    if (waitingBytes > PEER_PAUSE_BYTES) this.#setPaused(true);
    if (waitingBytes > PEER_QUEUE_BYTES) {
      const message = `More than ${PEER_QUEUE_BYTES} bytes wait for the other node`;
      this.#fail(new DuplexityError("DPX_LINK_QUEUE", message));
      return;
    }
    peer.send(packetToPassOn(packet, rest));
  }

  #setPaused(isPaused: boolean): void {
    if (this.#isPaused === isPaused) return;
    this.#isPaused = isPaused;
    this.#client?.setPaused(this.#options.id, isPaused);
  }
}

function rttOf(client: SessionLink): number {
  return Math.round(client.rttMs ?? 0);
}
