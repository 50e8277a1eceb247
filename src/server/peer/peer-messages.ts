// The texts on a `/peer` socket: who its two nodes are, and which sessions it
// carries. To text and back, checked once. See docs/protocol.md, "Between nodes".

import { DuplexityError, type ErrorCode, fields, isErrorCode, MAX_MESSAGE_BYTES } from "../../protocol/index.ts";

export type PeerMessage =
  /** H→N, first: who is here, and what to make the proof from. */
  | { readonly type: "peerChallenge"; readonly nodeId: string; readonly nonce: string }
  /** N→H: who comes, and that it knows the secret. */
  | { readonly type: "peerProof"; readonly nodeId: string; readonly nonce: string; readonly mac: string }
  /** H→N: that this side knows it, too. From now on packets may come. */
  | { readonly type: "peerWelcome"; readonly mac: string }
  | RelayRequest
  /** H→N: the session's packets are passed on from now on. */
  | { readonly type: "relayResponse"; readonly relay: number; readonly rttMs: number }
  /** H→N: so many bytes of the session's packets have gone on to the client; so many more may come. */
  | { readonly type: "relayCredit"; readonly relay: number; readonly bytes: number; readonly rttMs: number }
  /** H→N: the relay was refused, or it is over: the client's link is gone. Nothing follows. */
  | { readonly type: "relayEnded"; readonly relay: number; readonly code: ErrorCode; readonly message: string }
  /** N→H: the session is over, or goes another way. */
  | { readonly type: "relayEnd"; readonly relay: number };

/** N→H: to pass a session's packets on, from and to one client. */
export interface RelayRequest {
  readonly type: "relayRequest";
  /** Counts the requests on this socket, from 1: what is said later names the relay by it. */
  readonly relay: number;
  readonly session: number;
  readonly clientId: string;
  /** Whose client it has to be. */
  readonly ownerId: string;
  /** A name that the client holds, and its epoch as the asking node knows it. */
  readonly hostname: string;
  readonly epoch: number;
  /** Relays that the packets go over, this one included. One is the most. */
  readonly hops: number;
}

/** @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE`, which no message of this module's fields can be. */
export function encodePeerMessage(message: PeerMessage): string {
  return JSON.stringify(message);
}

/**
 * @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE` or `DPX_MESSAGE_INVALID`: also for a type that is not known, since both
 * nodes speak the same version.
 */
export function decodePeerMessage(text: string): PeerMessage {
  if (text.length > MAX_MESSAGE_BYTES) {
    throw new DuplexityError("DPX_MESSAGE_TOO_LARGE", `Cannot read a peer message of ${text.length} characters`);
  }
  const { value } = fields.readObject(parseJson(text), "message");
  const top: fields.Fields = { path: "", value };
  return DECODERS[fields.field(top, "type", readType)](top);
}

const TYPES = [
  "peerChallenge",
  "peerProof",
  "peerWelcome",
  "relayRequest",
  "relayResponse",
  "relayCredit",
  "relayEnded",
  "relayEnd",
] as const satisfies readonly PeerMessage["type"][];
const readType = fields.oneOfReader(TYPES);

const { field, readWord } = fields;
const readId = fields.integerReader(0, 2 ** 48 - 1);
const readRelay = fields.integerReader(1, Number.MAX_SAFE_INTEGER);
const readBytes = fields.integerReader(0, 2 ** 31 - 1);
const readRtt = fields.integerReader(0, 3_600_000);
const readEpoch = fields.integerReader(0, Number.MAX_SAFE_INTEGER);
const readHops = fields.integerReader(1, 255);

function readCode(value: unknown, path: string): ErrorCode {
  const word = readWord(value, path);
  return isErrorCode(word) ? word : "DPX_INTERNAL";
}

type Decoders = { readonly [T in PeerMessage["type"]]: (top: fields.Fields) => Extract<PeerMessage, { type: T }> };

const DECODERS: Decoders = {
  peerChallenge: (top) => ({
    type: "peerChallenge",
    nodeId: field(top, "nodeId", readWord),
    nonce: field(top, "nonce", readWord),
  }),
  peerProof: (top) => ({
    type: "peerProof",
    nodeId: field(top, "nodeId", readWord),
    nonce: field(top, "nonce", readWord),
    mac: field(top, "mac", readWord),
  }),
  peerWelcome: (top) => ({ type: "peerWelcome", mac: field(top, "mac", readWord) }),
  relayRequest: (top) => ({
    type: "relayRequest",
    relay: field(top, "relay", readRelay),
    session: field(top, "session", readId),
    clientId: field(top, "clientId", fields.readClientId),
    ownerId: field(top, "ownerId", readWord),
    hostname: field(top, "hostname", fields.readName),
    epoch: field(top, "epoch", readEpoch),
    hops: field(top, "hops", readHops),
  }),
  relayResponse: (top) => ({
    type: "relayResponse",
    relay: field(top, "relay", readRelay),
    rttMs: field(top, "rttMs", readRtt),
  }),
  relayCredit: (top) => ({
    type: "relayCredit",
    relay: field(top, "relay", readRelay),
    bytes: field(top, "bytes", readBytes),
    rttMs: field(top, "rttMs", readRtt),
  }),
  relayEnded: (top) => ({
    type: "relayEnded",
    relay: field(top, "relay", readRelay),
    code: field(top, "code", readCode),
    message: field(top, "message", fields.readProse),
  }),
  relayEnd: (top) => ({ type: "relayEnd", relay: field(top, "relay", readRelay) }),
};

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DuplexityError("DPX_MESSAGE_INVALID", "Cannot read the peer message: it is not JSON", { cause: error });
  }
}
