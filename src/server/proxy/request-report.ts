// What a client is told about a request that passed.

import type { RequestHead } from "../../http/index.ts";
import type { ErrorCode, RequestReport } from "../../protocol/index.ts";
import { visitorStatus } from "./error-answer.ts";

/** Longest path in a report, in characters. */
const MAX_PATH_LENGTH = 2_048;
/** For a visitor that left before its answer began; nobody is sent it. */
export const VISITOR_GONE_STATUS = 499;

export interface FinishedRequest {
  readonly hostname: string;
  readonly head: RequestHead;
  /** As by `statusOf`, or the target's own. */
  readonly status: number;
  readonly durationMs: number;
  readonly requestBytes: number;
  readonly responseBytes: number;
  readonly visitor: string;
  /** What went wrong, or null. */
  readonly code: ErrorCode | null;
}

export function requestReport(request: FinishedRequest): RequestReport {
  const { hostname, head, status, durationMs, requestBytes, responseBytes, visitor, code } = request;
  return {
    hostname,
    method: head.method,
    path: pathOf(head.target),
    status,
    durationMs,
    responseBytes,
    requestBytes,
    visitor,
    ...(code === null ? {} : { errorCode: code }),
  };
}

/** Below it auth talks to the gate; what it says, such as a code, is not the client's. */
const GATE_PATH = "/.duplexity/";

function pathOf(target: string): string {
  const path = target.startsWith(GATE_PATH) ? (target.split("?", 1)[0] ?? "") : target;
  return path.slice(0, MAX_PATH_LENGTH);
}

/** What a visitor was answered that got no answer of the target. */
export function statusOf(code: ErrorCode | null): number {
  if (code === null) return 0;
  return code === "DPX_VISITOR_GONE" ? VISITOR_GONE_STATUS : visitorStatus(code);
}
