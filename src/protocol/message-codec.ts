// Control messages to text and back. Everything that comes in is checked here,
// once; what passes has exactly the fields of its type. Never touches a socket.

import type { ErrorCode } from "./errors.ts";
import { DuplexityError, isErrorCode } from "./errors.ts";
import type { Fields } from "./message-fields.ts";
import {
  arrayReader,
  field,
  integerReader,
  invalid,
  knownWordsReader,
  MAX_LIST_ITEMS,
  MAX_MESSAGE_PIPES,
  MAX_NUMBER,
  oneOfReader,
  optionalField,
  readClientId,
  readName,
  readObject,
  readProse,
  readTimeOrNull,
  readToken,
  readWord,
  uriReader,
} from "./message-fields.ts";
import { readGate } from "./message-gate.ts";
import type { ControlMessage, PipeRequest, PipeResult } from "./messages.ts";
import { MAX_MESSAGE_BYTES } from "./messages.ts";

/**
 * `message` as JSON text.
 *
 * @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE` if it is longer than `MAX_MESSAGE_BYTES`.
 */
export function encodeMessage(message: ControlMessage): string {
  const text = JSON.stringify(message);
  checkLength(text, "send");
  return text;
}

/**
 * The control message in `text`, or null for one of an unknown type that says `"optional": true`: it is to be ignored.
 * Unknown fields are dropped.
 *
 * @throws {DuplexityError} `DPX_MESSAGE_TOO_LARGE` if it is longer than `MAX_MESSAGE_BYTES`.
 * @throws {DuplexityError} `DPX_MESSAGE_INVALID` if it is not JSON, not of a known type, or a field is not as it must be.
 * @see docs/protocol.md, "Control messages"
 */
export function decodeMessage(text: string): ControlMessage | null {
  checkLength(text, "read");
  const fields = readObject(parseJson(text), "message");
  const top: Fields = { path: "", value: fields.value };
  const type = field(top, "type", readWord);
  if (isKnownType(type)) return DECODERS[type](top);
  if (field(top, "optional", (value) => value === true)) return null;
  return invalid("type", `a message of this version: ${type}`);
}

const readCount = integerReader(0, MAX_NUMBER);
const readPositive = integerReader(1, MAX_NUMBER);
const readProtocol = oneOfReader(["http", "tcp"]);
const readSocketUri = uriReader(["ws", "wss"]);
const readPublicUrl = uriReader(["http", "https", "tcp"]);
const readSocketUris = arrayReader(readSocketUri, 0, MAX_LIST_ITEMS);

