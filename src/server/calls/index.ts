// Calls of nodes without the backend's role to those that have it, and what these tell them unasked. Over HTTP, proved by
// the cluster's secret. What is called and what it means is known to the others.

export { BackendLink, type BackendLinkOptions, type CallOptions } from "./backend-link.ts";
export { CallServer, type CallServerOptions } from "./call-server.ts";
export type { BackendEvent, CallHandler, CallHandlers, CallName, EventSource } from "./names.ts";
export { CALLS_PATH } from "./names.ts";
