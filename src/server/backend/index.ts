// The registry of hostnames and its HTTP API on the internal listener. The rest of the server sees `Registry` only.

export { type BackendApiOptions, createBackendApi } from "./http-api.ts";
export { MemoryRegistry, type MemoryRegistryOptions } from "./memory-registry.ts";
export type * from "./registry.ts";
export type { PortRange } from "./tcp-port-pool.ts";
