// Topic messages and replies to JSON and back. Everything that comes from another node is checked here, once.

import {
  asDuplexityError,
  fields as checked,
  DuplexityError,
  decodeMessage,
  type ErrorCode,
  isErrorCode,
  type PipesAreRegisteredResponse,
} from "../../protocol/index.ts";
import { readCount, readRecord } from "./record-fields.ts";
import { partsOf, type ReplyPart, readPart } from "./reply-parts.ts";
import {
  MAX_TOPIC_MESSAGE_BYTES,
  type MessageOf,
  type Outcome,
  type ReachedClient,
  type ReplyOf,
  type RoundTrip,
  type RoutesMessage,
  type TopicName,
  type WebSocketsMessage,
  type WebSocketsReply,
} from "./topics.ts";

const { field, oneOfReader, arrayReader, readObject, readName, readProse, readWord, readClientId } = checked;

/** Clients in one reply: more than its bytes have room for, so that a hub that has too many says so by failing. */
const MAX_REACHED = 120_000;
const MAX_PIPES = 1_024;

/** What travels: who sent it, and what. */
export type Envelope =
  | {
      readonly kind: "message";
      readonly from: string /** Of a request. */;
      readonly id: string | null;
      readonly body: unknown;
    }
  | {
      readonly kind: "reply";
      readonly from: string;
      readonly id: string;
      readonly body: unknown /** Left out: it is whole. */;
      readonly part?: ReplyPart;
    }
  /** A node's message to itself, to hear whether it hears. */
  | { readonly kind: "echo"; readonly from: string; readonly id: string };

/** One message, or several. @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE` */
export function encodeReply(from: string, id: string, body: unknown): readonly string[] {
  const reply = { kind: "reply", from, id } as const;
  const text = JSON.stringify({ ...reply, body });
  if (Buffer.byteLength(text) <= MAX_TOPIC_MESSAGE_BYTES) return [text];
  return partsOf(body).map((part) => encodeEnvelope({ ...reply, ...part }));
}

/** @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE` beyond `MAX_TOPIC_MESSAGE_BYTES`. */
export function encodeEnvelope(envelope: Envelope): string {
  const text = JSON.stringify(envelope);
  const bytes = Buffer.byteLength(text);
  if (bytes <= MAX_TOPIC_MESSAGE_BYTES) return text;
  throw new DuplexityError(
    "DPX_MESSAGE_TOO_LARGE",
    `Cannot tell the other nodes: the message has ${bytes} bytes, at most ${MAX_TOPIC_MESSAGE_BYTES} are allowed`,
  );
}

/** @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE` or `DPX_MESSAGE_INVALID` */
export function decodeEnvelope(text: string): Envelope {
  if (text.length > MAX_TOPIC_MESSAGE_BYTES) {
    throw new DuplexityError(
      "DPX_MESSAGE_TOO_LARGE",
      `Cannot read a topic's message: it has ${text.length} characters`,
    );
  }
  const envelope = readObject(parsed(text), "envelope");
  const from = field(envelope, "from", readWord);
  const kind = field(envelope, "kind", oneOfReader(["message", "reply", "echo"]));
  const body = field(envelope, "body", (value) => value);
  if (kind === "message") return { kind, from, id: field(envelope, "id", readWordOrNull), body };
  const id = field(envelope, "id", readWord);
  if (kind === "echo") return { kind, from, id };
  return { kind, from, id, body, ...checked.optionalField(envelope, "part", readPart) };
}

/** @throws {DuplexityError} `DPX_MESSAGE_INVALID` */
export function readMessage<T extends TopicName>(topic: T, body: unknown): MessageOf<T> {
  return MESSAGES[topic](body);
}

/** @throws {DuplexityError} `DPX_MESSAGE_INVALID` */
export function readOutcome<T extends TopicName>(topic: T, body: unknown): Outcome<T> {
  const outcome = readObject(body, "outcome");
  const status = field(outcome, "status", oneOfReader(["done", "failed"]));
  if (status === "done") return { status, reply: field(outcome, "reply", (value) => REPLIES[topic](value)) };
  return { status, code: field(outcome, "code", readErrorCode), message: field(outcome, "message", readProse) };
}

const MESSAGES: { readonly [T in TopicName]: (body: unknown) => MessageOf<T> } = {
  websockets: readWebSocketsMessage,
  routes: readRoutesMessage,
};

