// Finds a body's end in raw bytes. Never copies and never decodes: the proxy
// passes the bytes on by reference, chunk framing included.

import type { FaultCode, HttpFault } from "./fault.ts";
import type { Framing } from "./framing.ts";
import type { HttpLimits } from "./limits.ts";

/**
 * One per direction of a connection, reused for each message.
 *
 *     scanner.begin(head.framing);          // scanner.isComplete is true at once for `none` and length 0
 *     const end = scanner.scan(chunk, from); // chunk[from, end) belongs to this body
 *     if (end < 0) fail(scanner.fault);      // nothing of chunk may be passed on
 *     if (scanner.isComplete) next message starts at end;
 */
export class BodyScanner {
  isComplete = true;
  fault: HttpFault | null = null;
  /** Bytes of content seen in this body, without chunk framing and trailers. */
  contentBytes = 0;
  /** Raw bytes seen of this body. */
  wireBytes = 0;

  /** @param code What a malformed body is called: DPX_REQUEST_INVALID or DPX_TARGET_ANSWER. */
  constructor(_code: FaultCode, _limits?: HttpLimits) {}

  begin(_framing: Framing): void {
    throw new Error("soon");
  }

  /** Returns the index after the last byte of `chunk` (from `from`) that belongs to the body, or -1 with `fault` set. */
  scan(_chunk: Buffer, _from: number): number {
    throw new Error("soon");
  }

  /** The sender ended its direction: true when the body is complete with that (it was, or its framing is `close`). */
  end(): boolean {
    throw new Error("soon");
  }
}
