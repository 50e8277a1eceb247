// The sign-in behind a real HTTP server, with everything that it needs, for one test. Keeps what it logs.

import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { Accounts, AuditLog, Bans } from "../../../src/server/accounts/index.ts";
import { type AttemptLimit, type Attempts, createAttempts } from "../../../src/server/attempts.ts";
import { type AuthService, createAuthService, type OutsideProviderOptions } from "../../../src/server/auth/index.ts";
import { MemoryStore, type Store } from "../../../src/server/store/index.ts";
import type { Stage } from "../../support/stage.ts";

/** One scrypt of a few milliseconds. */
const CHEAP = { logN: 4, r: 8, p: 1 };
export const PASSWORD = "a horse in the rain";

export interface StartAuthOptions {
  /** @default the server's own address, http:// on loopback */
  readonly origin?: string;
  readonly domain?: string;
  /** Told the origin, which the provider has to know. */
  readonly outside?: (origin: string) => Promise<OutsideProviderOptions>;
  /** @default true */
  readonly hasLocalAccounts?: boolean;
  readonly limits?: Partial<
    Record<"sign-in" | "sign-in-account" | "device" | "user-code" | "claim" | "begin", AttemptLimit>
  >;
  readonly now?: () => number;
  readonly store?: Store;
  /** @default an account `ben` with {@link PASSWORD} */
  readonly isEmpty?: boolean;
}

export interface StartedAuth {
  readonly auth: AuthService;
  readonly accounts: Accounts;
  readonly audit: AuditLog;
  readonly bans: Bans;
  readonly attempts: Attempts;
  readonly store: Store;
  readonly port: number;
  readonly origin: string;
  readonly logged: string[];
  /** Address that requests seem to come from. */
  address: string;
}

export async function startAuth(stage: Stage, options: StartAuthOptions = {}): Promise<StartedAuth> {
  let handle: AuthService["handle"] = (_request, response) => response.end();
  const server = createServer((request, response) => handle(request, response));
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  stage.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  const store = options.store ?? new MemoryStore();
  const accounts = await Accounts.open({ store, passwordCost: CHEAP });
  const audit = new AuditLog({ store });
  const bans = await Bans.open({ store });
  const attempts = createAttempts(options.limits);
  const logged: string[] = [];
  const started = { port, store, accounts, audit, bans, attempts, logged, address: "203.0.113.7" };
  const origin = options.origin ?? `http://127.0.0.1:${port}`;
  const auth = await createAuthService({
    ...{ origin, store, accounts, audit, bans, attempts },
    ...(options.domain === undefined ? {} : { domain: options.domain }),
    outside: (await options.outside?.(origin)) ?? null,
    hasLocalAccounts: options.hasLocalAccounts ?? true,
    addressOf: (_request: IncomingMessage) => started.address,
    log: (level, message) => logged.push(`${level} ${message}`),
    ...(options.now === undefined ? {} : { now: options.now }),
  });
  handle = (request, response) => auth.handle(request, response);
  stage.defer(async () => {
    await auth.close();
    accounts.close();
    bans.close();
    if (options.store === undefined) await store.close();
  });
  if (options.isEmpty !== true) await addPerson(accounts, "ben");
  return Object.assign(started, { auth, origin });
}

/** An account with {@link PASSWORD}. Answers its id. */
export async function addPerson(accounts: Accounts, name: string, isAdmin = false): Promise<string> {
  const { userId } = await accounts.create({ name, isAdmin, namePatterns: null });
  const { code } = await accounts.invite(userId);
  await accounts.acceptInvite(code, PASSWORD);
  return userId;
}
