// Why bytes are not HTTP that we pass on. A value, not an exception: hostile
// bytes are everyday input, and a stack trace for each would be a gift to them.

/** The subset of duplexity's error codes that this folder uses; assignable to `ErrorCode`. */
export type FaultCode =
  | "DPX_REQUEST_INVALID"
  | "DPX_HEAD_TOO_LARGE"
  | "DPX_NOT_IMPLEMENTED"
  | "DPX_VERSION_UNSUPPORTED"
  | "DPX_TARGET_ANSWER";

/**
 * What was wrong. After a fault nothing more may be read from that connection: where the next message begins is not
 * known any more. Turn it into `new DuplexityError(fault.code, fault.message)` at the border.
 */
export class HttpFault {
  readonly kind = "fault";
  readonly code: FaultCode;
  /** One sentence that may be shown to whoever sent the bytes; it never repeats more than 40 characters of them. */
  readonly message: string;

  constructor(code: FaultCode, message: string) {
    this.code = code;
    this.message = message;
  }
}
