// What a secret is kept as: who reads the digest can open nothing with it.

import { createHash } from "node:crypto";

/** SHA-256 as 43 characters of base64url: fit for a key of the store. */
export function digestOf(secret: string): string {
  return createHash("sha256").update(secret).digest("base64url");
}
