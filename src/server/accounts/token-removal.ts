// Removes a person's machine tokens, for when the person goes.

import type { Store } from "../store/index.ts";
import { readToken } from "./records.ts";

/** What the keys of machine tokens begin with. */
export const TOKENS = "token/";
/** By the digest of its secret: which token it is, for a node whose mirror does not have it yet. */
export const TOKEN_DIGESTS = "token-digest/";

export async function removeTokensOf(store: Store, userId: string): Promise<void> {
  for (const { key, value } of await store.list(TOKENS)) {
    const stored = readToken(value);
    if (stored?.token.userId !== userId) continue;
    await store.delete(key);
    await store.delete(`${TOKEN_DIGESTS}${stored.digest}`);
  }
}
