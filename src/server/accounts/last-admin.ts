// Keeps a server from losing its last admin, also when two admins remove each other at once.

import { DuplexityError } from "../../protocol/index.ts";
import type { AccountBook } from "./account-book.ts";
import type { StoredAccount } from "./records.ts";

/**
 * Says that `leaving`, an admin, is being removed. Says so first and looks for others then: two who remove each other
 * are both refused.
 *
 * @throws {DuplexityError} `DPX_FORBIDDEN` if no other admin would be left.
 */
export async function leaveAdmins(book: AccountBook, leaving: StoredAccount, now: number): Promise<void> {
  const { userId, name } = leaving;
  await book.change(userId, (old) => ({ ...old, leavingAt: now }));
  const others = (await book.admins()).filter((admin) => admin.userId !== userId);
  // An invited admin may never come: nobody who can sign in leaves the server to such a one.
  if (others.some((other) => canSignIn(other) || !canSignIn(leaving))) return;
  await book.change(userId, (old) => ({ ...old, leavingAt: null }));
  throw new DuplexityError("DPX_FORBIDDEN", `Cannot remove "${name}": no other admin would be left`, {
    hint: "Make another one first, who accepts the invite: duplexity user add NAME --admin",
  });
}

function canSignIn({ password, outside }: StoredAccount): boolean {
  return password !== null || outside !== null;
}
