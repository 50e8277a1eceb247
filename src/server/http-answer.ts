// Short answers of the server's own, each the last one on its connection.

import type { ServerResponse } from "node:http";
import { STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type DuplexityError, ERRORS } from "../protocol/index.ts";
import { outwardOf } from "./outward.ts";

/** How long a peer may take to read a refusal. */
const LINGER_MS = 2_000;

/** `{"error":{"code","message","hint"}}`, as every API of the server says no. */
export function errorBody(error: DuplexityError): string {
  const { code, message, hint } = outwardOf(error);
  return `${JSON.stringify({ error: { code, message, ...(hint === undefined ? {} : { hint }) } })}\n`;
}

export function answerJson(response: ServerResponse, status: number, body: unknown): void {
  answer(response, status, "application/json; charset=utf-8", `${JSON.stringify(body)}\n`);
}

export function answerText(
  response: ServerResponse,
  status: number,
  text: string,
  contentType = "text/plain; charset=utf-8",
): void {
  answer(response, status, contentType, text);
}

/** Refuses with the status that the error's code has in the table, or with `status`. */
export function answerError(
  response: ServerResponse,
  error: DuplexityError,
  options: { readonly status?: number; readonly headers?: Readonly<Record<string, string>> } = {},
): void {
  const headers = { ...retryHeader(error), ...options.headers };
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.setHeader("Duplexity-Error", error.code);
  const status = options.status ?? ERRORS[error.code].httpStatus;
  answer(response, status, "application/json; charset=utf-8", errorBody(error));
}

/** Refuses on a socket that no HTTP server looks after (any more), and ends it. */
export function refuseSocket(
  socket: Duplex,
  error: DuplexityError,
  headers: Readonly<Record<string, string>> = {},
): void {
  const status = ERRORS[error.code].httpStatus;
  const body = errorBody(error);
  const lines = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Error"}`,
    `Duplexity-Error: ${error.code}`,
    ...Object.entries({ ...retryHeader(error), ...headers }).map(([name, value]) => `${name}: ${value}`),
    "Cache-Control: no-store",
    "Content-Type: application/json; charset=utf-8",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "Connection: close",
  ];
  endSocket(socket, `${lines.join("\r\n")}\r\n\r\n${body}`);
}

/** RFC 9110 §10.2.3, where the error knows when it may go better. */
export function retryHeader({ retryAfterMs }: DuplexityError): Readonly<Record<string, string>> {
  return retryAfterMs === undefined ? {} : { "Retry-After": String(Math.max(1, Math.ceil(retryAfterMs / 1_000))) };
}

/** Sends `text` as the last thing, reads and drops what the peer still sends, and closes in bounded time. */
export function endSocket(socket: Duplex, text: string): void {
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.on("error", () => {});
  socket.once("close", () => clearTimeout(timer));
  // Unread bytes would make the kernel reset the connection, and the peer lose the answer.
  socket.once("end", () => socket.destroy());
  socket.resume();
  socket.end(text);
}

function answer(response: ServerResponse, status: number, contentType: string, body: string): void {
  response.writeHead(status, {
    "Cache-Control": "no-store",
    "Content-Type": contentType,
    "Content-Length": Buffer.byteLength(body),
    "X-Content-Type-Options": "nosniff",
    Connection: "close",
  });
  response.end(body);
}
