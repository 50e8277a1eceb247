// How an error travels in a WebSocket's close frame, and back.

import { DuplexityError, type ErrorCode, isErrorCode } from "./errors.ts";
import { MAX_MESSAGE_BYTES } from "./messages.ts";

/** RFC 6455 §5.5: a control frame has at most 125 bytes, two of which are the code. */
const MAX_CLOSE_REASON_BYTES = 123;

/** A close reason that fits: `DPX_CODE: message`, cut to 123 bytes. */
export function closeReason(code: ErrorCode, message: string): string {
  const reason = Buffer.from(`${code}: ${message}`);
  // Cut at a character's border: bytes 10xxxxxx go on with a character that began before.
  let end = Math.min(reason.length, MAX_CLOSE_REASON_BYTES);
  while (end < reason.length && end > 0 && ((reason[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return reason.toString("utf8", 0, end);
}

/**
 * The reason for a close code with which a WebSocket library ends a control socket by itself (RFC 6455 §7.4.1); undefined for
 * others.
 */
export function reasonOfFault(closeCode: number | undefined): string | undefined {
  if (closeCode === 1002 || closeCode === 1007) return closeReason("DPX_PROTOCOL", "What came is no WebSocket message");
  if (closeCode !== 1009) return undefined;
  return closeReason("DPX_MESSAGE_TOO_LARGE", `A message has at most ${MAX_MESSAGE_BYTES} bytes`);
}

/** The error that a close frame stands for: its `DPX_…` reason, else DPX_LINK_LOST. */
export function errorOfClose(closeCode: number, reason: string): DuplexityError {
  const [, code, message] = /^(DPX_[A-Z_]+): (.*)$/s.exec(reason) ?? [];
  if (isErrorCode(code)) return new DuplexityError(code, message ?? "");
  return new DuplexityError("DPX_LINK_LOST", `The link closed with ${closeCode}${reason === "" ? "" : `: ${reason}`}`);
}
