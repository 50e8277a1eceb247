// The fields of a request that mean something to the proxy, and those that go
// on to the target.

import { requestKind } from "./field-kinds.ts";
import { FieldSection, join, Kind, visitFields } from "./fields.ts";
import type { RequestLine } from "./request-line.ts";

export class RequestFields extends FieldSection {
  host: string | null = null;
  expect: string | null = null;
  te: string | null = null;
  via: string | null = null;
  forwarding: string[] | null = null;

  override kindOf(text: string, start: number, end: number): Kind {
    return requestKind(text, start, end);
  }

  override take(kind: Kind, name: string, value: string): boolean {
    switch (kind) {
      case Kind.host:
        // RFC 9112 §3.2: more than one is a 400, whatever they say.
        if (this.host !== null) this.error = "it has two Host fields";
        this.host = value;
        return true;
      case Kind.expect:
        this.expect = join(this.expect, value);
        return true;
      case Kind.via:
        this.via = join(this.via, value);
        return true;
      case Kind.te:
        this.te = join(this.te, value);
        return false;
      case Kind.forwarding:
        this.forwarding ??= [];
        this.forwarding.push(name, value);
        return false;
      default:
        return this.takeShared(kind, value);
    }
  }
}

/** Kinds whose lines go on. */
function isKeptKind(kind: Kind, version: 0 | 1): boolean {
  switch (kind) {
    case Kind.passed:
    case Kind.host:
    case Kind.via:
    case Kind.contentLength:
    case Kind.transferEncoding:
      return true;
    case Kind.expect:
      // RFC 9110 §10.1.1: HTTP/1.0 has none, and we forward as HTTP/1.1, where it would count.
      return version === 1;
    default:
      return false;
  }
}

interface Source {
  readonly text: string;
  readonly line: RequestLine;
  readonly fields: RequestFields;
  /** Fields that Connection names. */
  readonly named: ReadonlySet<string> | null;
  /** What of Upgrade and TE goes on. */
  readonly upgrade: string | null;
  readonly acceptsTrailers: boolean;
}

/** Request line, fields and our Connection, as the target gets them. */
export function forwardedStart(source: Source): string {
  const { line, fields, named, upgrade, acceptsTrailers } = source;
  const start = line.isPlain ? "" : `${line.method} ${line.target} HTTP/1.1\r\n`;
  const isAsScanned = named === null && (line.version === 1 || fields.expect === null);
  const kept = isAsScanned ? start + fields.kept : rebuild(source);
  if (upgrade === null && !acceptsTrailers) return kept;
  // RFC 9110 §10.1.4 and §7.8: both fields come with their connection option.
  if (upgrade === null) return `${kept}Connection: TE\r\nTE: trailers\r\n`;
  if (!acceptsTrailers) return `${kept}Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n`;
  return `${kept}Connection: Upgrade, TE\r\nUpgrade: ${upgrade}\r\nTE: trailers\r\n`;
}

/** RFC 9110 §7.6.1: without what Connection names. Line by line: rare. */
function rebuild(source: Source): string {
  const { line, named } = source;
  let kept = `${line.method} ${line.target} HTTP/1.1\r\n`;
  visitFields(source.text, line.end, (name, _value, raw) => {
    if (named?.has(name.toLowerCase())) return;
    if (isKeptKind(requestKind(name, 0, name.length), line.version)) kept += raw;
  });
  return kept;
}