/** Whether `name` is a topic's. */
export function isTopicName(name: string): name is TopicName {
  return Object.hasOwn(MESSAGES, name);
}

const REPLIES: { readonly [T in TopicName]: (body: unknown) => ReplyOf<T> } = {
  websockets: readWebSocketsReply,
  routes: () => null,
};

function readWebSocketsMessage(body: unknown): WebSocketsMessage {
  const message = readObject(body, "body");
  const type = field(
    message,
    "type",
    oneOfReader([
      "disconnect",
      "banish",
      "find",
      "roundTrips",
      "replaced",
      "judge",
      "nodesChanged",
      "pipesAreRegistered",
    ]),
  );
  switch (type) {
    case "disconnect":
      return {
        type,
        who: field(message, "who", readName),
        by: field(message, "by", readProse),
        reason: field(message, "reason", readProse),
        until: field(message, "until", readUntil),
      };
    case "banish":
      return {
        type,
        clients: field(message, "clients", arrayReader(readReachedClient, 0, MAX_REACHED)),
        by: field(message, "by", readProse),
        reason: field(message, "reason", readProse),
        until: field(message, "until", readUntil),
      };
    case "find":
      return { type, who: field(message, "who", (value, path) => (value === null ? null : readName(value, path))) };
    case "roundTrips":
    case "replaced":
      return { type, clientIds: field(message, "clientIds", arrayReader(readClientId, 0, MAX_REACHED)) };
    case "judge":
    case "nodesChanged":
      return { type };
    case "pipesAreRegistered":
      return { type, response: field(message, "response", readResponse) };
  }
}

function readRoutesMessage(body: unknown): RoutesMessage {
  const message = readObject(body, "body");
  const epoch = field(message, "epoch", readCount);
  const hostname = field(message, "hostname", readName);
  const record = field(message, "record", (value, path) => (value === null ? null : readRecord(value, path)));
  const isOfName = record === null || (record.hostname === hostname && record.epoch === epoch);
  return isOfName ? { hostname, epoch, record } : checked.invalid("record", `the record of ${hostname}`);
}

function readWebSocketsReply(body: unknown): WebSocketsReply {
  const reply = readObject(body, "reply");
  const readKind = oneOfReader(["client", "hostname", "user"]);
  return {
    kind: field(reply, "kind", (value, path) => (value === null ? null : readKind(value, path))),
    clients: field(reply, "clients", arrayReader(readReachedClient, 0, MAX_REACHED)),
    ...checked.optionalField(reply, "roundTrips", arrayReader(readRoundTrip, 0, MAX_REACHED)),
  };
}

function readRoundTrip(value: unknown, path: string): RoundTrip {
  const trip = readObject(value, path);
  return { clientId: field(trip, "clientId", readClientId), rttMs: field(trip, "rttMs", readMs) };
}

function readMs(value: unknown, path: string): number {
  const isTime = typeof value === "number" && Number.isFinite(value) && value >= 0;
  return isTime ? value : checked.invalid(path, "a time in ms");
}

function readReachedClient(value: unknown, path: string): ReachedClient {
  const client = readObject(value, path);
  return {
    clientId: field(client, "clientId", readClientId),
    user: field(client, "user", readProse),
    hub: field(client, "hub", readWord),
    pipes: field(client, "pipes", arrayReader(readName, 0, MAX_PIPES)),
  };
}

/** As on a control socket, to which it goes on. */
function readResponse(value: unknown, path: string): PipesAreRegisteredResponse {
  const message = decodeMessage(JSON.stringify(value) ?? "");
  return message?.type === "pipesAreRegisteredResponse"
    ? message
    : checked.invalid(path, "a pipesAreRegisteredResponse");
}

function readUntil(value: unknown, path: string): number | "forever" | null {
  return value === null || value === "forever" ? value : readCount(value, path);
}

function readWordOrNull(value: unknown, path: string): string | null {
  return value === null ? null : readWord(value, path);
}

function readErrorCode(value: unknown, path: string): ErrorCode {
  const code = readWord(value, path);
  return isErrorCode(code) ? code : "DPX_INTERNAL";
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    const message = "Cannot read a topic's message: it is not JSON";
    throw new DuplexityError("DPX_MESSAGE_INVALID", message, { cause: asDuplexityError(cause) });
  }
}
