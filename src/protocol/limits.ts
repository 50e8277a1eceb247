// The wire's limits, in one place, each with its reason. Crossing one has an
// error of its own in errors.ts.

/** Spare bytes at the start of a packet's first part, where a link may write its own framing in place. */
export const LINK_HEADROOM_BYTES = 14;

/** A packet is sent when it has grown to this, even before the turn of the event loop ends. */
export const PACKET_TARGET_BYTES = 131_072;

/** A frame's payload. One read buffer of a target's socket. */
export const MAX_FRAME_PAYLOAD_BYTES = 262_144;

/** A packet, header and all: a nearly full one plus a largest frame, with room to spare. DPX_PACKET_TOO_LARGE. */
export const MAX_PACKET_BYTES = 524_288;

/** Bytes that may be sent on a stream before its ACCEPT came: a request's head and the start of its body. */
export const PRE_ACCEPT_WINDOW_BYTES = 65_536;

/** A stream's receive window at its start while few streams are open. */
export const INITIAL_WINDOW_BYTES = 262_144;

/** How far a stream's receive window may grow: 160 MB/s at 100 ms. */
export const MAX_WINDOW_BYTES = 16_777_216;

/** By how much the windows of all streams of a session may grow together: what stalled readers can cost. */
export const WINDOW_GROWTH_BUDGET_BYTES = 16_777_216;

/** How much of that one stream may take, of what the others have left: 120 MB/s at 100 ms for the first. */
export const WINDOW_GROWTH_SHARE = 0.75;

/** A stream's credit never passes this (2^31-1). DPX_CREDIT_OVERFLOW. */
export const MAX_CREDIT_BYTES = 2_147_483_647;

/** Packets that the peer has not acknowledged, in bytes. DATA waits when they pass it. */
export const SESSION_WINDOW_BYTES = 16_777_216;

/** Room above the session's window for frames that are not DATA. DPX_SESSION_WINDOW when that is used up, too. */
export const SESSION_WINDOW_SLACK_BYTES = 4_194_304;

/** Streams that have ended here, and of which the peer has not acknowledged that. DPX_SESSION_WINDOW, too. */
export const MAX_UNACKNOWLEDGED_ENDS = 65_536;

/** Acknowledge after so many received bytes … */
export const ACK_AFTER_BYTES = 262_144;
/** … or so long after the first that is not acknowledged, whichever comes first. */
export const ACK_AFTER_MS = 10;

/** Streams open at once in a session. DPX_STREAMS_LIMIT. */
export const MAX_STREAMS = 4_096;

/** Streams opened in a second. DPX_OPEN_RATE. */
export const MAX_OPENS_PER_SECOND = 50_000;

/** How long a session waits for a new link. DPX_SESSION_EXPIRED. */
export const RESUME_WINDOW_MS = 30_000;

/** Sessions that one link carries. DPX_SESSION_UNKNOWN to those beyond. */
export const MAX_SESSIONS_PER_LINK = 256;

/** A REPORT frame's JSON. */
export const MAX_REPORT_BYTES = 8_192;

/** A CLOSE packet's message, in bytes of UTF-8. */
export const MAX_CLOSE_MESSAGE_BYTES = 1_024;

/** How much of a stream is sent before it is the next one's turn. */
export const FAIR_QUANTUM_BYTES = 65_536;
