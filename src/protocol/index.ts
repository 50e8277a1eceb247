// The wire: messages, packets, frames, sessions, streams, errors. Imports node: only.

export * from "./errors.ts";
export * from "./link.ts";
export * from "./message-codec.ts";
export { isClientId } from "./message-fields.ts";
export * from "./messages.ts";
export * from "./names.ts";
export * from "./stream.ts";
