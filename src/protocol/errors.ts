// The one error class, and the one table that says what each code means to a
// socket, to a visitor, to a shell. Match on `code`, never on `message`.

interface ErrorEntry {
  /** Number in RESET and CLOSE frames, 16 bits. Never reused. */
  readonly wire: number;
  /** WebSocket close code (RFC 6455 §7.4; 4000–4999 are ours). */
  readonly closeCode: number;
  /** Status that a visitor or an API caller gets. */
  readonly httpStatus: number;
  /** Exit status of a command that ends because of it. */
  readonly exitStatus: number;
  /** Whether the same attempt may succeed later without a change. */
  readonly retryable: boolean;
  /** One sentence for docs/errors.md. */
  readonly meaning: string;
}

function entry(
  wire: number,
  closeCode: number,
  httpStatus: number,
  exitStatus: number,
  retryable: boolean,
  meaning: string,
): ErrorEntry {
  return { wire, closeCode, httpStatus, exitStatus, retryable, meaning };
}

export const ERRORS = {
  DPX_INTERNAL: entry(1, 1011, 500, 1, true, "A defect in duplexity; the log has the cause."),
  DPX_CANCELLED: entry(2, 1000, 503, 1, false, "Whoever asked for it gave up."),
  DPX_USAGE: entry(3, 1008, 400, 2, false, "A flag, an argument or a setting is wrong."),

  // The wire
  DPX_PROTOCOL: entry(10, 4400, 400, 1, false, "The peer broke the protocol."),
  DPX_PROTOCOL_VERSION: entry(11, 4426, 426, 7, false, "The two sides share no protocol version."),
  DPX_MESSAGE_INVALID: entry(12, 4400, 400, 1, false, "A control message is malformed."),
  DPX_MESSAGE_TOO_LARGE: entry(13, 1009, 413, 1, false, "A control message is larger than 64 KiB."),
  DPX_PACKET_INVALID: entry(14, 4400, 400, 1, false, "A packet's header or kind is malformed."),
  DPX_PACKET_TOO_LARGE: entry(15, 1009, 413, 1, false, "A packet is larger than the limit."),
  DPX_FRAME_INVALID: entry(16, 4400, 400, 1, false, "A frame's type, length or payload is malformed."),
  DPX_FRAME_TOO_LARGE: entry(17, 1009, 413, 1, false, "A frame is larger than the limit."),
  DPX_SEQUENCE: entry(18, 4400, 400, 1, false, "A sequence number or an acknowledgement is out of place."),
  DPX_SESSION_WINDOW: entry(19, 4400, 400, 1, false, "The peer sent more than the session's window."),
  DPX_SESSION_UNKNOWN: entry(20, 4404, 404, 1, true, "The session to resume does not exist any more."),
  DPX_SESSION_EXPIRED: entry(21, 4408, 503, 1, true, "No link came back within the resume window."),
  DPX_STREAM_WINDOW: entry(22, 4400, 400, 1, false, "The peer sent more than a stream's window."),
  DPX_STREAM_ID: entry(23, 4400, 400, 1, false, "A stream id is reused, or its first frame is not OPEN."),
  DPX_STREAM_CLOSED: entry(24, 4400, 400, 1, false, "A frame came for a direction that had ended."),
  DPX_STREAMS_LIMIT: entry(25, 4429, 503, 1, true, "Too many streams are open in one session."),
  DPX_OPEN_RATE: entry(26, 4429, 429, 1, true, "Streams are opened too fast in one session."),
  DPX_CREDIT_OVERFLOW: entry(27, 4400, 400, 1, false, "A stream's credit would pass 2^31-1 bytes."),
  DPX_LINK_DEAD: entry(28, 4408, 503, 1, true, "The link went silent and did not answer a ping."),
  DPX_LINK_LOST: entry(29, 4408, 503, 1, true, "The link closed."),
  DPX_LINK_QUEUE: entry(30, 4429, 503, 1, true, "The link's queue passed its bound."),
  DPX_OVERLOADED: entry(32, 4503, 503, 1, true, "This node has too much to do to take another client at the moment."),
  DPX_CONTROL_RATE: entry(31, 4429, 429, 1, true, "Control messages come too fast on one socket."),

  // Who may come in
  DPX_IDLE_SOCKET: entry(40, 4408, 408, 1, true, "A socket was upgraded and then said nothing."),
  DPX_UNAUTHENTICATED_LIMIT: entry(41, 4429, 503, 1, true, "Too many sockets have not said who they are."),
  DPX_AUTH_REQUIRED: entry(42, 4401, 401, 4, false, "The server asks for a token or a sign-in."),
  DPX_AUTH_INVALID: entry(43, 4401, 401, 4, false, "The token or proof is wrong or has ended."),
  DPX_FORBIDDEN: entry(44, 4403, 403, 4, false, "This identity may not do that."),
  DPX_TICKET_INVALID: entry(45, 4401, 401, 1, true, "The dial ticket is unknown, used, late or another client's."),
  DPX_CLIENT_ID: entry(46, 4400, 400, 1, false, "The clientId is malformed or belongs to another identity."),

  DPX_BANNED: entry(47, 4403, 403, 6, false, "An admin has banned this identity, client or name."),
  DPX_RATE_LIMIT: entry(48, 4429, 429, 1, true, "Too many attempts from one address or for one account."),
  DPX_SIGN_IN_FAILED: entry(49, 4401, 401, 4, false, "The sign-in was refused, given up, or took too long."),

  // Names
  DPX_NAME_INVALID: entry(50, 4400, 400, 2, false, "The name is not a DNS label, or not below the server's domain."),
  DPX_NAME_RESERVED: entry(51, 4403, 403, 2, false, "The name is reserved."),
  DPX_NAME_TAKEN: entry(52, 4409, 409, 5, false, "Another owner holds the name."),
  DPX_REPLACED: entry(53, 4409, 503, 5, false, "The same owner took the name from elsewhere."),
  DPX_KICKED: entry(54, 4403, 503, 6, false, "An admin ended this client."),
  DPX_EPOCH_STALE: entry(55, 4409, 409, 1, true, "A newer registration of the name exists."),
  DPX_NOT_REGISTERED: entry(56, 4404, 404, 1, true, "The name is not registered by this client."),
  DPX_PIPES_LIMIT: entry(57, 4429, 429, 1, false, "Too many pipes for one client."),
  DPX_CLIENTS_LIMIT: entry(58, 4429, 429, 1, true, "Too many clients on this server or for one owner."),
  DPX_TCP_PORTS: entry(59, 4429, 503, 1, true, "No TCP port is free, or the server has no --tcp-ports."),

  DPX_OWNER_LIMIT: entry(
    70,
    4429,
    429,
    1,
    false,
    "One owner has as many pipes, clients, connections or tokens as allowed.",
  ),

  // The target
  DPX_TARGET_INVALID: entry(60, 4400, 400, 2, false, "The target is not one of the forms that up understands."),
  DPX_TARGET_REFUSED: entry(61, 1000, 502, 1, true, "Nothing listens on the target."),
  DPX_TARGET_UNREACHABLE: entry(62, 1000, 502, 1, true, "The target's host cannot be found or reached."),
  DPX_TARGET_TIMEOUT: entry(63, 1000, 504, 1, true, "The target did not accept the connection in time."),
  DPX_TARGET_TLS: entry(64, 1000, 502, 1, false, "The TLS handshake with the target failed."),
  DPX_TARGET_BROKE: entry(65, 1000, 502, 1, true, "The target's connection broke before its answer was complete."),
  DPX_TARGET_CLOSED: entry(66, 1000, 502, 1, true, "The target had closed the connection before it was used."),
  DPX_TARGET_ANSWER: entry(67, 1000, 502, 1, false, "The target's answer is not valid HTTP."),
  DPX_PIPE_UNKNOWN: entry(68, 1000, 404, 1, false, "The client has no pipe of that name."),

  // Visitors
  DPX_NAME_UNKNOWN: entry(80, 1000, 404, 1, false, "No pipe has this hostname."),
  DPX_CLIENT_AWAY: entry(81, 1000, 503, 1, true, "The pipe's client is not connected at the moment."),
  DPX_HOLD_LIMIT: entry(82, 1000, 503, 1, true, "Too many requests are waiting for a client to come back."),
  DPX_REQUEST_INVALID: entry(83, 1000, 400, 1, false, "The request is malformed or ambiguous."),
  DPX_HEAD_TOO_LARGE: entry(84, 1000, 431, 1, false, "The request's head is larger than the limit."),
  DPX_NOT_IMPLEMENTED: entry(85, 1000, 501, 1, false, "The method or transfer coding is not supported."),
  DPX_HEAD_TIMEOUT: entry(86, 1000, 408, 1, false, "The request's head did not arrive in time."),
  DPX_MISDIRECTED: entry(87, 1000, 421, 1, false, "The request is for a host that this connection cannot serve."),
  DPX_LIMIT: entry(88, 1000, 429, 1, true, "A limit on requests, connections or entries is reached."),
  DPX_LOOP: entry(89, 1000, 508, 1, false, "The request went through this server already."),
  DPX_VISITOR_GONE: entry(90, 1000, 499, 1, false, "The visitor left before the answer was complete."),
  DPX_DRAINING: entry(91, 4503, 503, 1, true, "This node is shutting down."),
  DPX_VERSION_UNSUPPORTED: entry(92, 1000, 505, 1, false, "The request's HTTP version is not supported."),
  DPX_BODY_TIMEOUT: entry(93, 1000, 408, 1, false, "The visitor stopped sending its request's body."),

  DPX_VISITOR_UNKNOWN: entry(
    94,
    1000,
    401,
    1,
    false,
    "The pipe asks its visitors who they are: by a password or a sign-in.",
  ),
  DPX_VISITOR_FORBIDDEN: entry(95, 1000, 403, 1, false, "The pipe is not open to this visitor."),

  // Commands
  DPX_SERVER_UNREACHABLE: entry(100, 1000, 503, 3, true, "The server cannot be reached."),
  DPX_NOT_RUNNING: entry(101, 1000, 404, 1, false, "No such pipe is running here."),
  DPX_LISTEN: entry(102, 1000, 500, 1, false, "A listener could not be opened."),
  DPX_STORE: entry(103, 1011, 503, 1, true, "The server's store cannot be read or written at the moment."),
  DPX_NOT_FOUND: entry(104, 1000, 404, 1, false, "There is no such client, user, token or ban."),
  DPX_EXISTS: entry(105, 1000, 409, 1, false, "There is such a user or token already."),
} as const satisfies Record<`DPX_${string}`, ErrorEntry>;

