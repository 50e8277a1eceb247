// Whose account an identity acts for, and who is told to have done something.

import { type Identity, userIdOfOwner } from "../identity/index.ts";

/** Null for the admin token and for keys. */
export function userIdOf({ ownerId }: Identity): string | null {
  return userIdOfOwner(ownerId);
}
