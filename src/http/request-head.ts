// A visitor's request head, read strictly: RFC 9112 with every "MAY be lenient"
// answered by no. docs/http-strictness.md lists what is refused and why.

import { type Authority, parseAuthority } from "./authority.ts";
import { CR, LF, quote, tokenList, trimSpace } from "./chars.ts";
import { type ConnectionOptions, NO_OPTIONS, parseConnection, parseUpgrade } from "./connection.ts";
import { HttpFault } from "./fault.ts";
import { type HeadSource, headSource, scanFields } from "./fields.ts";
import { CHUNKED, type Framing, NO_BODY, parseContentLength } from "./framing.ts";
import { Head } from "./head.ts";
import { HTTP_LIMITS, type HttpLimits } from "./limits.ts";
import { forwardedStart, RequestFields } from "./request-fields.ts";
import { invalid, parseRequestLine, type RequestLine } from "./request-line.ts";

/** One request's head. Immutable; may be shared by many requests of the same bytes. */
export class RequestHead extends Head {
  readonly kind = "request";
  /** As it came; one of `METHODS`. */
  readonly method: string;
  /** What goes to the target and into reports: path and query of origin- and absolute-form as they came, or `*`. */
  readonly target: string;
  readonly form: "origin" | "absolute" | "asterisk";
  /** Minor version: HTTP/1.0 or HTTP/1.1. */
  readonly version: 0 | 1;
  /** Canonical: lower case, no port, no trailing dot; IPv6 in brackets: `[::1]`. Never empty. */
  readonly host: string;
  /** The Host's port, or null when it named none. */
  readonly port: number | null;
  /** Host exactly as it came (without white space around it). */
  readonly hostHeader: string;
  /** Never `close`. */
  readonly framing: Framing;
  /** Whether the visitor lets the connection go on after this exchange. */
  readonly keepAlive: boolean;
  /** The Upgrade field, if Connection names it and it is one that we forward (not h2c), else null. */
  readonly upgrade: string | null;
  /** `Expect: 100-continue` on HTTP/1.1. */
  readonly expectContinue: boolean;
  /** Whether the visitor can take trailers (`TE: trailers`). */
  readonly acceptsTrailers: boolean;
  /** Lower-case members of Connection, in order. */
  readonly connectionTokens: readonly string[];
  /** Joined Via fields as they came, or null. */
  readonly via: string | null;
  /** X-Forwarded-*, Forwarded and X-Real-IP as they came: name, value, … */
  readonly forwardingFields: readonly string[];
  /** For `buildRequestHead`: the head for the target without forwarding fields and the last empty line. */
  readonly forwarded: string;

  /** Use `parseRequestHead`. */
  constructor(
    text: string,
    line: RequestLine,
    fields: RequestFields,
    read: { readonly authority: Authority; readonly framing: Framing; readonly options: ConnectionOptions },
  ) {
    super(text, line.end);
    const { options } = read;
    this.method = line.method;
    this.target = line.target;
    this.form = line.form;
    this.version = line.version;
    this.host = read.authority.host;
    this.port = read.authority.port;
    this.hostHeader = fields.host ?? "";
    this.framing = read.framing;
    this.keepAlive = line.version === 1 ? !options.close : options.keepAlive && !options.close;
    // RFC 9110 §7.8: an Upgrade from HTTP/1.0, or without the connection option, is to be ignored.
    const isUpgrade = options.upgrade && fields.upgrade !== null && line.version === 1;
    this.upgrade = isUpgrade ? parseUpgrade(fields.upgrade ?? "") : null;
    // RFC 9110 §10.1.1: ignored on HTTP/1.0.
    this.expectContinue =
      line.version === 1 && fields.expect !== null && fields.expect.toLowerCase() === "100-continue";
    this.acceptsTrailers = fields.te !== null && (tokenList(fields.te)?.includes("trailers") ?? false);
    this.connectionTokens = options.tokens;
    this.via = fields.via;
    this.forwardingFields = fields.forwarding ?? NO_FIELDS;
    this.forwarded = forwardedStart({
      text,
      line,
      fields,
      named: options.named,
      upgrade: this.upgrade,
      acceptsTrailers: this.acceptsTrailers,
    });
  }

  /** Whether Via names `pseudonym`: the request went through that node already (RFC 9110 §7.6.3) → DPX_LOOP. */
  wentThrough(pseudonym: string): boolean {
    if (this.via === null || !this.via.includes(pseudonym)) return false;
    // received-protocol RWS received-by [ RWS comment ]
    return this.via.split(",").some((hop) => trimSpace(hop).split(/[ \t]+/)[1] === pseudonym);
  }
}

