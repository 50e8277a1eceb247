// A target's answer head, read as strictly as a request: its framing decides
// when the connections on both sides may serve the next exchange.

import { FIELD_VALUE, quote } from "./chars.ts";
import { type ConnectionOptions, NO_OPTIONS, parseConnection } from "./connection.ts";
import { HttpFault } from "./fault.ts";
import { responseKind } from "./field-kinds.ts";
import { characterName, FieldSection, type HeadSource, headSource, Kind, scanFields, visitFields } from "./fields.ts";
import { CHUNKED, type Framing, NO_BODY, parseContentLength, UNTIL_CLOSE } from "./framing.ts";
import { Head } from "./head.ts";
import { HTTP_LIMITS, type HttpLimits } from "./limits.ts";

/** What of the request decides how its answer is read; a RequestHead is one. */
export interface AnswerContext {
  readonly method: string;
  /** A 101 is refused when this is null. */
  readonly upgrade: string | null;
}

class ResponseFields extends FieldSection {
  override kindOf(text: string, start: number, end: number): Kind {
    return responseKind(text, start, end);
  }

  override take(kind: Kind, _name: string, value: string): boolean {
    this.takeShared(kind, value);
    // Framing is written anew: it depends on the visitor as well.
    return false;
  }
}

/** One answer's head. Immutable; may be shared by many answers of the same bytes. */
export class ResponseHead extends Head {
  readonly kind = "response";
  readonly status: number;
  readonly reason: string;
  readonly version: 0 | 1;
  /** `none` for 1xx, 204, 304 and answers to HEAD. */
  readonly framing: Framing;
  /** Whether the target lets its connection go on after this exchange. Never true with framing `close`, nor for 101. */
  readonly keepAlive: boolean;
  /** The Upgrade field of a 101 (or 426), else null. After a 101 all that follows belongs to the other protocol. */
  readonly upgrade: string | null;
  /** 1xx but 101: pass it on (not to HTTP/1.0 visitors) and read the next head. */
  readonly isInterim: boolean;
  /** Lower-case members of Connection, in order. */
  readonly connectionTokens: readonly string[];
  /** For `buildResponseHead`: status line and the fields that go on, without framing, Connection and the last empty line. */
  readonly forwarded: string;
  /** For `buildResponseHead`: the line that frames the body, as far as any visitor may see it. */
  readonly framingLine: string;

  /** Use `parseResponseHead`. */
  constructor(text: string, line: StatusLine, fields: ResponseFields, framing: Framing, options: ConnectionOptions) {
    super(text, line.end);
    this.status = line.status;
    this.reason = line.reason;
    this.version = line.version;
    this.framing = framing;
    this.isInterim = line.status < 200 && line.status !== 101;
    const isPersistent = line.version === 1 ? !options.close : options.keepAlive && !options.close;
    this.keepAlive = isPersistent && framing.kind !== "close" && line.status !== 101;
    // RFC 9110 §15.5.22: a 426 must say what to upgrade to.
    this.upgrade = line.status === 101 || line.status === 426 ? fields.upgrade : null;
    this.connectionTokens = options.tokens;
    const kept = options.named === null ? fields.kept : withoutNamed(text, line.end, options.named);
    this.forwarded = `HTTP/1.1 ${line.status} ${line.reason}\r\n${kept}`;
    this.framingLine = framingLine(line.status, fields);
  }
}

/**
 * Reads one answer head.
 *
 * @param text Latin-1, the status line to the CRLFCRLF, both included.
 * @returns A fault with DPX_TARGET_ANSWER.
 */
export function parseResponseHead(
  text: string,
  request: AnswerContext,
  limits: HttpLimits = HTTP_LIMITS,
): ResponseHead | HttpFault {
  const bytes = Buffer.from(text, "latin1");
  return readResponseHead(headSource(bytes, 0, bytes.length), request, limits);
}

/** The same for a head where a connection has it: `headSource(buffer, start, end)`. */
export function readResponseHead(
  source: HeadSource,
  request: AnswerContext,
  limits: HttpLimits = HTTP_LIMITS,
): ResponseHead | HttpFault {
  const { text } = source;
  if (text.length > limits.maxHeadBytes) return answerFault(`its head passes ${limits.maxHeadBytes} bytes`);
  const line = parseStatusLine(text, limits.maxStartLineBytes);
  if (typeof line === "string") return answerFault(line);
  const fields = new ResponseFields();
  scanFields(source, line.end, line.end, limits.maxFields, fields);
  if (fields.error !== null) return answerFault(fields.error);
  const options = fields.connection === null ? NO_OPTIONS : parseConnection(fields.connection);
  if (typeof options === "string") return answerFault(options);
  if (line.status === 101) {
    // RFC 9110 §7.8: a server must not switch unless it was asked.
    if (request.upgrade === null) return answerFault("it is a 101, but the request asked for no upgrade");
    if (fields.upgrade === null || !options.upgrade) return answerFault("it is a 101 without Connection: Upgrade");
  }
  const framing = readFraming(line, fields, request.method);
  if (typeof framing === "string") return answerFault(framing);
  return new ResponseHead(text, line, fields, framing, options);
}

