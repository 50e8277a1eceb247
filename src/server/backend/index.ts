// The registry of hostnames and its HTTP API on the internal listener, what nodes tell each other, and which there are.
// The rest of the server sees `Registry`, `Topics` and `Presence` only.

export { type BackendApiOptions, createBackendApi } from "./http-api.ts";
export { MemoryRegistry, type MemoryRegistryOptions } from "./memory-registry.ts";
export { createNodeCalls, createNodeEvents } from "./node-calls.ts";
export { type OpenedRegistry, type OpenRegistryOptions, openRegistry } from "./open-registry.ts";
export { NODE_ROLES, type NodeRecord, type NodeRole, type Presence, type PresenceChange } from "./presence.ts";
export type * from "./registry.ts";
export type { PortRange } from "./tcp-port-pool.ts";
export type * from "./topics.ts";