const NO_FIELDS: readonly string[] = [];

/**
 * Reads one request head.
 *
 * @param text Latin-1, from the first byte of the request line (or one empty line before it, RFC 9112 §2.2) to the
 * CRLFCRLF, both included: what `findHeadEnd` delimits.
 * @returns A fault with DPX_REQUEST_INVALID, DPX_HEAD_TOO_LARGE, DPX_NOT_IMPLEMENTED or DPX_VERSION_UNSUPPORTED.
 * @see docs/http-strictness.md
 */
export function parseRequestHead(text: string, limits: HttpLimits = HTTP_LIMITS): RequestHead | HttpFault {
  const bytes = Buffer.from(text, "latin1");
  return readRequestHead(headSource(bytes, 0, bytes.length), limits);
}

/** The same for a head where a connection has it: `headSource(buffer, start, end)`. */
export function readRequestHead(source: HeadSource, limits: HttpLimits = HTTP_LIMITS): RequestHead | HttpFault {
  const { text } = source;
  if (text.length > limits.maxHeadBytes) {
    return new HttpFault("DPX_HEAD_TOO_LARGE", `Cannot read the request: its head passes ${limits.maxHeadBytes} bytes`);
  }
  const start = text.charCodeAt(0) === CR && text.charCodeAt(1) === LF ? 2 : 0;
  const line = parseRequestLine(source, start, limits.maxStartLineBytes);
  if (line instanceof HttpFault) return line;
  const fields = new RequestFields();
  // A plain request line is kept in one run with the fields behind it.
  scanFields(source, line.end, line.isPlain ? start : line.end, limits.maxFields, fields);
  if (fields.error !== null) {
    const code = fields.hasTooMany ? "DPX_HEAD_TOO_LARGE" : "DPX_REQUEST_INVALID";
    return new HttpFault(code, `Cannot read the request: ${fields.error}`);
  }
  const authority = readHost(line, fields.host);
  if (authority instanceof HttpFault) return authority;
  const framing = readFraming(line, fields);
  if (framing instanceof HttpFault) return framing;
  const options = fields.connection === null ? NO_OPTIONS : parseConnection(fields.connection);
  if (typeof options === "string") return invalid(options);
  return new RequestHead(text, line, fields, { authority, framing, options });
}

/** RFC 9112 §3.2: exactly one Host, valid, and the same as an absolute-form target's. */
function readHost(line: RequestLine, host: string | null): Authority | HttpFault {
  // HTTP/1.0 may go without; a proxy that routes by it may not.
  if (host === null) return invalid("it has no Host");
  const authority = parseAuthority(host);
  if (typeof authority === "string") return invalid(`its Host ${quote(host)} ${authority}`);
  if (line.authority === null) return authority;
  const defaultPort = line.isTls ? 443 : 80;
  const isSame =
    authority.host === line.authority.host && (authority.port ?? defaultPort) === (line.authority.port ?? defaultPort);
  // §3.2.2 would let the target win; then a filter before us that reads Host has judged another request.
  return isSame ? authority : invalid(`its Host ${quote(host)} is not the host of its target`);
}

/** RFC 9112 §6.3; §6.1 on Content-Length beside Transfer-Encoding and on HTTP/1.0. */
function readFraming(line: RequestLine, fields: RequestFields): Framing | HttpFault {
  const { contentLength, transferEncoding } = fields;
  if (transferEncoding !== null) {
    if (contentLength !== null) return invalid("it has both Content-Length and Transfer-Encoding");
    if (line.version === 0) return invalid("HTTP/1.0 has no Transfer-Encoding");
    if (line.method === "TRACE") return invalid("TRACE has no content");
    if (transferEncoding.toLowerCase() === "chunked") return CHUNKED;
    const isOther = tokenList(transferEncoding)?.some((coding) => coding !== "chunked") ?? false;
    const message = `Cannot read the request: its Transfer-Encoding ${quote(transferEncoding)} is not chunked`;
    return new HttpFault(isOther ? "DPX_NOT_IMPLEMENTED" : "DPX_REQUEST_INVALID", message);
  }
  if (contentLength === null) return NO_BODY;
  const bytes = parseContentLength(contentLength);
  if (bytes < 0) return invalid(`its Content-Length ${quote(contentLength)} is not a plain number`);
  // RFC 9110 §9.3.8.
  if (bytes > 0 && line.method === "TRACE") return invalid("TRACE has no content");
  return { kind: "length", bytes };
}
