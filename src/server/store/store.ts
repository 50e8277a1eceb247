// What outlives a process: accounts, tokens, bans, signing keys, codes, the audit log. One interface, so that a folder of
// this machine and Redis are the same to whoever keeps something. Knows nothing of what it keeps.

/** What can be kept: JSON. */
export type Value = null | boolean | number | string | readonly Value[] | { readonly [field: string]: Value };

export interface StoredEntry {
  readonly key: string;
  readonly value: Value;
}

export interface PutOptions {
  /** The entry is gone after so long. @default never */
  readonly ttlMs?: number;
}

/** Longer keys are refused. Keys are parts joined by `/`: `account/u_x7…`, `oidc/RefreshToken/<hash>`. Visible ASCII. */
export const MAX_KEY_CHARS = 512;
/** The JSON of one value; more is refused with DPX_STORE. */
export const MAX_VALUE_BYTES = 262_144;
/** Keys that can be asked for at once: the largest values of all of them fit into one answer of a backend node. */
export const MAX_KEYS_IN_CALL = 250;
/** What `list` answers at most, and `readLog`. */
export const MAX_LISTED = 10_000;

/**
 * What has been confirmed (the promise resolved) survives the process, killed at any moment. Every method may reject
 * with a DuplexityError `DPX_STORE`; none hangs. Values are copies: changing one changes nothing that is kept.
 */
export interface Store {
  get(key: string): Promise<Value | null>;
  /** What is at each of the keys, in their order, which need not be read in one moment. At most `MAX_KEYS_IN_CALL` keys. */
  getAll(keys: readonly string[]): Promise<readonly (Value | null)[]>;
  /** Putting null, which is what nothing reads as, deletes; so does a `ttlMs` of 0. Without `ttlMs` it stays for good. */
  put(key: string, value: Value, options?: PutOptions): Promise<void>;
  /**
   * One atomic step: gives `change` what is there (null: nothing), keeps what it answers (null: nothing). `change` is
   * pure and may be called again when somebody else was faster; what it throws leaves all as it was and is thrown on.
   * Answers what is kept afterwards. Without `ttlMs` an entry that had an end keeps it.
   */
  update(key: string, change: (old: Value | null) => Value | null, options?: PutOptions): Promise<Value | null>;
  /** Gets and deletes in one atomic step: of all who ask at once, one gets it. */
  take(key: string): Promise<Value | null>;
  /** Answers whether it was there. */
  delete(key: string): Promise<boolean>;
  /** Entries whose keys begin with `prefix`, in the order of their keys, at most `MAX_LISTED`. */
  list(prefix: string): Promise<readonly StoredEntry[]>;
  /**
   * Adds an entry at the end of a log. Logs keep their newest entries, `MAX_LOG_ENTRIES` of them. Over the network one may be
   * added twice, when the word that it was is lost: who reads it has to know it again.
   */
  append(log: string, entry: Value): Promise<void>;
  /** The newest `limit` entries of a log, oldest first. */
  readLog(log: string, limit: number): Promise<readonly Value[]>;
  /**
   * Calls `listener` with the key after each change of an entry below `prefix`, by this process or another one. A call
   * may come twice or, from another process, be lost: who must not miss one looks again from time to time. An entry
   * whose time ends goes without a call.
   */
  watch(prefix: string, listener: (key: string) => void): () => void;
  close(): Promise<void>;
}

export const MAX_LOG_ENTRIES = 100_000;
