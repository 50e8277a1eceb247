// The beginning of a `/peer` socket: both nodes say who they are and prove it.
// What comes out is a connection that only a node of the cluster can be at.

import type { Agent } from "node:http";
import type { Socket } from "node:net";
import {
  asDuplexityError,
  closeReason,
  DuplexityError,
  dialUpgrade,
  ERRORS,
  errorOfClose,
  MAX_MESSAGE_BYTES,
  MAX_PACKET_BYTES,
  WebSocketConnection,
} from "../../protocol/index.ts";
import { decodePeerMessage, encodePeerMessage, type PeerMessage } from "./peer-messages.ts";
import { type ClusterSecrets, isProof, newNonce, type PeerExchange, proofOf } from "./peer-proof.ts";

/** How long all of it may take. */
const HANDSHAKE_MS = 5_000;
/** A peer's link pings as soon as it is there. */
const MAX_EARLY_PACKETS = 4;

export interface PeerIdentity {
  readonly nodeId: string;
  readonly secrets: ClusterSecrets;
  /** Dials over https with this node's certificate. @default without one */
  readonly agent?: Agent | undefined;
}

/** A connection whose other end is `peerId`; set its handler in the same turn. */
export interface ProvenPeer {
  readonly peerId: string;
  readonly connection: WebSocketConnection;
  /** Packets that came together with its proof: they are for that handler. */
  readonly early: readonly Buffer[];
}

/**
 * The side that was dialled, on a socket whose upgrade is answered.
 *
 * @throws {DuplexityError} `DPX_AUTH_INVALID` if the other side does not know the secret, `DPX_LOOP` if it is this node,
 * `DPX_PROTOCOL`, `DPX_IDLE_SOCKET`. The connection is closed then.
 */
export async function welcomePeer(socket: Socket, head: Buffer, own: PeerIdentity): Promise<ProvenPeer> {
  const connection = new WebSocketConnection(socket, { role: "server", ...LIMITS, head });
  const dialogue = new Dialogue(connection);
  try {
    const hubNonce = newNonce();
    dialogue.send({ type: "peerChallenge", nodeId: own.nodeId, nonce: hubNonce });
    const proof = await dialogue.next("peerProof");
    const exchange = { hubId: own.nodeId, nodeId: proof.nodeId, hubNonce, nodeNonce: proof.nonce };
    if (!isProof(own.secrets, "node", exchange, proof.mac)) throw wrongSecret(proof.nodeId);
    if (proof.nodeId === own.nodeId)
      throw new DuplexityError("DPX_LOOP", "Cannot be a peer of this node: it is itself");
    dialogue.send({ type: "peerWelcome", mac: proofWith(own.secrets, exchange, proof.mac) });
    return { peerId: proof.nodeId, connection, early: dialogue.early };
  } catch (error) {
    throw dialogue.refuse(error);
  } finally {
    dialogue.end();
  }
}

/**
 * The side that dials the node `peerId` at `url`, its internal listener.
 *
 * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE`, `DPX_AUTH_INVALID` if either side does not know the other's secret,
 * `DPX_FORBIDDEN` if another node is there.
 */
