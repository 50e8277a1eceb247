// What an account, or a token that acts for it, is as an identity. Pure.

import type { Account, MachineToken } from "../accounts/index.ts";
import type { Identity } from "./identity.ts";

const USER = "user:";

/** The ownerId of an account's pipes. */
export function ownerIdOfUser(userId: string): string {
  return `${USER}${userId}`;
}

/** The account behind an ownerId, or null: the admin token and keys have none. */
export function userIdOfOwner(ownerId: string): string | null {
  return ownerId.startsWith(USER) ? ownerId.slice(USER.length) : null;
}

/** A person who signed in. @param expiresAt When the sign-in ends, Unix time in ms. */
export function identityOfAccount(account: Account, expiresAt: number | null): Identity {
  const { userId, name, isAdmin, namePatterns } = account;
  return {
    ownerId: ownerIdOfUser(userId),
    ownerName: name,
    isAdmin,
    namePatterns: namePatterns === null ? [] : [namePatterns],
    expiresAt,
    proof: { kind: "sign-in" },
  };
}

/** A machine: its owner's names within its own patterns, and never an admin, since its secret lies in a file somewhere. */
export function identityOfToken(account: Account, token: MachineToken): Identity {
  const owner = identityOfAccount(account, token.expiresAt);
  return {
    ...owner,
    ownerName: `${account.name}@${token.name}`,
    isAdmin: false,
    namePatterns: token.namePatterns === null ? owner.namePatterns : [...owner.namePatterns, token.namePatterns],
    proof: { kind: "machine-token", tokenId: token.tokenId },
  };
}
