// One trailer line. Trailers pass through as raw bytes, so what could change
// the meaning of the message if a reader merges them is refused here.

import { COLON, CR, FIELD_VALUE, LF, quote, TOKEN } from "./chars.ts";
import { responseKind } from "./field-kinds.ts";
import { Kind } from "./fields.ts";

/**
 * RFC 9110 §6.5.1: fields for framing, routing, request modifiers, authentication, response control and how content is
 * processed must not come in trailers.
 */
const FORBIDDEN = new Set([
  "authorization",
  "cache-control",
  "content-encoding",
  "content-range",
  "content-type",
  "cookie",
  "expect",
  "forwarded",
  "host",
  "location",
  "max-forwards",
  "proxy",
  "range",
  "set-cookie",
  "te",
  "trailer",
  "via",
]);

/** What is wrong with `line`, which ends in LF, or null. */
export function trailerError(line: string): string | null {
  let at = 0;
  while (TOKEN[line.charCodeAt(at)] === 1) at++;
  if (at === 0 || line.charCodeAt(at) !== COLON) return "a trailer line has no valid name and colon";
  const name = line.slice(0, at);
  at++;
  while (FIELD_VALUE[line.charCodeAt(at)] === 1) at++;
  if (line.charCodeAt(at) !== CR || line.charCodeAt(at + 1) !== LF) {
    return `the value of the trailer ${quote(name)} holds a control character or does not end in CRLF`;
  }
  return isForbidden(name) ? `the field ${quote(name)} must not be in a trailer` : null;
}

function isForbidden(name: string): boolean {
  const lower = name.toLowerCase().replaceAll("_", "-");
  // Connection, Keep-Alive, Proxy-*, Upgrade, Content-Length, Transfer-Encoding.
  if (responseKind(lower, 0, lower.length) !== Kind.passed) return true;
  return FORBIDDEN.has(lower) || lower.startsWith("x-forwarded-") || lower === "x-real-ip";
}
