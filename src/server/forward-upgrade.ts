// Hands an upgrade request on to another node's internal listener, and then its
// bytes both ways, untouched: for a dialer that a balancer has brought to
// another node than its control socket.

import type { IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { DuplexityError } from "../protocol/index.ts";
import { refuseSocket } from "./http-answer.ts";

/** How long the other node may take to accept the connection. */
const CONNECT_TIMEOUT_MS = 5_000;

/**
 * Takes `socket` over.
 *
 * @param origin `http(s)://host:port`
 * @param onAnswer The other node has answered; from then on it watches over the socket.
 */
export function forwardUpgrade(
  origin: string,
  request: IncomingMessage,
  socket: Socket,
  options: { readonly head: Buffer; onAnswer(): void },
): void {
  const { protocol, hostname, port } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, "");
  const isTls = protocol === "https:";
  const to = { host, port: port === "" ? (isTls ? 443 : 80) : Number(port) };
  const other = isTls
    ? connectTls({ ...to, servername: host })
    : connect({ ...to, noDelay: true, allowHalfOpen: true });
  let hasAnswered = false;
  const timer = setTimeout(() => other.destroy(), CONNECT_TIMEOUT_MS);
  other.once(isTls ? "secureConnect" : "connect", () => clearTimeout(timer));
  other.on("error", () => {});
  other.once("close", () => {
    clearTimeout(timer);
    if (hasAnswered) socket.destroy();
    else refuseSocket(socket, new DuplexityError("DPX_DRAINING", "The node that has your control socket is gone"));
  });
  socket.once("close", () => other.destroy());
  other.once("data", (chunk: Buffer) => {
    hasAnswered = true;
    options.onAnswer();
    socket.write(chunk);
    other.pipe(socket);
  });
  socket.setNoDelay(true);
  other.write(headOf(request), "latin1");
  if (options.head.length > 0) other.write(options.head);
  socket.pipe(other);
}

/** The request as it came: what its sender proves depends on `Host`. */
function headOf({ method = "GET", url = "/", rawHeaders }: IncomingMessage): string {
  const lines = [`${method} ${url} HTTP/1.1`];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`);
  }
  return `${lines.join("\r\n")}\r\n\r\n`;
}
