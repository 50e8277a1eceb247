// When a request may be sent a second time, and what its visitor is told when it may not. Rules only: nothing is sent here.

import type { RequestHead } from "../../http/index.ts";
import { ERRORS, type ErrorCode } from "../../protocol/index.ts";
import { MAX_REPLAYS } from "./options.ts";

/** RFC 9110 §9.2.1. */
const SAFE = new Set(["GET", "HEAD", "OPTIONS", "TRACE"]);
/** RFC 9110 §9.2.2: those that are idempotent without being safe. */
const IDEMPOTENT = new Set(["PUT", "DELETE"]);

/** The client's target said no: another attempt is the visitor's business. */
const FINAL = new Set<ErrorCode>([
  "DPX_TARGET_REFUSED",
  "DPX_TARGET_UNREACHABLE",
  "DPX_TARGET_TIMEOUT",
  "DPX_TARGET_TLS",
  "DPX_TARGET_INVALID",
  "DPX_PIPE_UNKNOWN",
  "DPX_FORBIDDEN",
]);

/** Whether `head`'s request may be repeated without harm when it is not known whether it was served. RFC 9112 §9.3.1. */
export function isRepeatable(head: RequestHead): boolean {
  return SAFE.has(head.method) || (IDEMPOTENT.has(head.method) && head.framing.kind === "none");
}

/** Whether a reset says that the target itself failed, so that a fresh stream would meet the same. */
export function isFinal(code: ErrorCode): boolean {
  return FINAL.has(code);
}

/** What the visitor is told about a stream's reset: never that it was at fault when it was not. */
export function visitorCode(code: ErrorCode): ErrorCode {
  if (FINAL.has(code) && code !== "DPX_TARGET_INVALID") return code;
  if (code === "DPX_CANCELLED" || code === "DPX_VISITOR_GONE") return "DPX_TARGET_BROKE";
  const status = ERRORS[code].httpStatus;
  return status >= 500 || status === 429 ? code : "DPX_TARGET_BROKE";
}

/** What became of the stream that a request went over, before a byte of the answer came. */
export interface LostStream {
  /** It had served a request before. */
  readonly isReused: boolean;
  /** The client says that nothing of the request reached the target. */
  readonly isUndelivered: boolean;
  /** All that was sent is still at hand. */
  readonly canReplay: boolean;
}

/** How often one request was sent, and whether it may be sent again. */
export class Attempts {
  #head: RequestHead | null = null;
  #replays = 0;
  #wasRepeated = false;

  /** Makes ready for the next request. */
  begin(head: RequestHead): void {
    this.#head = head;
    this.#replays = 0;
    this.#wasRepeated = false;
  }

  /** The stream was reset with `code`: whether to send the request again, over a fresh one. */
  mayFollowReset(code: ErrorCode, lost: LostStream): boolean {
    if (!lost.canReplay || isFinal(code)) return false;
    if (lost.isUndelivered && this.#replays < MAX_REPLAYS) {
      this.#replays++;
      return true;
    }
    return this.#mayRepeat(lost);
  }

  /** The target ended its side. `wait`: for the client's word on what was delivered; `broken`: there is nothing to hope for. */
  afterEnd(lost: LostStream): "again" | "wait" | "broken" {
    if (!lost.isReused) return "broken";
    // It closed an idle connection just as the request came.
    return lost.canReplay && this.#mayRepeat(lost) ? "again" : "wait";
  }

  /** Once, and only what does no harm when it is served twice. */
  #mayRepeat({ isReused }: LostStream): boolean {
    if (!isReused || this.#wasRepeated || this.#head === null || !isRepeatable(this.#head)) return false;
    this.#wasRepeated = true;
    return true;
  }
}
