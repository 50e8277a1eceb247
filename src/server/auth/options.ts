// What the auth part is told, and what it offers. No code.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { JSONWebKeySet } from "jose";
import type { Accounts, AuditLog } from "../accounts/index.ts";
import type { Attempts } from "../attempts.ts";
import type { Admission } from "../identity/index.ts";
import type { Store } from "../store/index.ts";
import type { VisitorSignIn } from "../visitor-sign-in.ts";

/** Where people sign in who have no password here. */
export interface OutsideProviderOptions {
  /** As its discovery document says it, without `/.well-known/…`; http:// on loopback only. */
  readonly issuer: string;
  readonly clientId: string;
  /** null: a public client. */
  readonly clientSecret: string | null;
  /** Domains of verified e-mail addresses that may sign in; empty: any. */
  readonly allowedDomains: readonly string[];
  /** Values of the claim `groups`, one of which a person must have; empty: none needed. */
  readonly allowedGroups: readonly string[];
  /** `claim=value`, such as `groups=tunnel-admins`; null: nobody becomes an admin through the provider. */
  readonly adminClaim: string | null;
}

export interface AuthServiceOptions {
  /** How the public side reaches this server: `https://tunnel.example.com`. The issuer is it and `/auth`. */
  readonly origin: string;
  /** Below which the pipes' hostnames lie. @default the origin's hostname */
  readonly domain?: string;
  readonly store: Store;
  readonly accounts: Accounts;
  readonly audit: AuditLog;
  readonly bans: Admission;
  readonly attempts: Attempts;
  readonly outside: OutsideProviderOptions | null;
  /** Whether people may have passwords here. */
  readonly hasLocalAccounts: boolean;
  /** Who asks, as the audit log and the rate limits know it: an IP address. */
  readonly addressOf: (request: IncomingMessage) => string;
  /** One line for people about what happens; never a secret. */
  readonly log: (level: "debug" | "info" | "warn" | "error", message: string) => void;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

export interface AuthService {
  /** `https://tunnel.example.com/auth` */
  readonly issuer: string;
  /** Answers a request for `/auth` or below. Never throws. */
  handle(request: IncomingMessage, response: ServerResponse): void;
  /** The public keys by which its ID tokens are verified, also those that other processes sign with. */
  keys(): Promise<JSONWebKeySet>;
  /** The link that makes the first admin; the code is in its fragment, which no log sees. */
  claimUrl(code: string): string;
  inviteUrl(code: string): string;
  readonly visitors: VisitorSignIn;
  close(): Promise<void>;
}
