// The answers that the proxy gives itself when a request cannot be served. Never tells an internal address, and
// never says more than the visitor's own request did.

import { STATUS_CODES } from "node:http";
import { ERRORS, type ErrorCode } from "../../protocol/index.ts";
import { escapeHtml } from "../escape-html.ts";

export interface ErrorAnswer {
  readonly code: ErrorCode;
  /** Empty when the request could not be read. */
  readonly method: string;
  /** The request's Accept field, or an empty string. */
  readonly accept: string;
  /** Canonical hostname, or an empty string when it is not known. */
  readonly hostname: string;
  /** Whether the connection ends after it. */
  readonly close: boolean;
  /** More fields, each with its CRLF. */
  readonly fields?: string;
  /** Seconds for Retry-After. Left out: 5 for what is worth a retry, else none. */
  readonly retryAfterSeconds?: number;
}

/** Default of Retry-After, in seconds: a client's usual time to come back. */
const RETRY_AFTER_SECONDS = 5;

/** RFC 9209 §2.3: the error types of Proxy-Status, by code. */
const PROXY_STATUS = new Map<ErrorCode, string>([
  ["DPX_NAME_UNKNOWN", "destination_not_found"],
  ["DPX_PIPE_UNKNOWN", "destination_not_found"],
  ["DPX_TARGET_REFUSED", "connection_refused"],
  ["DPX_TARGET_UNREACHABLE", "destination_ip_unroutable"],
  ["DPX_TARGET_TIMEOUT", "connection_timeout"],
  ["DPX_TARGET_TLS", "tls_protocol_error"],
  ["DPX_TARGET_BROKE", "connection_terminated"],
  ["DPX_TARGET_CLOSED", "connection_terminated"],
  ["DPX_TARGET_ANSWER", "http_protocol_error"],
  ["DPX_CLIENT_AWAY", "destination_unavailable"],
  ["DPX_HOLD_LIMIT", "destination_unavailable"],
  ["DPX_SESSION_EXPIRED", "destination_unavailable"],
  ["DPX_LINK_LOST", "destination_unavailable"],
  ["DPX_LINK_DEAD", "destination_unavailable"],
  ["DPX_REPLACED", "destination_unavailable"],
  ["DPX_KICKED", "destination_unavailable"],
  ["DPX_DRAINING", "destination_unavailable"],
  ["DPX_LOOP", "proxy_loop_detected"],
  ["DPX_LIMIT", "connection_limit_reached"],
  ["DPX_STREAMS_LIMIT", "connection_limit_reached"],
  ["DPX_OPEN_RATE", "connection_limit_reached"],
  ["DPX_REQUEST_INVALID", "http_request_error"],
  ["DPX_HEAD_TOO_LARGE", "http_request_error"],
  ["DPX_HEAD_TIMEOUT", "http_request_error"],
  ["DPX_BODY_TIMEOUT", "http_request_error"],
  ["DPX_NOT_IMPLEMENTED", "http_request_error"],
  ["DPX_VERSION_UNSUPPORTED", "http_request_error"],
  ["DPX_MISDIRECTED", "http_request_error"],
  ["DPX_VISITOR_UNKNOWN", "http_request_denied"],
  ["DPX_VISITOR_FORBIDDEN", "http_request_denied"],
  ["DPX_SIGN_IN_FAILED", "http_request_denied"],
  ["DPX_RATE_LIMIT", "http_request_denied"],
]);

/** The status that a visitor gets for `code`; never one below 400. */
export function visitorStatus(code: ErrorCode): number {
  const status = ERRORS[code].httpStatus;
  return status === 499 ? 503 : status;
}

/** One whole HTTP/1.1 answer as a string of ASCII and, for the hostname, latin1. Without a body for HEAD. */
export function errorAnswer(answer: ErrorAnswer): string {
  const { code } = answer;
  const status = visitorStatus(code);
  const reason = STATUS_CODES[status] ?? "Error";
  const [type, body] = bodyOf(answer, status, reason);
  const retryAfter = answer.retryAfterSeconds ?? (ERRORS[code].retryable ? RETRY_AFTER_SECONDS : null);
  let head =
    `HTTP/1.1 ${status} ${reason}\r\n` +
    `Content-Type: ${type}; charset=utf-8\r\nContent-Length: ${body.length}\r\nCache-Control: no-store\r\n` +
    `Duplexity-Error: ${code}\r\nProxy-Status: duplexity; error=${PROXY_STATUS.get(code) ?? "proxy_internal_error"}\r\n` +
    `X-Content-Type-Options: nosniff\r\n`;
  if (answer.fields !== undefined) head += answer.fields;
  if (retryAfter !== null && (status === 503 || status === 429)) head += `Retry-After: ${retryAfter}\r\n`;
  head += `Date: ${new Date().toUTCString()}\r\nConnection: ${answer.close ? "close" : "keep-alive"}\r\n\r\n`;
  return answer.method === "HEAD" ? head : head + body;
}

/** All bodies are ASCII, so that length and bytes agree. */
function bodyOf(answer: ErrorAnswer, status: number, reason: string): readonly [type: string, body: string] {
  const { code, accept } = answer;
  const message = sentence(answer);
  const html = accept.indexOf("text/html");
  const json = accept.search(/application\/(?:[a-z.-]+\+)?json/);
  if (html !== -1 && (json === -1 || html < json)) {
    return ["text/html", page(`${status} ${reason}`, message, code)];
  }
  if (json !== -1) return ["application/json", `${JSON.stringify({ error: { code, message } })}\n`];
  return ["text/plain", `${status} ${reason}\n${message}\n${code}\n`];
}

function sentence(answer: ErrorAnswer): string {
  const hostname = /^[a-z0-9.:[\]_-]{1,255}$/.test(answer.hostname) ? answer.hostname : "";
  if (answer.code === "DPX_NAME_UNKNOWN" && hostname !== "") return `No tunnel is open for ${hostname}.`;
  if (answer.code === "DPX_CLIENT_AWAY" && hostname !== "") {
    return `The client of ${hostname} is not connected at the moment. Try again in a few seconds.`;
  }
  return ERRORS[answer.code].meaning;
}

function page(title: string, message: string, code: ErrorCode): string {
  return (
    `<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">` +
    `<title>${title}</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:20vh auto;padding:0 1em;` +
    `color-scheme:light dark}code{opacity:.7}</style><h1>${title}</h1><p>${escapeHtml(message)}</p><p><code>${code}</code></p></html>\n`
  );
}
