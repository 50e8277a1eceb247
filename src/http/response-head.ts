// A target's answer head, read as strictly as a request: its framing decides
// when the connections on both sides may serve the next exchange.

import type { HttpFault } from "./fault.ts";
import type { Framing } from "./framing.ts";
import type { HttpLimits } from "./limits.ts";

/** What of the request decides how its answer is read; a RequestHead is one. */
export interface AnswerContext {
  readonly method: string;
  /** A 101 is refused when this is null. */
  readonly upgrade: string | null;
}

export class ResponseHead {
  readonly kind = "response";
  readonly status: number = 0;
  readonly reason: string = "";
  readonly version: 0 | 1 = 1;
  /** `none` for 1xx, 204, 304 and answers to HEAD. */
  readonly framing: Framing = { kind: "none" };
  /** Whether the target lets its connection go on after this exchange. Never true with framing `close`, nor for 101. */
  readonly keepAlive: boolean = false;
  /** The Upgrade field of a 101 (or 426), else null. After a 101 all that follows belongs to the other protocol. */
  readonly upgrade: string | null = null;
  /** 1xx but 101: pass it on (not to HTTP/1.0 visitors) and read the next head. */
  readonly isInterim: boolean = false;
  readonly connectionTokens: readonly string[] = [];

  /** Value of the first field `name` (lower case), or null. Scans: not for the hot path. */
  field(_name: string): string | null {
    throw new Error("soon");
  }

  /** All fields in order as name, value, name, value, … as they came. Scans: not for the hot path. */
  fields(): string[] {
    throw new Error("soon");
  }
}

/**
 * Reads one answer head.
 *
 * @param text Latin-1, the status line to the CRLFCRLF, both included.
 * @returns A fault with DPX_TARGET_ANSWER.
 */
export function parseResponseHead(
  _text: string,
  _request: AnswerContext,
  _limits?: HttpLimits,
): ResponseHead | HttpFault {
  throw new Error("soon");
}
