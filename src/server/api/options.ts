// What the API is given: the hub, who may ask, and where people, tokens, bans and the audit log are kept. No code.

import type { IncomingMessage } from "node:http";
import type { Accounts, AuditLog, Ban, Bans, MachineTokens } from "../accounts/index.ts";
import type { Attempts } from "../attempts.ts";
import type { ClientRow, Found, Kick, KickedClient } from "../hub/index.ts";
import type { Authenticator, Identity } from "../identity/index.ts";

/** The clients, wherever they are. */
export interface ApiHub {
  list(identity: Identity): readonly ClientRow[] | Promise<readonly ClientRow[]>;
  /** Of the hubs that answer in time. */
  find(who: string): Found | Promise<Found>;
  everybody(): readonly KickedClient[] | Promise<readonly KickedClient[]>;
  /** @throws {DuplexityError} `DPX_STORE` if a hub may have whom `who` means, and does not say. */
  checkHeard(who: string): Promise<void>;
  kick(kick: Kick): Promise<readonly KickedClient[]>;
  enforce(ban: Ban): Promise<readonly KickedClient[]>;
  judgeAll(): void;
}

export interface ApiOptions {
  readonly hub: ApiHub;
  readonly authenticator: Authenticator;
  readonly accounts: Pick<Accounts, "all" | "byId" | "lookUpByName" | "create" | "invite" | "remove">;
  readonly tokens: Pick<MachineTokens, "all" | "create" | "ofUser" | "revoke">;
  readonly bans: Pick<Bans, "add" | "all" | "lift">;
  readonly audit: Pick<AuditLog, "read" | "record">;
  readonly attempts: Attempts;
  /** The server's domain: its own hostname, and what pipes are below. */
  readonly domain: string;
  /** The page on which an invitation is accepted. */
  readonly inviteUrl: (code: string) => string;
  /** Where a request comes from, for the audit log: an address without a port. */
  readonly addressOf: (request: IncomingMessage) => string;
  readonly log: (level: "error", message: string) => void;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

/** One request whose sender is known and may ask this. */
export interface ApiCall {
  readonly identity: Identity;
  /** The address it came from. */
  readonly from: string;
  /** What is asked, not checked yet: a POST's body, or the query of a GET. */
  readonly asked: unknown;
}

/** Who may ask. */
export type ApiRight =
  /** Whoever has shown who they are. */
  | "anybody"
  /** A person or the admin token: what a machine's token may not do, so that one that leaks makes no others. */
  | "person"
  /** The same, and an admin. */
  | "admin";

export interface ApiEndpoint {
  readonly method: "GET" | "POST";
  readonly right: ApiRight;
  /** Answers the body, without `v`. */
  run(call: ApiCall): object | Promise<object>;
}

/** By method and path: `POST /api/kick`. */
export type ApiEndpoints = Readonly<Record<string, ApiEndpoint>>;
