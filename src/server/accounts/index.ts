// People, their machines' tokens, bans and the audit log, kept in a store. Knows no HTTP.

export type { Account, AuditAction, AuditEvent, Ban, BanSubject, MachineToken } from "./types.ts";
