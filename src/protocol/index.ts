// The wire: messages, packets, frames, sessions, streams, errors. Imports node: only.

export * from "./errors.ts";
export { MAX_PACKET_BYTES, RESUME_WINDOW_MS } from "./limits.ts";
export * from "./link.ts";
export * from "./message-codec.ts";
export { isClientId } from "./message-fields.ts";
export * from "./messages.ts";
export * from "./names.ts";
export { newSessionId, Session, type SessionLimits, type SessionOptions } from "./session.ts";
export { type Heartbeat, SessionLink, type SessionLinkOptions } from "./session-link.ts";
export * from "./stream.ts";
export { closeReason, createWebSocketLink, errorOfClose, type WebSocketLike } from "./websocket-link.ts";
