// The field lines of a head, scanned once: each line checked, lines that go on
// as they are gathered in runs, the few that decide something told to a sink.

import { COLON, CR, DEL, isSpace, LF, quote, SPACE, TAB, TOKEN, trimSpace } from "./chars.ts";

/** What a field is to us; `Kind.passed` for all that go on untouched. */
export const Kind = {
  passed: 0,
  connection: 1,
  contentLength: 2,
  transferEncoding: 3,
  upgrade: 4,
  /** Hop-by-hop without a meaning to us: Keep-Alive, Proxy-Connection, … */
  dropped: 5,
  host: 6,
  expect: 7,
  te: 8,
  /** X-Forwarded-*, Forwarded, X-Real-IP. */
  forwarding: 9,
  via: 10,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

/** A head as bytes and as the same in Latin-1: `bytes[base]` is `text[0]`. */
export interface HeadSource {
  readonly bytes: Buffer;
  readonly base: number;
  readonly text: string;
}

/** The head in `buffer[start, end)`. */
export function headSource(buffer: Buffer, start: number, end: number): HeadSource {
  return { bytes: buffer, base: start, text: buffer.toString("latin1", start, end) };
}

/** What one scan found. Requests and answers add what means something to them alone. */
export abstract class FieldSection {
  /** The lines that go on, raw, each with its CRLF. */
  kept = "";
  /** What is wrong, as the end of a sentence, or null. */
  error: string | null = null;
  hasTooMany = false;
  connection: string | null = null;
  contentLength: string | null = null;
  transferEncoding: string | null = null;
  upgrade: string | null = null;

  abstract kindOf(text: string, start: number, end: number): Kind;

  /** Takes a field that is not `passed`. @returns Whether its line goes on. */
  abstract take(kind: Kind, name: string, value: string): boolean;

  protected takeShared(kind: Kind, value: string): boolean {
    switch (kind) {
      case Kind.connection:
        this.connection = join(this.connection, value);
        return false;
      case Kind.upgrade:
        this.upgrade = join(this.upgrade, value);
        return false;
      case Kind.contentLength:
        // RFC 9112 §6.3 rule 5 lets equal ones pass; that one reader takes the first and one the last is the attack.
        if (this.contentLength !== null) this.error = "it has two Content-Length fields";
        this.contentLength = value;
        return true;
      case Kind.transferEncoding:
        if (this.transferEncoding !== null) this.error = "it has two Transfer-Encoding fields";
        this.transferEncoding = value;
        return true;
      default:
        return false;
    }
  }
}

/** RFC 9110 §5.3: field lines of one name are one list. */
export function join(before: string | null, value: string): string {
  return before === null ? value : `${before}, ${value}`;
}

/**
 * Checks all field lines of a head, the first at `start`, to the CRLF that ends the head and must end it.
 *
 * @param runStart Where the kept text begins: `start`, or before it to keep the start line as well.
 */
export function scanFields(
  source: HeadSource,
  start: number,
  runStart: number,
  maxFields: number,
  section: FieldSection,
): void {
  // Bytes are scanned and text is cut: reading a byte costs half of reading a character.
  const { bytes, base, text } = source;
  const end = base + text.length;
  let run = runStart;
  let at = base + start;
  for (let count = 0; ; count++) {
    const line = at;
    let code = bytes[at] ?? -1;
    if (code === CR && bytes[at + 1] === LF && at + 2 === end) {
      section.kept += text.slice(run, at - base);
      return;
    }
    if (count === maxFields) {
      section.error = `it has more than ${maxFields} fields`;
      section.hasTooMany = true;
      return;
    }
    while (TOKEN[code] === 1) code = bytes[++at] ?? -1;
    const nameEnd = at;
    if (code !== COLON || nameEnd === line) {
      section.error = nameError(text, line - base, nameEnd - base);
      return;
    }
    // FIELD_VALUE, written out: a comparison is cheaper than the table here.
    code = bytes[++at] ?? -1;
    while ((code >= SPACE && code !== DEL) || code === TAB) code = bytes[++at] ?? -1;
    if (code !== CR || bytes[at + 1] !== LF) {
      section.error = valueError(text, line - base, nameEnd - base, at - base);
      return;
    }
    at += 2;
    const kind = section.kindOf(text, line - base, nameEnd - base);
    if (kind === Kind.passed) continue;
    const name = text.slice(line - base, nameEnd - base);
    const raw = text.slice(nameEnd - base + 1, at - base - 2);
    if ((kind === Kind.contentLength || kind === Kind.transferEncoding) && raw.includes("\t")) {
      // RFC 9110 §5.6.3 allows it; but parsers disagree on whether such a line frames the body: llhttp behind the
      // value, nginx before it.
      section.error = `a tab stands beside the value of ${quote(name)}`;
      return;
    }
    if (section.take(kind, name, trimSpace(raw))) continue;
    if (run < line - base) section.kept += text.slice(run, line - base);
    run = at - base;
  }
}

/** Calls `visit` for each field of a head that `scanFields` found to be sound. */
export function visitFields(text: string, start: number, visit: (name: string, value: string, line: string) => void) {
  let at = start;
  while (text.charCodeAt(at) !== CR) {
    const end = text.indexOf("\r\n", at);
    const colon = text.indexOf(":", at);
    visit(text.slice(at, colon), trimSpace(text.slice(colon + 1, end)), text.slice(at, end + 2));
    at = end + 2;
  }
}

function nameError(text: string, line: number, at: number): string {
  const code = text.charCodeAt(at);
  if (at === line && isSpace(code)) {
    // RFC 9112 §5.2: obs-fold. The first line of a section with leading space is §2.2's trap; both end here.
    return "a line begins with white space (obs-fold)";
  }
  const name = quote(text.slice(line, at));
  if (code === COLON) return "a field has no name";
  // RFC 9112 §5.1: a server MUST refuse white space between name and colon.
  if (isSpace(code)) return `white space stands before the colon of ${name}`;
  if (code === CR || code === LF) {
    return code === CR && text.charCodeAt(at + 1) === LF ? `the line ${name} has no colon` : bareError(code);
  }
  return `the field name ${name} is followed by ${characterName(code)}`;
}

function valueError(text: string, line: number, nameEnd: number, at: number): string {
  const code = text.charCodeAt(at);
  if (code === CR || code === LF) return bareError(code);
  return `the value of ${quote(text.slice(line, nameEnd))} holds ${characterName(code)}`;
}

/** RFC 9112 §2.2: a bare CR must not pass; a bare LF as a line's end is a MAY that smuggling lives on. */
function bareError(code: number): string {
  return code === CR ? "it holds a CR without LF" : "it holds an LF without CR";
}

export function characterName(code: number): string {
  if (Number.isNaN(code)) return "the end of the head";
  return code > 0x20 && code < 0x7f ? `"${String.fromCharCode(code)}"` : `byte 0x${code.toString(16).padStart(2, "0")}`;
}