export type ErrorCode = keyof typeof ERRORS;

const byWire = new Map<number, ErrorCode>(
  (Object.keys(ERRORS) as ErrorCode[]).map((code) => [ERRORS[code].wire, code]),
);

/** The code for a number from the wire; `DPX_INTERNAL` for a number that this version does not know. */
export function errorCodeOf(wire: number): ErrorCode {
  return byWire.get(wire) ?? "DPX_INTERNAL";
}

/** Whether `value` names one of the codes. */
export function isErrorCode(value: unknown): value is ErrorCode {
  return typeof value === "string" && Object.hasOwn(ERRORS, value);
}

export interface DuplexityErrorOptions {
  /** What to do or which command comes next, one line. */
  hint?: string | undefined;
  cause?: unknown;
  /** When it may go better, from now, in milliseconds. */
  retryAfterMs?: number | undefined;
  /** Other hubs that take the client instead, `ws(s)://…/dialer`. @default none */
  elsewhere?: readonly string[];
}

/** What every part of duplexity throws, rejects with and hands to error callbacks. */
export class DuplexityError extends Error {
  override readonly name = "DuplexityError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly retryAfterMs: number | undefined;
  readonly elsewhere: readonly string[];

  /** @param message Action, "value", current state, wanted state: `Cannot register "cat1": ben@ci holds it since 11:02`. */
  constructor(code: ErrorCode, message: string, options: DuplexityErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.retryAfterMs = options.retryAfterMs;
    this.elsewhere = options.elsewhere ?? [];
  }
}

/** `value` as a DuplexityError: itself if it is one, else `DPX_INTERNAL` with it as the cause. */
export function asDuplexityError(value: unknown): DuplexityError {
  if (value instanceof DuplexityError) return value;
  const message = value instanceof Error ? value.message : String(value);
  return new DuplexityError("DPX_INTERNAL", message, { cause: value });
}