export async function dialPeer(
  url: string,
  peerId: string,
  own: PeerIdentity,
  signal: AbortSignal,
): Promise<ProvenPeer> {
  const uri = `${url.replace(/^http/, "ws").replace(/\/$/, "")}/peer`;
  const agent = own.agent === undefined || !uri.startsWith("wss:") ? {} : { agent: own.agent };
  const result = await dialUpgrade(uri, { headers: {}, handshakeTimeoutMs: HANDSHAKE_MS, signal, ...agent }).catch(
    (error: unknown) => {
      throw unreachable(peerId, asDuplexityError(error));
    },
  );
  if (result.status === "refused") {
    result.response.resume();
    const { statusCode } = result.response;
    throw new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot reach node ${peerId}: it answered ${statusCode}`);
  }
  // Both ends are ours and no cache is between them: RFC 6455 §10.3, what masks are for, does not apply.
  const role = { role: "client", mask: "zero" } as const;
  const connection = new WebSocketConnection(result.socket, { ...role, ...LIMITS, head: result.head });
  const dialogue = new Dialogue(connection);
  try {
    const challenge = await dialogue.next("peerChallenge");
    if (challenge.nodeId !== peerId) {
      throw new DuplexityError("DPX_FORBIDDEN", `Cannot reach node ${peerId}: ${challenge.nodeId} is there`);
    }
    const nodeNonce = newNonce();
    const exchange = { hubId: peerId, nodeId: own.nodeId, hubNonce: challenge.nonce, nodeNonce };
    const mac = proofOf(own.secrets[0] ?? "", "node", exchange);
    dialogue.send({ type: "peerProof", nodeId: own.nodeId, nonce: nodeNonce, mac });
    const welcome = await dialogue.next("peerWelcome");
    if (!isProof(own.secrets, "hub", exchange, welcome.mac)) throw wrongSecret(peerId);
    return { peerId, connection, early: dialogue.early };
  } catch (error) {
    throw dialogue.refuse(error);
  } finally {
    dialogue.end();
  }
}

const LIMITS = { maxMessageBytes: MAX_PACKET_BYTES, maxTextBytes: MAX_MESSAGE_BYTES };

/** With the secret that the other side has shown: it may not know the newer one yet. */
function proofWith(secrets: ClusterSecrets, exchange: PeerExchange, shown: string): string {
  const secret = secrets.find((candidate) => isProof([candidate], "node", exchange, shown));
  return proofOf(secret ?? "", "hub", exchange);
}

/** Texts one at a time, until the connection is given away. */
class Dialogue {
  readonly #connection: WebSocketConnection;
  readonly #timer: NodeJS.Timeout;
  readonly early: Buffer[] = [];
  readonly #came: PeerMessage[] = [];
  #failure: DuplexityError | null = null;
  #wake: () => void = () => {};

  constructor(connection: WebSocketConnection) {
    this.#connection = connection;
    this.#timer = setTimeout(() => {
      this.#fail(new DuplexityError("DPX_IDLE_SOCKET", `The peer did not prove itself in ${HANDSHAKE_MS / 1_000} s`));
    }, HANDSHAKE_MS);
    connection.handler = {
      onText: (text) => this.#receive(text),
      onBinary: (packet, rest) => this.#keep(packet, rest),
      onDrain: () => {},
      onClose: (code, reason) => this.#fail(errorOfClose(code, reason)),
    };
  }

  send(message: PeerMessage): void {
    this.#connection.sendText(encodePeerMessage(message));
  }

  async next<T extends PeerMessage["type"]>(type: T): Promise<Extract<PeerMessage, { type: T }>> {
    while (this.#came.length === 0 && this.#failure === null) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const message = this.#came.shift();
    if (message === undefined) throw this.#failure ?? new DuplexityError("DPX_LINK_LOST", "The peer is gone");
    if (isOfType(message, type)) return message;
    throw new DuplexityError("DPX_PROTOCOL", `A ${message.type} came from a peer, expected ${type}`);
  }

  /** Tells the peer why, closes, and answers the error. */
  refuse(error: unknown): DuplexityError {
    const reason = asDuplexityError(error);
    this.#connection.close(ERRORS[reason.code].closeCode, closeReason(reason.code, reason.message));
    return reason;
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  /** Given on only if the peer turns out to be one. */
  #keep(packet: Buffer, rest: readonly Buffer[]): void {
    if (this.early.length >= MAX_EARLY_PACKETS)
      this.#fail(new DuplexityError("DPX_PROTOCOL", "The peer says too much"));
    else this.early.push(rest.length === 0 ? packet : Buffer.concat([packet, ...rest]));
  }

  #receive(text: string): void {
    // Each side sends two texts at most before the connection is given away.
    try {
      if (this.#came.length > 1) throw new DuplexityError("DPX_PROTOCOL", "The peer says too much");
      this.#came.push(decodePeerMessage(text));
      this.#wake();
    } catch (error) {
      this.#fail(asDuplexityError(error));
    }
  }

  #fail(error: DuplexityError): void {
    this.#failure ??= error;
    this.#wake();
  }
}

function isOfType<T extends PeerMessage["type"]>(
  message: PeerMessage,
  type: T,
): message is Extract<PeerMessage, { type: T }> {
  return message.type === type;
}

function wrongSecret(peerId: string): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot trust node ${peerId}: it does not know the cluster's secret`, {
    hint: "Give all nodes the same --cluster-secret-file.",
  });
}

function unreachable(peerId: string, cause: DuplexityError): DuplexityError {
  return new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot reach node ${peerId}: ${cause.message}`, { cause });
}
