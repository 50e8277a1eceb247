// What a server knows of people: the store is opened, and what lies in it made ready to ask. Decides nothing.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../protocol/index.ts";
import { Accounts, AuditLog, Bans, MachineTokens } from "./accounts/index.ts";
import type { BackendLink } from "./calls/index.ts";
import type { IdentityOptions } from "./index.ts";
import { countFailures, type FailureCount } from "./operate/index.ts";
import { openStore, type Store } from "./store/index.ts";

const VISITOR_SECRET_BYTES = 32;

export interface People {
  readonly store: Store;
  readonly accounts: Accounts;
  readonly tokens: MachineTokens;
  readonly bans: Bans;
  readonly audit: AuditLog;
  /** Signs the cookies of visitors who have signed in at a pipe's gate. */
  readonly visitorSecret: Buffer;
  close(): Promise<void>;
}

export interface OpenPeopleOptions {
  /** Told what was mended on the way, such as a file that others could read. */
  readonly warn: (message: string) => void;
  /** Counts the store's calls that fail. */
  readonly storeFailures: FailureCount;
  /** The way to the backend, where the store is there. */
  readonly link: BackendLink | null;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

/**
 * With --no-auth nothing outlives the process.
 *
 * @throws {DuplexityError} `DPX_STORE` if the store cannot be opened or read. Nothing is left open then.
 */
export async function openPeople(
  identity: IdentityOptions,
  { warn, storeFailures, link, now = Date.now }: OpenPeopleOptions,
): Promise<People> {
  const opened: (() => unknown)[] = [];
  const close = async (): Promise<void> => {
    for (const end of opened.splice(0).reverse()) await end();
  };
  const log = (_level: "warn", message: string): void => warn(message);
  try {
    const store = countFailures(await openStoreOf(identity, link, warn), storeFailures);
    opened.push(() => store.close());
    const accounts = await Accounts.open({ store, log, now });
    opened.push(() => accounts.close());
    const tokens = await MachineTokens.open({ store, accounts, log, now });
    opened.push(() => tokens.close());
    const bans = await Bans.open({ store, log, now });
    opened.push(() => bans.close());
    const visitorSecret = await secretIn(store);
    return { store, accounts, tokens, bans, audit: new AuditLog({ store, now }), visitorSecret, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function openStoreOf(
  identity: IdentityOptions,
  link: BackendLink | null,
  warn: (message: string) => void,
): Promise<Store> {
  if (identity.kind === "no-auth") return openStore({ kind: "memory" });
  const { store } = identity;
  switch (store.kind) {
    case "backend":
      if (link === null) throw new DuplexityError("DPX_INTERNAL", "There is no way to the backend");
      return openStore({ kind: "backend", link });
    case "memory":
      return openStore(store);
    default:
      return openStore({ warn, ...store });
  }
}

/** Made once; the same for all who share the store. */
async function secretIn(store: Store): Promise<Buffer> {
  const made = randomBytes(VISITOR_SECRET_BYTES).toString("base64url");
  const kept = await store.update("visitor-secret", (old) => (typeof old === "string" ? old : made));
  return Buffer.from(typeof kept === "string" ? kept : made, "base64url");
}
