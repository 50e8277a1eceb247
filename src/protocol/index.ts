// The wire: messages, packets, frames, sessions, streams, errors. Imports node: only.

export type { Carried, Carrier } from "./carrier.ts";
export { closeReason, errorOfClose, reasonOfFault } from "./close-reason.ts";
export { Deadline } from "./deadline.ts";
export * from "./errors.ts";
export { disconnectError, FOREVER } from "./force-disconnect.ts";
export * from "./gate.ts";
export { hashGatePassword, isGatePassword } from "./gate-password.ts";
export { MAX_PACKET_BYTES, RESUME_WINDOW_MS } from "./limits.ts";
export * from "./link.ts";
export { type Heartbeat, Liveness, type LivenessOptions } from "./liveness.ts";
export * from "./message-codec.ts";
// The readers of checked JSON, for the server's own HTTP bodies.
export * as fields from "./message-fields.ts";
export { readGate } from "./message-gate.ts";
export * from "./messages.ts";
export * from "./names.ts";
export { newPrivateKey } from "./new-private-key.ts";
export { PACKAGE_VERSION } from "./package-version.ts";
export { type PacketHeader, PacketKind } from "./packet.ts";
export { type OutgoingPacket, packetForAnotherLink, packetToPassOn } from "./packet-builder.ts";
// The dialer's own WebSocket: `acceptUpgrade` (hub) or `dialUpgrade` (client), then `WebSocketConnection` for the texts
// of the beginning, then `createPacketLink(connection)`. The control socket is one of `ws`.
export { createPacketLink } from "./packet-link.ts";
export { newSessionId, Session, type SessionLimits, type SessionOptions } from "./session.ts";
export { SessionLink, type SessionLinkOptions } from "./session-link.ts";
export * from "./stream.ts";
export { WebSocketConnection, type WebSocketConnectionOptions, type WebSocketHandler } from "./websocket-connection.ts";
export { acceptUpgrade, type DialOptions, type DialResult, dialUpgrade } from "./websocket-handshake.ts";