interface StatusLine {
  readonly status: number;
  readonly reason: string;
  readonly version: 0 | 1;
  readonly end: number;
}

/** RFC 9112 §4. The space before an empty reason may be missing: many targets leave it out, and nothing is unclear. */
function parseStatusLine(text: string, maxBytes: number): StatusLine | string {
  if (!text.startsWith("HTTP/1.")) return `it begins with ${quote(text.slice(0, 8))}, not with HTTP/1.1 or HTTP/1.0`;
  const minor = text.charCodeAt(7) - 0x30;
  if (minor !== 0 && minor !== 1) return `its version ${quote(text.slice(0, 8))} is not HTTP/1.1 or HTTP/1.0`;
  let status = 0;
  for (let at = 9; at < 12; at++) {
    const digit = text.charCodeAt(at) - 0x30;
    if (!(digit >= 0 && digit <= 9)) return `its status ${quote(text.slice(9, 12))} is not a number of three digits`;
    status = status * 10 + digit;
  }
  const hasSpaces = text.charCodeAt(8) === 0x20 && (text.charCodeAt(12) === 0x20 || text.charCodeAt(12) === 0x0d);
  if (!hasSpaces || status < 100) return `its status line ${quote(text.slice(0, 20))} is malformed`;
  let at = 12;
  let code = text.charCodeAt(at);
  while (FIELD_VALUE[code] === 1) code = text.charCodeAt(++at);
  if (at > maxBytes) return `its status line is longer than ${maxBytes} bytes`;
  if (code !== 0x0d || text.charCodeAt(at + 1) !== 0x0a) return `its status line holds ${characterName(code)}`;
  return { status, reason: text.slice(13, at), version: minor, end: at + 2 };
}

/** RFC 9112 §6.3. */
function readFraming(line: StatusLine, fields: ResponseFields, method: string): Framing | string {
  const { contentLength, transferEncoding } = fields;
  const { status } = line;
  const bytes = contentLength === null ? 0 : parseContentLength(contentLength);
  if (bytes < 0) return `its Content-Length ${quote(contentLength ?? "")} is not a plain number`;
  if (transferEncoding !== null) {
    if (contentLength !== null) return "it has both Content-Length and Transfer-Encoding";
    if (line.version === 0) return "HTTP/1.0 has no Transfer-Encoding";
    if (transferEncoding.toLowerCase() !== "chunked") {
      return `its Transfer-Encoding ${quote(transferEncoding)} is not chunked`;
    }
  }
  if (status < 200 || status === 204) {
    // RFC 9112 §6.1, RFC 9110 §8.6: neither may be there. A length of 0 is common and changes nothing.
    if (transferEncoding !== null || bytes > 0) return `it is a ${status} that announces content`;
    return NO_BODY;
  }
  if (status === 304 || method === "HEAD") return NO_BODY;
  if (transferEncoding !== null) return CHUNKED;
  return contentLength === null ? UNTIL_CLOSE : { kind: "length", bytes };
}

/** 304 and answers to HEAD keep what the full answer would have (RFC 9110 §8.6); 1xx and 204 have none. */
function framingLine(status: number, fields: ResponseFields): string {
  if (status < 200 || status === 204) return "";
  if (fields.contentLength !== null) return `Content-Length: ${fields.contentLength}\r\n`;
  return fields.transferEncoding === null ? "" : "Transfer-Encoding: chunked\r\n";
}

/** RFC 9110 §7.6.1. Line by line: rare. */
function withoutNamed(text: string, start: number, named: ReadonlySet<string>): string {
  let kept = "";
  visitFields(text, start, (name, _value, raw) => {
    if (!named.has(name.toLowerCase()) && responseKind(name, 0, name.length) === Kind.passed) kept += raw;
  });
  return kept;
}

/** `why` is the end of the sentence. */
function answerFault(why: string): HttpFault {
  return new HttpFault("DPX_TARGET_ANSWER", `Cannot read the target's answer: ${why}`);
}
