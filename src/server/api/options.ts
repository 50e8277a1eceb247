// What the API is given: the hub, who may ask, and where people, tokens, bans and the audit log are kept. No code.

import type { IncomingMessage } from "node:http";
import type { Accounts, AuditLog, Bans, MachineTokens } from "../accounts/index.ts";
import type { Hub } from "../hub/index.ts";
import type { Authenticator } from "../identity/index.ts";

export interface ApiOptions {
  readonly hub: Pick<Hub, "list">;
  readonly authenticator: Authenticator;
  /** The server's domain: its own hostname. */
  readonly domain: string;
  /** Where a request comes from, for the audit log: an address without a port. */
  readonly addressOf: (request: IncomingMessage) => string;
  /** Null on a server without accounts, where there is nobody who could be an admin. */
  readonly people: ApiPeople | null;
}

export interface ApiPeople {
  readonly accounts: Accounts;
  readonly tokens: MachineTokens;
  readonly bans: Bans;
  readonly audit: AuditLog;
  /** The page on which an invitation is accepted. */
  readonly inviteUrl: (code: string) => string;
}
