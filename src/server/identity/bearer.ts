// Takes a bearer token out of a request. Says nothing about whose it is.

import type { IdentityRequest } from "./identity.ts";

const BEARER = /^bearer +(\S+) *$/i;

/** The token of `Authorization: Bearer …` (RFC 6750 §2.1), or null. */
export function bearerOf({ authorization }: IdentityRequest): string | null {
  return BEARER.exec(authorization ?? "")?.[1] ?? null;
}
