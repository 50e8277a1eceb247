// How accounts, tokens and bans lie in the store, and back. What is not whole is answered as null, never half read.

import type { Value } from "../store/index.ts";
import type { Account, Ban, BanSubject, MachineToken } from "./types.ts";

export interface StoredAccount {
  readonly userId: string;
  readonly name: string;
  readonly isAdmin: boolean;
  readonly namePatterns: readonly string[] | null;
  /** A scrypt hash. */
  readonly password: string | null;
  readonly outside: { readonly issuer: string; readonly subject: string } | null;
  readonly createdAt: number;
  /** When somebody began to remove this admin: two admins who remove each other both see it. */
  readonly leavingAt: number | null;
}

export interface StoredToken {
  readonly token: MachineToken;
  /** SHA-256 of the secret. */
  readonly digest: string;
}

type Fields = { readonly [field: string]: Value };

/** `value` if it is an object of JSON. Its fields are only ever taken by names that this program knows. */
export function fieldsOf(value: Value | null): Fields | null {
  return isFields(value) ? value : null;
}

function isFields(value: Value | null): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function accountOf(stored: StoredAccount): Account {
  const { userId, name, isAdmin, namePatterns, password, outside, createdAt } = stored;
  return { userId, name, isAdmin, namePatterns, hasPassword: password !== null, outside, createdAt };
}

export function readAccount(value: Value | null): StoredAccount | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  const { userId, name, isAdmin, namePatterns, password, outside, createdAt, leavingAt = null } = fields;
  if (typeof userId !== "string" || typeof name !== "string" || typeof isAdmin !== "boolean") return null;
  if (typeof createdAt !== "number" || !isTextOrNull(password) || !isNumberOrNull(leavingAt)) return null;
  const patterns = readPatterns(namePatterns);
  const provider = readOutside(outside);
  if (patterns === undefined || provider === undefined) return null;
  return { userId, name, isAdmin, namePatterns: patterns, password, outside: provider, createdAt, leavingAt };
}

export function writeAccount(account: StoredAccount): Value {
  const { userId, name, isAdmin, namePatterns, password, outside, createdAt, leavingAt } = account;
  return { userId, name, isAdmin, namePatterns, password, outside, createdAt, leavingAt };
}

export function readToken(value: Value | null): StoredToken | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  const { tokenId, name, userId, namePatterns, createdAt, expiresAt, lastUsedAt, digest } = fields;
  if (typeof tokenId !== "string" || typeof name !== "string" || typeof userId !== "string") return null;
  if (typeof digest !== "string" || typeof createdAt !== "number") return null;
  if (!isNumberOrNull(expiresAt) || !isNumberOrNull(lastUsedAt)) return null;
  const patterns = readPatterns(namePatterns);
  if (patterns === undefined) return null;
  return { token: { tokenId, name, userId, namePatterns: patterns, createdAt, expiresAt, lastUsedAt }, digest };
}

export function writeToken({ token, digest }: StoredToken): Value {
  const { tokenId, name, userId, namePatterns, createdAt, expiresAt, lastUsedAt } = token;
  return { tokenId, name, userId, namePatterns, createdAt, expiresAt, lastUsedAt, digest };
}

export function readBan(value: Value | null): Ban | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  const { by, reason, at, until } = fields;
  const subject = readSubject(fields.subject);
  if (subject === null || typeof by !== "string" || typeof reason !== "string") return null;
  if (typeof at !== "number" || !isNumberOrNull(until)) return null;
  return { subject, by, reason, at, until };
}

export function writeBan({ subject, by, reason, at, until }: Ban): Value {
  return { subject: { ...subject }, by, reason, at, until };
}

/** Undefined: neither patterns nor null. */
function readPatterns(value: Value | undefined): readonly string[] | null | undefined {
  if (value === null) return null;
  if (!Array.isArray(value)) return undefined;
  const patterns: string[] = [];
  for (const pattern of value) {
    if (typeof pattern !== "string") return undefined;
    patterns.push(pattern);
  }
  return patterns;
}

/** Undefined: neither somebody at a provider nor null. */
function readOutside(value: Value | undefined): StoredAccount["outside"] | undefined {
  if (value === null) return null;
  const { issuer, subject } = fieldsOf(value ?? null) ?? {};
  return typeof issuer === "string" && typeof subject === "string" ? { issuer, subject } : undefined;
}

function readSubject(value: Value | undefined): BanSubject | null {
  const fields = fieldsOf(value ?? null);
  if (fields === null) return null;
  const { kind, userId, name, hostname, clientId } = fields;
  if (kind === "user" && typeof userId === "string" && typeof name === "string") return { kind, userId, name };
  if (kind === "hostname" && typeof hostname === "string") return { kind, hostname };
  return kind === "client" && typeof clientId === "string" ? { kind, clientId } : null;
}

function isTextOrNull(value: Value | undefined): value is string | null {
  return value === null || typeof value === "string";
}

function isNumberOrNull(value: Value | undefined): value is number | null {
  return value === null || typeof value === "number";
}
