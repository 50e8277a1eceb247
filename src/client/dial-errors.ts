// What the network and the server say when a dial fails, in our words. Dials nothing.

import type { IncomingMessage } from "node:http";
import { DuplexityError, type ErrorCode, isErrorCode } from "../protocol/index.ts";
import { BACKOFF_MAX_MS, BACKOFF_NOT_NOW_MAX_MS, BACKOFF_REFUSED_MAX_MS } from "./backoff.ts";
import { errnoCodes } from "./errno.ts";

/** More of a refusal's body is not read. */
const MAX_REFUSAL_BYTES = 65_536;

/** After these a tunnel does not come back by itself: the same attempt would end the same way, or do harm. */
const FINAL: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(["DPX_USAGE", "DPX_PROTOCOL_VERSION", "DPX_AUTH_REQUIRED", "DPX_AUTH_INVALID", "DPX_FORBIDDEN"] as const),
  ...(["DPX_CLIENT_ID", "DPX_NAME_INVALID", "DPX_NAME_RESERVED", "DPX_NAME_TAKEN"] as const),
  ...(["DPX_REPLACED", "DPX_KICKED", "DPX_BANNED", "DPX_PIPES_LIMIT"] as const),
]);

/** A server says them that is well itself: it, or another one, will take this client in a moment. */
const NOT_NOW: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  ...(["DPX_STORE", "DPX_DRAINING", "DPX_TICKET_INVALID", "DPX_OVERLOADED", "DPX_UNAUTHENTICATED_LIMIT"] as const),
]);

/** Whether a tunnel that is up gives up because of it. */
export function isFinal(code: ErrorCode): boolean {
  return FINAL.has(code);
}

/** Whether nobody listened: known at once and without cost for either side. */
export function wasRefused(error: unknown): boolean {
  return errnoCodes(error).includes("ECONNREFUSED");
}

/** The upper end of the wait after a dial that failed with `error`, in ms, however often it has failed. */
export function longestWaitAfter(error: DuplexityError): number {
  if (wasRefused(error)) return BACKOFF_REFUSED_MAX_MS;
  return NOT_NOW.has(error.code) ? BACKOFF_NOT_NOW_MAX_MS : BACKOFF_MAX_MS;
}

