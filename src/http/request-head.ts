// A visitor's request head, read strictly: RFC 9112 with every "MAY be lenient"
// answered by no. docs/http-strictness.md lists what is refused and why.

import type { HttpFault } from "./fault.ts";
import type { Framing } from "./framing.ts";
import type { HttpLimits } from "./limits.ts";

export class RequestHead {
  readonly kind = "request";
  /** As it came; one of `http.METHODS` without CONNECT. */
  readonly method: string = "";
  /** What goes to the target and into reports: path and query of origin- and absolute-form as they came, or `*`. */
  readonly target: string = "";
  readonly form: "origin" | "absolute" | "asterisk" = "origin";
  /** Minor version: HTTP/1.0 or HTTP/1.1. */
  readonly version: 0 | 1 = 1;
  /** Canonical: lower case, no port, no trailing dot; IPv6 in brackets: `[::1]`. Never empty. */
  readonly host: string = "";
  /** The Host's port, or null when it named none. */
  readonly port: number | null = null;
  /** Host exactly as it came (without white space around it). */
  readonly hostHeader: string = "";
  /** Never `close`. */
  readonly framing: Framing = { kind: "none" };
  /** Whether the visitor lets the connection go on after this exchange. */
  readonly keepAlive: boolean = false;
  /** The Upgrade field, if Connection names it and it is one that we forward (not h2c), else null. */
  readonly upgrade: string | null = null;
  /** `Expect: 100-continue` on HTTP/1.1. */
  readonly expectContinue: boolean = false;
  /** Whether the visitor can take trailers (`TE: trailers`). */
  readonly acceptsTrailers: boolean = false;
  /** Lower-case members of Connection, in order. */
  readonly connectionTokens: readonly string[] = [];

  /** Value of the first field `name` (lower case), or null. Scans: not for the hot path. */
  field(_name: string): string | null {
    throw new Error("soon");
  }

  /** All fields in order as name, value, name, value, … as they came. Scans: not for the hot path. */
  fields(): string[] {
    throw new Error("soon");
  }

  /** Whether Via names `pseudonym`: the request went through that node already (RFC 9110 §7.6.3) → DPX_LOOP. */
  wentThrough(_pseudonym: string): boolean {
    throw new Error("soon");
  }
}

/**
 * Reads one request head.
 *
 * @param text Latin-1, from the first byte of the request line to the CRLFCRLF, both included (`findHeadEnd`).
 * @returns A fault with DPX_REQUEST_INVALID, DPX_HEAD_TOO_LARGE, DPX_NOT_IMPLEMENTED or DPX_VERSION_UNSUPPORTED.
 * @see docs/http-strictness.md
 */
export function parseRequestHead(_text: string, _limits?: HttpLimits): RequestHead | HttpFault {
  throw new Error("soon");
}
