// Bans, users and tokens as the API shows them. Pure; never a secret.

import type { Account, Ban, BanSubject, MachineToken } from "../accounts/index.ts";

/** @param at Unix time in ms. */
export function isoOrNull(at: number | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

export function nameOfSubject(subject: BanSubject): string {
  switch (subject.kind) {
    case "user":
      return subject.name;
    case "hostname":
      return subject.hostname;
    case "client":
      return subject.clientId;
  }
}

export function banRow({ subject, by, reason, at, until }: Ban): object {
  const { kind } = subject;
  return { kind, name: nameOfSubject(subject), by, reason, at: isoOrNull(at), until: isoOrNull(until) };
}

export function userRow({ name, isAdmin, namePatterns, hasPassword, outside, createdAt }: Account): object {
  const state = hasPassword ? "active" : outside === null ? "invited" : "outside";
  return { name, role: isAdmin ? "admin" : "user", namePatterns, state, createdAt: isoOrNull(createdAt) };
}

/** @param user The name of the account that it is of. */
export function tokenRow(token: MachineToken, user: string): object {
  const { tokenId, name, namePatterns, createdAt, expiresAt, lastUsedAt } = token;
  return {
    ...{ tokenId, name, user, namePatterns, createdAt: isoOrNull(createdAt) },
    ...{ expiresAt: isoOrNull(expiresAt), lastUsedAt: isoOrNull(lastUsedAt) },
  };
}
