// Passes a request of the server's own on to another node's internal listener, and its bytes both ways: an upgrade, or a
// request with its answer. Tries another node only while nothing has been sent.

import { type IncomingMessage, request as requestHttp, type ServerResponse } from "node:http";
import { connect, isIP, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import { FORWARDED_HEADER } from "./forwarded-proof.ts";
import { answerError, refuseSocket } from "./http-answer.ts";
import type { NodeTls } from "./node-tls.ts";

/** Another node, and what shows it that this one is of its cluster. */
export interface ForwardTarget {
  /** `http(s)://host:port` */
  readonly origin: string;
  /** What it is shown over https. */
  readonly tls: NodeTls | null;
  /** The value of FORWARDED_HEADER. */
  readonly proof: string;
}

/** How long the other node may take to accept the connection. */
const CONNECT_TIMEOUT_MS = 2_000;
/** Silence after which a request that is passed on is given up: longer than anything takes that is asked of a node. */
const SILENCE_MS = 30_000;
/** Of one connection (RFC 9110 §7.6.1), and what is said anew. */
const NOT_PASSED_ON = new Set([
  ...["connection", "expect", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"],
  FORWARDED_HEADER,
]);

/**
 * Takes `socket` over.
 *
 * @param targets In the order in which they are tried.
 * @param options.onAnswer The other node has answered; from then on it watches over the socket.
 */
export async function forwardUpgrade(
  targets: readonly ForwardTarget[],
  request: IncomingMessage,
  socket: Socket,
  options: { readonly head: Buffer; onAnswer(): void },
): Promise<void> {
  let hasAnswered = false;
  try {
    const { other, target } = await connectToOne(targets);
    other.once("close", () => {
      if (hasAnswered) socket.destroy();
      else refuseSocket(socket, gone(), RETRY);
    });
    socket.once("close", () => other.destroy());
    if (socket.destroyed) {
      other.destroy();
      return;
    }
    other.once("data", (chunk: Buffer) => {
      hasAnswered = true;
      options.onAnswer();
      socket.write(chunk);
      other.pipe(socket);
    });
    socket.setNoDelay(true);
    other.write(headOf(request, target), "latin1");
    if (options.head.length > 0) other.write(options.head);
    socket.pipe(other);
  } catch (error) {
    refuseSocket(socket, asDuplexityError(error), RETRY);
  }
}

/** Answers `request` with what the other node answers, or refuses it. */
export async function forwardRequest(
  targets: readonly ForwardTarget[],
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    const { other, target } = await connectToOne(targets);
    if (response.destroyed) {
      other.destroy();
      return;
    }
    const headers = request.rawHeaders.flatMap((name, at, all) =>
      at % 2 === 0 && !NOT_PASSED_ON.has(name.toLowerCase()) ? [name, all[at + 1] ?? ""] : [],
    );
    const { method = "GET", url = "/" } = request;
    const passedOn = requestHttp({
      ...{ method, path: url, setHost: false, createConnection: () => other },
      headers: [...headers, FORWARDED_HEADER, target.proof, "Connection", "close"],
    });
    passedOn.setTimeout(SILENCE_MS, () => passedOn.destroy(gone()));
    passedOn.on("error", (error) => refuse(response, error));
    passedOn.once("response", (answer) => answerWith(response, answer));
    response.once("close", () => passedOn.destroy());
    request.pipe(passedOn);
  } catch (error) {
    refuse(response, error);
  }
}

const RETRY = { "Retry-After": "1" };

function answerWith(response: ServerResponse, answer: IncomingMessage): void {
  const { statusCode = 502, rawHeaders } = answer;
  const kept = rawHeaders.flatMap((name, at, all): [string, string][] =>
    at % 2 === 0 && !NOT_PASSED_ON.has(name.toLowerCase()) ? [[name, all[at + 1] ?? ""]] : [],
  );
  response.writeHead(statusCode, [...kept.flat(), "Connection", "close"]);
  answer.on("error", () => response.destroy());
  answer.pipe(response);
}

function refuse(response: ServerResponse, error: unknown): void {
  if (response.headersSent || response.destroyed) response.destroy();
  else answerError(response, error instanceof DuplexityError ? error : gone(error), { headers: RETRY });
}

/** @throws {DuplexityError} `DPX_DRAINING` if none accepts. */
async function connectToOne(
  targets: readonly ForwardTarget[],
): Promise<{ readonly other: Socket; readonly target: ForwardTarget }> {
  let last: unknown = null;
  for (const target of targets) {
    try {
      return { other: await connectTo(target), target };
    } catch (error) {
      last = error;
    }
  }
  throw gone(last);
}

function connectTo({ origin, tls }: ForwardTarget): Promise<Socket> {
  const { protocol, hostname, port } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, "");
  const isTls = protocol === "https:";
  const to = { host, port: port === "" ? (isTls ? 443 : 80) : Number(port) };
  return new Promise((resolve, reject) => {
    const other = isTls
      ? connectTls({ ...to, ...tls, ...(isIP(host) === 0 ? { servername: host } : {}) })
      : connect({ ...to, noDelay: true, allowHalfOpen: true });
    const timer = setTimeout(() => other.destroy(new Error("it does not answer")), CONNECT_TIMEOUT_MS);
    // Also later: whoever uses it hears of its end.
    other.on("error", reject);
    other.once("close", () => {
      clearTimeout(timer);
      reject(new Error("it ended the connection"));
    });
    other.once(isTls ? "secureConnect" : "connect", () => {
      clearTimeout(timer);
      resolve(other);
    });
  });
}

/** For a client: it comes back, to whatever node is there then. */
function gone(cause?: unknown): DuplexityError {
  return new DuplexityError("DPX_DRAINING", "Cannot pass the request on: the node for it is gone", {
    hint: "Try again in a second.",
    cause,
  });
}

/** The request as it came: what its sender proves depends on `Host`. */
function headOf({ method = "GET", url = "/", rawHeaders }: IncomingMessage, { proof }: ForwardTarget): string {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] ?? "";
    if (name.toLowerCase() !== FORWARDED_HEADER) lines.push(`${name}: ${rawHeaders[index + 1]}`);
  }
  return `${[...lines, `${FORWARDED_HEADER}: ${proof}`].join("\r\n")}\r\n\r\n`;
}
