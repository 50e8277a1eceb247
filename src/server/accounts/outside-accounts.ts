// Accounts of people for whom an outside provider vouches: found by issuer and subject, never by name, since a name at
// the provider proves nothing about an account here.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import type { AccountBook } from "./account-book.ts";
import { isAdminsName, MAX_NUMBERED_NAME, nameFromOutside, withEnd } from "./account-names.ts";
import type { StoredAccount } from "./records.ts";
import { newId } from "./secrets.ts";
import type { Account } from "./types.ts";

/** OpenID Connect Core §2 allows a subject 255 characters; issuers are URLs. */
const MAX_ISSUER_CHARS = 2_048;
const MAX_SUBJECT_CHARS = 255;

export interface OutsideSignIn {
  readonly issuer: string;
  readonly subject: string;
  /** As the provider calls the person; what the account is called is made from it. */
  readonly name: string;
  readonly isAdmin: boolean;
}

/**
 * Any number of sign-ins of one person at once make one account: they agree on its userId first.
 *
 * @throws {DuplexityError} `DPX_AUTH_INVALID` if the provider's words are too long, `DPX_LIMIT`.
 */
export async function signInOutside(book: AccountBook, options: OutsideSignIn, now: number): Promise<Account> {
  const { issuer, subject, isAdmin } = options;
  if (subject === "" || subject.length > MAX_SUBJECT_CHARS || issuer.length > MAX_ISSUER_CHARS) {
    throw new DuplexityError("DPX_AUTH_INVALID", "Cannot let you in: the provider's name for you is empty or too long");
  }
  const outside = { issuer, subject };
  const userId = await book.outsideUserId(outside, newId("u_"));
  const known = await book.stored(userId);
  if (known !== null) {
    const account = await book.change(userId, (old) => (old.isAdmin === isAdmin ? old : { ...old, isAdmin }));
    if (account !== null) return account;
  }
  for (const name of namesFor(options)) {
    const account: StoredAccount = {
      ...{ userId, name, isAdmin, outside, createdAt: now },
      ...{ namePatterns: null, password: null, leavingAt: null },
    };
    try {
      const added = await book.add(account);
      // Whoever removed the account meanwhile has removed what leads to it first, and must not see it come back.
      if (await book.isOutsideUser(outside, userId)) return added;
    } catch (error) {
      if (!(error instanceof DuplexityError) || error.code !== "DPX_EXISTS") throw error;
      continue;
    }
    await book.remove(account);
    throw new DuplexityError("DPX_AUTH_INVALID", "Cannot let you in: your account was removed at this moment", {
      hint: "Ask an admin of this server.",
    });
  }
  throw new DuplexityError("DPX_EXISTS", `Cannot add "${options.name.slice(0, 64)}": all names like it are taken`);
}

function* namesFor({ name: outsideName, isAdmin }: OutsideSignIn): Generator<string> {
  const name = nameFromOutside(outsideName);
  // At many providers people choose what they are called.
  if (isAdmin || !isAdminsName(name)) yield name;
  for (let number = 2; number <= MAX_NUMBERED_NAME; number += 1) yield withEnd(name, String(number));
  yield withEnd(name, randomBytes(4).toString("hex"));
}
