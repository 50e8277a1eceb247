// The first line of a request: method, target in one of its forms, version.

import { type Authority, parseAuthority } from "./authority.ts";
import { isToken, quote, SPACE, TARGET } from "./chars.ts";
import { HttpFault } from "./fault.ts";
import { characterName, type HeadSource } from "./fields.ts";

export interface RequestLine {
  readonly method: string;
  /** Origin-form or `*`. */
  readonly target: string;
  readonly form: "origin" | "absolute" | "asterisk";
  readonly version: 0 | 1;
  /** Of an absolute-form, else null. */
  readonly authority: Authority | null;
  /** Whether an absolute-form began with https. */
  readonly isTls: boolean;
  /** Whether the line can go to the target as it came. */
  readonly isPlain: boolean;
  /** Where the fields begin. */
  readonly end: number;
}

/**
 * Methods that are passed on: those of node:http, so that no target written for it is surprised. CONNECT is none of
 * them: a reverse proxy has nowhere to connect to (RFC 9110 §9.3.6).
 */
export const METHODS: ReadonlySet<string> = new Set(
  (
    "GET HEAD POST PUT DELETE OPTIONS PATCH TRACE QUERY ACL BIND CHECKOUT COPY LINK LOCK M-SEARCH MERGE MKACTIVITY " +
    "MKCALENDAR MKCOL MOVE NOTIFY PROPFIND PROPPATCH PURGE PUT REBIND REPORT SEARCH SOURCE SUBSCRIBE UNBIND UNLINK " +
    "UNLOCK UNSUBSCRIBE"
  ).split(" "),
);

/** Reads the request line that begins at `start`. RFC 9112 §3: single spaces, nothing around. */
export function parseRequestLine(source: HeadSource, start: number, maxBytes: number): RequestLine | HttpFault {
  const { bytes, base, text } = source;
  const methodEnd = text.indexOf(" ", start);
  const method = methodEnd < 0 || methodEnd > start + 32 ? "" : text.slice(start, methodEnd);
  const isKnown = METHODS.has(method);
  if (!isKnown && !isToken(method)) return lineFault(text, start);
  const targetStart = methodEnd + 1;
  let at = targetStart;
  let code = bytes[base + at] ?? -1;
  while (TARGET[code] === 1) code = bytes[base + ++at] ?? -1;
  if (at - start > maxBytes) {
    return new HttpFault("DPX_HEAD_TOO_LARGE", `Cannot read the request line: it is longer than ${maxBytes} bytes`);
  }
  if (code !== SPACE || at === targetStart) {
    return invalid(`the request target ${at === targetStart ? "is missing" : `holds ${characterName(code)}`}`);
  }
  const version = parseVersion(text, at + 1);
  if (typeof version !== "number") return version;
  if (!isKnown) {
    return new HttpFault("DPX_NOT_IMPLEMENTED", `Cannot pass the method ${quote(method)} on: it is not supported`);
  }
  const end = at + 11;
  const target = text.slice(targetStart, at);
  if (target.charCodeAt(0) === 0x2f) {
    return { method, target, form: "origin", version, authority: null, isTls: false, isPlain: version === 1, end };
  }
  if (target === "*") {
    // RFC 9112 §3.2.4: OPTIONS only.
    if (method !== "OPTIONS") return invalid(`the target "*" belongs to OPTIONS, not to ${method}`);
    return { method, target, form: "asterisk", version, authority: null, isTls: false, isPlain: version === 1, end };
  }
  return absoluteForm(method, target, version, end);
}

/** RFC 9112 §3.2.2. */
function absoluteForm(method: string, uri: string, version: 0 | 1, end: number): RequestLine | HttpFault {
  const scheme = /^https?:\/\//i.exec(uri);
  if (scheme === null) return invalid(`the target ${quote(uri)} is neither a path nor an http URL`);
  const start = scheme[0].length;
  const rest = uri.slice(start);
  const length = rest.search(/[/?]/);
  const authority = parseAuthority(length < 0 ? rest : rest.slice(0, length));
  if (typeof authority === "string") return invalid(`the host in the target ${quote(uri)} ${authority}`);
  const path = length < 0 ? "" : rest.slice(length);
  // RFC 9112 §3.2.1 and §3.2.4: an empty path is "/", and for OPTIONS without a query "*".
  const target = path === "" && method === "OPTIONS" ? "*" : path.startsWith("/") ? path : `/${path}`;
  const isTls = start === 8;
  return { method, target, form: "absolute", version, authority, isTls, isPlain: false, end };
}

/** `HTTP/1.0` or `HTTP/1.1` and CRLF at `at`: RFC 9112 §2.3, case-sensitive. */
function parseVersion(text: string, at: number): 0 | 1 | HttpFault {
  if (text.startsWith("HTTP/1.1\r\n", at)) return 1;
  if (text.startsWith("HTTP/1.0\r\n", at)) return 0;
  const version = /^HTTP\/[0-9]\.[0-9]\r\n/.exec(text.slice(at, at + 10));
  if (version !== null) {
    return new HttpFault(
      "DPX_VERSION_UNSUPPORTED",
      `Cannot speak ${version[0].trimEnd()}: HTTP/1.1 and HTTP/1.0 are supported`,
    );
  }
  return invalid(`the request line ends in ${quote(text.slice(at, at + 10))}, not in an HTTP version and CRLF`);
}

function lineFault(text: string, start: number): HttpFault {
  const line = text.slice(start, start + 40);
  if (line.startsWith("\r") || line.startsWith("\n")) return invalid("empty lines stand before the request line");
  return invalid(`the request line begins with ${quote(line.split("\r")[0] ?? "")}, not with a method and a space`);
}

/** `why` is the end of the sentence. */
export function invalid(why: string): HttpFault {
  return new HttpFault("DPX_REQUEST_INVALID", `Cannot read the request: ${why}`);
}
