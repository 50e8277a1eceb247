// Which field names mean something to a proxy. By length first, so that most
// fields cost two comparisons.

import { isNamed } from "./chars.ts";
import { Kind } from "./fields.ts";

/** RFC 9110 §7.6.1 and what we set ourselves towards the target. */
export function requestKind(text: string, start: number, end: number): Kind {
  const first = text.charCodeAt(start) | 0x20;
  switch (first) {
    case 0x68: // h
      if (end - start === 4 && isNamed(text, start, "host")) return Kind.host;
      // RFC 7540 §3.2.1, for one connection only; h2c is not forwarded.
      return end - start === 14 && isNamed(text, start, "http2-settings") ? Kind.dropped : Kind.passed;
    case 0x65: // e
      return end - start === 6 && isNamed(text, start, "expect") ? Kind.expect : Kind.passed;
    case 0x66: // f
      return end - start === 9 && isNamed(text, start, "forwarded") ? Kind.forwarding : Kind.passed;
    case 0x76: // v
      return end - start === 3 && isNamed(text, start, "via") ? Kind.via : Kind.passed;
    case 0x78: // x
      return isForwardingName(text, start, end) ? Kind.forwarding : Kind.passed;
    case 0x74: // t
      if (end - start === 2 && isNamed(text, start, "te")) return Kind.te;
      return end - start === 17 && isNamed(text, start, "transfer-encoding") ? Kind.transferEncoding : Kind.passed;
    case 0x70: // p
      // All of Proxy-*: they speak to us. And "Proxy" alone: CGI makes HTTP_PROXY of it (CVE-2016-5385, httpoxy).
      if (!isNamed(text, start, "proxy")) return Kind.passed;
      return end - start === 5 || text.charCodeAt(start + 5) === 0x2d ? Kind.dropped : Kind.passed;
    default:
      return sharedKind(text, start, end, first);
  }
}

/** The same for answers: nothing is ours there but the connection. */
export function responseKind(text: string, start: number, end: number): Kind {
  const first = text.charCodeAt(start) | 0x20;
  switch (first) {
    case 0x74: // t
      return end - start === 17 && isNamed(text, start, "transfer-encoding") ? Kind.transferEncoding : Kind.passed;
    case 0x70: // p
      // Proxy-Status (RFC 9209) is meant for all.
      if (!isNamed(text, start, "proxy-")) return Kind.passed;
      return end - start === 12 && isNamed(text, start, "proxy-status") ? Kind.passed : Kind.dropped;
    default:
      return sharedKind(text, start, end, first);
  }
}

function sharedKind(text: string, start: number, end: number, first: number): Kind {
  const length = end - start;
  if (first === 0x63) {
    if (length === 10) return isNamed(text, start, "connection") ? Kind.connection : Kind.passed;
    return length === 14 && isNamed(text, start, "content-length") ? Kind.contentLength : Kind.passed;
  }
  if (first === 0x75) return length === 7 && isNamed(text, start, "upgrade") ? Kind.upgrade : Kind.passed;
  if (first === 0x6b) return length === 10 && isNamed(text, start, "keep-alive") ? Kind.dropped : Kind.passed;
  return Kind.passed;
}

/** X-Forwarded-* and X-Real-IP, also with "_" for "-": CGI and WSGI fold the two into one variable. */
function isForwardingName(text: string, start: number, end: number): boolean {
  const third = text.charCodeAt(start + 2) | 0x20;
  if (end - start < 9 || (third !== 0x66 && third !== 0x72)) return false;
  const name = text.slice(start, end).toLowerCase().replaceAll("_", "-");
  return name.startsWith("x-forwarded-") || name === "x-real-ip";
}
