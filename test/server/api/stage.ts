// The API on a real listener in front of a real hub, with accounts in memory: ana is an admin, ben and eva are not.

import { request } from "node:http";
import { Accounts, AuditLog, Bans, MachineTokens } from "../../../src/server/accounts/index.ts";
import { type AttemptKind, type AttemptLimit, createAttempts } from "../../../src/server/attempts.ts";
import { AccountAuthenticator } from "../../../src/server/identity/index.ts";
import { MemoryStore } from "../../../src/server/store/index.ts";
import type { Stage } from "../../support/stage.ts";
import { type HandClient, type HubStage, startHub } from "../hub/stage.ts";

export const ADMIN_TOKEN = "admin-token-of-the-test";

export interface ApiAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: ApiBody;
}

/** Of each answer the fields that it has; of what they hold, tests say what they expect. */
export interface ApiBody {
  readonly auditId: string;
  readonly bans: readonly unknown[];
  readonly clients: readonly unknown[];
  readonly error: { readonly code: string; readonly message: string; readonly hint: string };
  readonly events: readonly unknown[];
  readonly expiresAt: string;
  readonly inviteUrl: string;
  readonly namePatterns: readonly string[] | null;
  readonly secret: string;
  readonly token: { readonly tokenId: string };
  readonly tokens: readonly { readonly name: string }[];
  readonly user: string;
  readonly users: readonly { readonly name: string; readonly state: string }[];
  readonly v: number;
}

export interface ApiStage {
  readonly hub: HubStage;
  readonly accounts: Accounts;
  readonly tokens: MachineTokens;
  readonly bans: Bans;
  readonly audit: AuditLog;
  readonly store: MemoryStore;
  readonly clock: { now: number };
  /** An ID token of a person. */
  tokenOf(name: string): string;
  client(token: string): HandClient;
  get(path: string, token?: string, headers?: Record<string, string>): Promise<ApiAnswer>;
  post(path: string, body: unknown, token?: string, headers?: Record<string, string>): Promise<ApiAnswer>;
  /** `action by whom` of each event. */
  told(): Promise<string[]>;
}

export async function startApi(
  stage: Stage,
  limits: Partial<Record<AttemptKind, AttemptLimit>> = {},
): Promise<ApiStage> {
  const clock = { now: 1_800_000_000_000 };
  const now = (): number => clock.now;
  const store = new MemoryStore();
  const accounts = await Accounts.open({ store, now });
  const tokens = await MachineTokens.open({ store, accounts, now });
  const bans = await Bans.open({ store, now });
  const audit = new AuditLog({ store, now });
  stage.defer(() => {
    for (const part of [accounts, tokens, bans]) part.close();
  });
  for (const name of ["ana", "ben", "eva"]) {
    await accounts.create({ name, isAdmin: name === "ana", namePatterns: null });
  }
  const idTokens = {
    verify: async (token: string) => ({
      userId: token.split(".")[1] ?? "",
      expiresAt: clock.now + 3_600_000,
      issuedAt: clock.now,
    }),
  };
  const authenticator = new AccountAuthenticator({
    ...{ accounts, tokens, idTokens, adminToken: ADMIN_TOKEN, admission: bans },
  });
  const people = { accounts, tokens, bans, audit };
  const hub = await startHub(stage, { authenticator, admission: bans, people, now, attempts: createAttempts(limits) });
  bans.onAdded((ban) => void hub.hub.enforce(ban));
  const ask = (method: string, path: string, content: string | null, more: Record<string, string | undefined>) =>
    send(hub.port, { method, path, content, headers: more });
  return {
    ...{ hub, accounts, tokens, bans, audit, store, clock },
    tokenOf: (name) => `id.${accounts.byName(name)?.userId ?? "nobody"}.signed`,
    client: (token) => hub.client({ token }),
    get: (path, token, headers = {}) => ask("GET", path, null, { ...bearer(token), ...headers }),
    post: (path, body, token, headers = {}) =>
      ask("POST", path, typeof body === "string" ? body : JSON.stringify(body), {
        ...{ "Content-Type": "application/json", ...bearer(token) },
        ...headers,
      }),
    told: async () =>
      (await audit.read(1_000)).map(({ action, by, whom, from }) => {
        if (from !== "127.0.0.1") throw new Error(`${action} comes from ${from}`);
        return `${action} ${by} ${whom}`;
      }),
  };
}

function bearer(token: string | undefined): Record<string, string> {
  return token === undefined ? {} : { Authorization: `Bearer ${token}` };
}

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly content: string | null;
  readonly headers: Record<string, string | undefined>;
}

export function send(port: number, { method, path, content, headers }: Asked): Promise<ApiAnswer> {
  return new Promise((resolve, reject) => {
    const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    const asked = request(
      { host: "127.0.0.1", port, method, path, headers: { Host: "test", ...given } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString("utf8");
          const body = text.startsWith("{") ? JSON.parse(text) : text;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body });
        });
        response.on("error", reject);
      },
    );
    asked.on("error", reject);
    asked.end(content ?? undefined);
  });
}
