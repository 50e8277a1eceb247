// The head that goes to the visitor: hop-by-hop fields off, Connection ours.

import type { ResponseHead } from "./response-head.ts";

export interface AnswerForwarding {
  /** Whether we keep the visitor's connection after this exchange. Ignored (false) when the body ends by close. */
  readonly keepAlive: boolean;
  /** The visitor's minor version. 0: chunked can't be passed on, use `dechunk` and close. */
  readonly version: 0 | 1;
}

/**
 * How the body reaches the visitor. `raw`: the bytes as they came. `dechunk`: content only, then close the connection
 * (HTTP/1.0 visitor, chunked answer). `until-close`: as they came, then close.
 */
export type BodyPassing = "none" | "raw" | "dechunk" | "until-close";

export function bodyPassing(_head: ResponseHead, _version: 0 | 1): BodyPassing {
  throw new Error("soon");
}

/**
 * The whole head for the visitor, ending in CRLFCRLF, as a Latin-1 string, always HTTP/1.1 (RFC 9112 §2.3). Interim
 * answers (100, 102, 103) and 101 pass too; never send an interim one to an HTTP/1.0 visitor (RFC 9110 §15.2).
 */
export function buildResponseHead(_head: ResponseHead, _forwarding: AnswerForwarding): string {
  throw new Error("soon");
}
