// Where what outlives the process is kept. Other parts know the interface; serve() chooses which one it is.

export { MemoryStore, type MemoryStoreOptions } from "./memory-store.ts";
export { openStore, type RemoteStoreOptions, type StoreOptions } from "./open-store.ts";
export {
  MAX_KEY_CHARS,
  MAX_KEYS_IN_CALL,
  MAX_LISTED,
  MAX_VALUE_BYTES,
  type PutOptions,
  type Store,
  type StoredEntry,
  type Value,
} from "./store.ts";
export { createStoreCall } from "./store-calls.ts";
