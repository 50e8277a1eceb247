// What of a failure is for others to read. The whole of it is for the server's own log.

import { DuplexityError } from "../protocol/index.ts";

/**
 * `error`, unless it says where this server keeps what it knows: a path, or an address behind it. What says when to come again
 * is of this server's own making, and says nothing of that.
 */
export function outwardOf(error: DuplexityError): DuplexityError {
  if (error.code !== "DPX_STORE" || error.retryAfterMs !== undefined) return error;
  return new DuplexityError("DPX_STORE", "Cannot go on: what this server keeps cannot be read or written just now", {
    hint: "Try again in a moment. If it stays so, the server's log says why.",
    cause: error,
  });
}
