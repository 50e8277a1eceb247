// The wire: messages, packets, frames, sessions, streams, errors. Imports node: only.

export * from "./errors.ts";
export * from "./link.ts";
export * from "./messages.ts";
export * from "./stream.ts";
