// What tells one request from others in the log: its number at this node, and the trace that it belongs to, by W3C's
// traceparent, which itself passes on untouched.

import type { RequestHead } from "../../http/index.ts";

/** W3C Trace Context §3.2: version, trace-id, parent-id, flags; later versions may add more behind them. */
const TRACEPARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(?:$|-)/;

/** Null if there is none, or it is not one. */
export function traceIdOf(head: RequestHead): string | null {
  return TRACEPARENT.exec(head.field("traceparent") ?? "")?.[1] ?? null;
}

/** @param number Of all requests of this node since its start. */
export function requestIdOf(nodeId: string, number: number): string {
  return `${nodeId}-${number.toString(36)}`;
}
