// Removes a person's machine tokens, for when the person goes.

import type { Store } from "../store/index.ts";
import { readToken } from "./records.ts";

/** What the keys of machine tokens begin with. */
export const TOKENS = "token/";

export async function removeTokensOf(store: Store, userId: string): Promise<void> {
  for (const { key, value } of await store.list(TOKENS)) {
    if (readToken(value)?.token.userId === userId) await store.delete(key);
  }
}