const DECODERS: { readonly [T in ControlMessage["type"]]: (fields: Fields) => Extract<ControlMessage, { type: T }> } = {
  discoveryRequest: (fields) => ({
    type: "discoveryRequest",
    clientId: field(fields, "clientId", readClientId),
    protocolVersions: field(fields, "protocolVersions", arrayReader(integerReader(1, 65_535), 1, MAX_LIST_ITEMS)),
    software: field(fields, "software", readProse),
    features: field(fields, "features", arrayReader(readWord, 0, MAX_LIST_ITEMS)),
    ...optionalField(fields, "redirects", readCount),
  }),
  discoveryResponse: (fields) => {
    const heartbeat = field(fields, "heartbeat", readObject);
    const limits = field(fields, "limits", readObject);
    return {
      type: "discoveryResponse",
      dataPlaneUri: field(fields, "dataPlaneUri", readSocketUri),
      alternatives: field(fields, "alternatives", readSocketUris),
      protocolVersion: field(fields, "protocolVersion", integerReader(1, 65_535)),
      nodeId: field(fields, "nodeId", readWord),
      software: field(fields, "software", readProse),
      domain: field(fields, "domain", readName),
      owner: field(fields, "owner", readProse),
      ticket: field(fields, "ticket", readWord),
      ticketTtlMs: field(fields, "ticketTtlMs", readPositive),
      heartbeat: {
        idleMs: field(heartbeat, "idleMs", readPositive),
        timeoutMs: field(heartbeat, "timeoutMs", readPositive),
      },
      resumeWindowMs: field(fields, "resumeWindowMs", readCount),
      limits: {
        maxPipes: field(limits, "maxPipes", readPositive),
        maxStreams: field(limits, "maxStreams", readPositive),
        maxPacketBytes: field(limits, "maxPacketBytes", readPositive),
      },
      ...optionalField(fields, "moveDelayMs", readCount),
      ...optionalField(fields, "features", arrayReader(readWord, 0, MAX_LIST_ITEMS)),
    };
  },
  dialRequest: (fields) => ({
    type: "dialRequest",
    clientId: field(fields, "clientId", readClientId),
    pipes: field(fields, "pipes", arrayReader(readPipeRequest, 1, MAX_MESSAGE_PIPES)),
    wants: field(fields, "wants", knownWordsReader(["requests", "second-link", "pause", "partial"])),
  }),
  pipesAreRegisteredResponse: (fields) => ({
    type: "pipesAreRegisteredResponse",
    clientId: field(fields, "clientId", readClientId),
    pipes: field(fields, "pipes", arrayReader(readPipeResult, 1, MAX_MESSAGE_PIPES)),
  }),
  closePipesRequest: (fields) => ({
    type: "closePipesRequest",
    clientId: field(fields, "clientId", readClientId),
    names: field(fields, "names", arrayReader(readName, 1, MAX_MESSAGE_PIPES)),
  }),
  pipesAreClosedResponse: (fields) => ({
    type: "pipesAreClosedResponse",
    clientId: field(fields, "clientId", readClientId),
    names: field(fields, "names", arrayReader(readName, 0, MAX_MESSAGE_PIPES)),
  }),
  clientDisconnectRequest: (fields) => ({
    type: "clientDisconnectRequest",
    clientId: field(fields, "clientId", readClientId),
    reason: field(fields, "reason", readProse),
  }),
  forceDisconnectRequest: (fields) => ({
    type: "forceDisconnectRequest",
    code: field(fields, "code", oneOfReader(["DPX_KICKED", "DPX_REPLACED"])),
    by: field(fields, "by", readProse),
    reason: field(fields, "reason", readProse),
    until: field(fields, "until", readTimeOrNull),
  }),
  drainRequest: (fields) => ({
    type: "drainRequest",
    deadlineMs: field(fields, "deadlineMs", readCount),
    dataPlaneUris: field(fields, "dataPlaneUris", readSocketUris),
  }),
  tokenRefresh: (fields) => ({ type: "tokenRefresh", token: field(fields, "token", readToken) }),
  error: (fields) => ({
    type: "error",
    code: field(fields, "code", readErrorCode),
    message: field(fields, "message", readProse),
    ...optionalField(fields, "hint", readProse),
    ...optionalField(fields, "retryAfterMs", readCount),
    ...optionalField(fields, "dataPlaneUris", readSocketUris),
  }),
};

function readPipeRequest(value: unknown, path: string): PipeRequest {
  const fields = readObject(value, path);
  return {
    name: field(fields, "name", readName),
    protocol: field(fields, "protocol", readProtocol),
    ...optionalField(fields, "gate", readGate),
  };
}

function readPipeResult(value: unknown, path: string): PipeResult {
  const fields = readObject(value, path);
  const name = field(fields, "name", readName);
  if (field(fields, "status", oneOfReader(["registered", "refused"])) === "registered") {
    return {
      status: "registered",
      name,
      protocol: field(fields, "protocol", readProtocol),
      hostname: field(fields, "hostname", readName),
      url: field(fields, "url", readPublicUrl),
      epoch: field(fields, "epoch", readCount),
    };
  }
  return {
    status: "refused",
    name,
    code: field(fields, "code", readErrorCode),
    message: field(fields, "message", readProse),
    ...optionalField(fields, "hint", readProse),
  };
}

/** A code that a newer peer knows and this version does not is `DPX_INTERNAL`, as on the binary wire. */
function readErrorCode(value: unknown, path: string): ErrorCode {
  const code = readWord(value, path);
  return isErrorCode(code) ? code : "DPX_INTERNAL";
}

function isKnownType(type: string): type is ControlMessage["type"] {
  return Object.hasOwn(DECODERS, type);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DuplexityError("DPX_MESSAGE_INVALID", "Cannot read the message: it is not JSON", { cause });
  }
}

function checkLength(text: string, verb: "send" | "read"): void {
  // A string has at least one byte for each UTF-16 unit: long texts need no counting.
  const bytes = text.length > MAX_MESSAGE_BYTES ? text.length : Buffer.byteLength(text);
  if (bytes <= MAX_MESSAGE_BYTES) return;
  throw new DuplexityError(
    "DPX_MESSAGE_TOO_LARGE",
    `Cannot ${verb} the message: it has ${bytes} bytes, at most ${MAX_MESSAGE_BYTES} are allowed`,
  );
}
