// People, their machines' tokens, bans and the audit log, kept in a store. Knows no HTTP.

export { userNameOf } from "./account-names.ts";
export { Accounts, type AccountsOptions, type NewAccount } from "./accounts.ts";
export { AuditLog, type AuditLogOptions } from "./audit-log.ts";
export { Bans, type BansOptions } from "./bans.ts";
export type { OneTimeCode } from "./invites.ts";
export { MachineTokens, type MachineTokensOptions, type NewMachineToken, TOKEN_PREFIX } from "./machine-tokens.ts";
export { checkNamePattern, checkNamePatterns, isAllowedName, matchesNamePattern } from "./name-patterns.ts";
export type { OutsideSignIn } from "./outside-accounts.ts";
export type { PasswordCost } from "./passwords.ts";
export type { Account, AuditAction, AuditEvent, Ban, BanSubject, MachineToken } from "./types.ts";
