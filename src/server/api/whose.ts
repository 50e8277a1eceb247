// Whose account an identity acts for, and who is told to have done something.

import type { Identity } from "../identity/index.ts";

const USER = "user:";

/** Null for the admin token and for keys. */
export function userIdOf({ ownerId }: Identity): string | null {
  return ownerId.startsWith(USER) ? ownerId.slice(USER.length) : null;
}
