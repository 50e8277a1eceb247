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

export function bodyPassing(head: ResponseHead, version: 0 | 1): BodyPassing {
  switch (head.framing.kind) {
    case "none":
      return "none";
    case "close":
      return "until-close";
    case "chunked":
      return version === 0 ? "dechunk" : "raw";
    case "length":
      return "raw";
  }
}

/**
 * The whole head for the visitor, ending in CRLFCRLF, as a Latin-1 string, always HTTP/1.1 (RFC 9112 §2.3). Interim
 * answers (100, 102, 103) and 101 pass too; never send an interim one to an HTTP/1.0 visitor (RFC 9110 §15.2).
 */
export function buildResponseHead(head: ResponseHead, forwarding: AnswerForwarding): string {
  if (head.isInterim) return `${head.forwarded}\r\n`;
  const passing = bodyPassing(head, forwarding.version);
  const isKept = forwarding.keepAlive && (passing === "none" || passing === "raw");
  return head.forwarded + framingLine(head, forwarding.version) + connectionLines(head, isKept, forwarding.version);
}

/** HTTP/1.0 has no Transfer-Encoding, not even to tell about in an answer to HEAD. */
function framingLine(head: ResponseHead, version: 0 | 1): string {
  return version === 0 && head.framingLine.startsWith("T") ? "" : head.framingLine;
}

/** Our Connection (RFC 9112 §9.3) and the head's last empty line. */
function connectionLines(head: ResponseHead, isKept: boolean, version: 0 | 1): string {
  if (head.status === 101) return `Connection: Upgrade\r\nUpgrade: ${head.upgrade ?? ""}\r\n\r\n`;
  if (head.upgrade !== null) return `Connection: ${isKept ? "" : "close, "}Upgrade\r\nUpgrade: ${head.upgrade}\r\n\r\n`;
  if (!isKept) return "Connection: close\r\n\r\n";
  return version === 0 ? "Connection: keep-alive\r\n\r\n" : "\r\n";
}
