// Who the server takes the sender for, and the clients that one may see.

import type { Identity } from "../identity/index.ts";
import type { ApiEndpoints, ApiOptions } from "./options.ts";
import { isoOrNull } from "./rows.ts";
import { userIdOf } from "./whose.ts";

/** Of an account's patterns and a token's, so many pairs are told. */
const MAX_TOLD_PATTERNS = 64;

export function whoamiEndpoints({ hub, accounts }: ApiOptions): ApiEndpoints {
  return {
    "GET /api/whoami": {
      method: "GET",
      right: "anybody",
      run: ({ identity }) => {
        const userId = userIdOf(identity);
        return {
          user: (userId === null ? null : accounts.byId(userId)?.name) ?? identity.ownerName,
          role: identity.isAdmin ? "admin" : "user",
          owner: identity.ownerName,
          expiresAt: isoOrNull(identity.expiresAt),
          namePatterns: toldPatterns(identity),
        };
      },
    },
    "GET /api/clients": {
      method: "GET",
      right: "anybody",
      run: async ({ identity }) => ({ clients: await hub.list(identity) }),
    },
  };
}

/** Null: any name. Where two lists count, each pair of which both must match. */
function toldPatterns({ namePatterns }: Identity): readonly string[] | null {
  const [first, ...others] = namePatterns;
  if (first === undefined) return null;
  return others
    .reduce((told, list) => told.flatMap((one) => list.map((other) => `${one} & ${other}`)), first)
    .slice(0, MAX_TOLD_PATTERNS);
}
