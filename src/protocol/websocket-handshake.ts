// The opening handshake of RFC 6455 §4, for both ends of a dialer. It offers and
// accepts no extension. Who may come in is decided before it is called.

import { createHash, randomBytes } from "node:crypto";
import { type Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { DuplexityError } from "./errors.ts";
import { SUBPROTOCOL } from "./messages.ts";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const KEY = /^[+/0-9A-Za-z]{22}==$/;
const VERSION = "13";

function acceptOf(key: string): string {
  return createHash("sha1")
    .update(key + GUID)
    .digest("base64");
}

/**
 * Answers an upgrade request with 101.
 *
 * @throws {DuplexityError} `DPX_PROTOCOL` if it is not a WebSocket handshake of version 13, `DPX_PROTOCOL_VERSION` if it
 * does not offer `duplexity.v1`.
 */
export function acceptUpgrade(request: IncomingMessage, socket: Duplex): void {
  const { headers } = request;
  const key = headers["sec-websocket-key"] ?? "";
  const isHandshake = request.method === "GET" && headers.upgrade?.toLowerCase() === "websocket" && KEY.test(key);
  if (!isHandshake || headers["sec-websocket-version"] !== VERSION) {
    throw new DuplexityError("DPX_PROTOCOL", `Expected a WebSocket handshake of version ${VERSION} (RFC 6455 §4.2.1)`);
  }
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (!offered.includes(SUBPROTOCOL)) {
    throw new DuplexityError(
      "DPX_PROTOCOL_VERSION",
      `The client offers "${offered.join(", ")}", this server speaks ${SUBPROTOCOL}`,
    );
  }
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${acceptOf(key)}\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
  );
}

export interface DialOptions {
  readonly headers: Readonly<Record<string, string>>;
  /** Carries the connection through a proxy. */
  readonly agent?: Agent;
  /** @default 10_000 */
  readonly handshakeTimeoutMs?: number;
  readonly signal?: AbortSignal;
}

export type DialResult =
  | { readonly status: "upgraded"; readonly socket: Socket; readonly head: Buffer }
  /** The server answered, but with something else; the body is still to be read. */
  | { readonly status: "refused"; readonly response: IncomingMessage };

/** Dials `ws://…` or `wss://…`. Rejects with what the network said when there is no answer. */
export function dialUpgrade(uri: string, options: DialOptions): Promise<DialResult> {
  const url = new URL(uri);
  const isTls = url.protocol === "wss:";
  url.protocol = isTls ? "https:" : "http:";
  const key = randomBytes(16).toString("base64");
  const { promise, resolve, reject } = withResolvers<DialResult>();
  const request = (isTls ? httpsRequest : httpRequest)(url, {
    headers: {
      ...options.headers,
      connection: "Upgrade",
      upgrade: "websocket",
      "sec-websocket-key": key,
      "sec-websocket-version": VERSION,
      "sec-websocket-protocol": SUBPROTOCOL,
    },
    ...(options.agent === undefined ? {} : { agent: options.agent }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    timeout: options.handshakeTimeoutMs ?? 10_000,
  });
  request.on("timeout", () =>
    request.destroy(new DuplexityError("DPX_SERVER_UNREACHABLE", `${url.host} did not answer in time`)),
  );
  request.on("error", reject);
  request.on("response", (response) => resolve({ status: "refused", response }));
  request.on("upgrade", (response, socket, head) => {
    socket.setTimeout(0);
    const isRight =
      response.headers["sec-websocket-accept"] === acceptOf(key) &&
      response.headers["sec-websocket-protocol"] === SUBPROTOCOL;
    if (isRight) {
      resolve({ status: "upgraded", socket, head });
    } else {
      socket.destroy();
      reject(
        new DuplexityError("DPX_PROTOCOL", `${url.host} answered the WebSocket handshake wrongly (RFC 6455 §4.1)`),
      );
    }
  });
  request.end();
  return promise;
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void; reject: (reason: unknown) => void } {
  let resolve: (value: T) => void = () => {};
  let reject: (reason: unknown) => void = () => {};
  const promise = new Promise<T>((onValue, onReason) => {
    resolve = onValue;
    reject = onReason;
  });
  return { promise, resolve, reject };
}