/** Why `server` could not be dialled. A DuplexityError stays what it is. */
export function dialFailure(server: string, error: unknown): DuplexityError {
  if (error instanceof DuplexityError) return error;
  const { why, hint } = explain(error);
  return new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot reach ${server}: ${why}`, { hint, cause: error });
}

function explain(error: unknown): { why: string; hint?: string } {
  const codes = errnoCodes(error);
  const [code] = codes;
  if (codes.includes("ECONNREFUSED")) {
    return { why: "nothing listens there (ECONNREFUSED)", hint: "Is the server running? duplexity serve starts one." };
  }
  if (code === "ENOTFOUND" || code === "EAI_AGAIN") {
    return { why: `its name is not known (${code})`, hint: "Check the server's address and this machine's network." };
  }
  if (code === "ETIMEDOUT" || code === "UND_ERR_CONNECT_TIMEOUT") return { why: `it did not answer in time (${code})` };
  if (error instanceof Error && error.name === "TimeoutError") return { why: "it did not answer in time" };
  if (code === "ECONNRESET" || code === "UND_ERR_SOCKET") {
    return { why: "it closed the connection without an answer (ECONNRESET)" };
  }
  // The HTTP parser's: HPE_INVALID_CONSTANT and the like. undici's may have no code.
  if (code?.startsWith("HPE_") || (error instanceof Error && error.name === "HTTPParserError")) {
    return {
      why: "what answers there is not a duplexity server, nor HTTP at all",
      hint: "Check the port: is it another program's?",
    };
  }
  if (code?.includes("CERT") || code?.includes("SELF_SIGNED") || code?.startsWith("ERR_TLS")) {
    return {
      why: `its certificate is not trusted here (${code})`,
      hint: "For a private CA: NODE_EXTRA_CA_CERTS=/path/to/ca.pem",
    };
  }
  if (code === "EPROTO" || code === "ERR_SSL_WRONG_VERSION_NUMBER") {
    return { why: `it does not speak TLS there (${code})`, hint: "Is it http:// instead of https://?" };
  }
  if (code !== undefined && !code.startsWith("UND_ERR_")) return { why: code };
  return explainWords(error);
}

/** For what has no code: `fetch` says "fetch failed" of everything, and why in the cause. */
function explainWords(error: unknown): { why: string; hint?: string } {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const why = cause instanceof Error ? cause.message : String(cause);
  // The Fetch standard, "port blocking": 1, 22, 6000 and others. A browser would not go there either.
  if (why !== "bad port") return { why };
  return {
    why: "its port is kept for another protocol, and HTTP clients refuse it",
    hint: "Let the server listen on another port, such as 8080.",
  };
}

/** Reads why `server` answered an upgrade with something else than 101. */
export async function readRefusal(server: string, response: IncomingMessage): Promise<DuplexityError> {
  const status = response.statusCode ?? 0;
  const header = response.headers["duplexity-error"];
  const later = { retryAfterMs: retryAfterIn(response.headers["retry-after"]) };
  try {
    const error = errorIn(await readBody(response), later);
    if (error !== null) return error;
  } catch {
    // A body that breaks off tells nothing: the status and the header are left.
  }
  if (isErrorCode(header)) return new DuplexityError(header, `${server} answered ${status} (${header})`, later);
  const message = `Cannot reach a duplexity server at ${server}: it answered ${status}`;
  const hint = hintFor(status, response.headers.location);
  return new DuplexityError("DPX_SERVER_UNREACHABLE", message, { hint, ...later });
}

/** Whole seconds (RFC 9110 §10.2.3). The other form, a date, is of a clock that may differ from this one: left out. */
function retryAfterIn(header: string | undefined): number | undefined {
  return header !== undefined && /^\d{1,6}$/.test(header) ? Number(header) * 1_000 : undefined;
}

/** An answer that is not a duplexity server's own word: a portal or a proxy in front of it, which may be gone tomorrow. */
function hintFor(status: number, location: string | undefined): string | undefined {
  if (status === 401) return "Something in front of the server asks for a sign-in.";
  if (status === 403) return "Something in front of the server refuses the request.";
  if (status >= 300 && status < 400 && location !== undefined) {
    return `It points to ${location.slice(0, 256)}: use that as the server.`;
  }
  const isPipe = status === 404 || status === 200 || status === 426;
  return isPipe ? "Is that the server's own address, and not one of a pipe?" : undefined;
}

async function readBody(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response) {
    if (!Buffer.isBuffer(chunk)) continue;
    chunks.push(chunk);
    length += chunk.length;
    if (length > MAX_REFUSAL_BYTES) break;
  }
  return Buffer.concat(chunks).toString("utf8", 0, MAX_REFUSAL_BYTES);
}

/** `{"error": {"code", "message", "hint"}}` */
function errorIn(text: string, later: { readonly retryAfterMs: number | undefined }): DuplexityError | null {
  const body: unknown = JSON.parse(text);
  const error = field(body, "error");
  const code = field(error, "code");
  const message = field(error, "message");
  const hint = field(error, "hint");
  if (!isErrorCode(code) || typeof message !== "string") return null;
  return new DuplexityError(code, clean(message), {
    hint: typeof hint === "string" ? clean(hint) : undefined,
    ...later,
  });
}

function field(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined;
  return Object.getOwnPropertyDescriptor(value, name)?.value;
}

/** It may be shown on a terminal: no escape sequences from the other side. */
function clean(text: string): string {
  return text.slice(0, 1_024).replace(/\p{Cc}/gu, " ");
}
