// A token endpoint's answer, already checked by openid-client, as a sign-in to keep.

import type { TokenEndpointResponse, TokenEndpointResponseHelpers } from "openid-client";
import { DuplexityError } from "../../protocol/errors.ts";
import type { SignIn } from "./file.ts";

export interface SignInFacts {
  readonly server: string;
  readonly issuer: string;
  /** What is kept when the answer brings no other. */
  readonly refreshToken: string | null;
  readonly user: string;
}

/** @throws {DuplexityError} `DPX_SIGN_IN_FAILED` if the answer lacks what was asked for. */
export function signInOf(tokens: TokenEndpointResponse & TokenEndpointResponseHelpers, facts: SignInFacts): SignIn {
  const claims = tokens.claims();
  const token = tokens.id_token;
  const refreshToken = tokens.refresh_token ?? facts.refreshToken;
  if (claims === undefined || token === undefined || refreshToken === null) {
    const missing = token === undefined ? "ID token" : "refresh token";
    throw new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot sign in to ${facts.server}: its answer has no ${missing}`);
  }
  const obtainedAt = Date.now();
  const name = claims.preferred_username;
  return {
    server: facts.server,
    user: typeof name === "string" && name !== "" ? name : facts.user || claims.sub,
    token,
    obtainedAt,
    // The token's life by this machine's clock, which may be a minute off the server's.
    expiresAt: obtainedAt + (claims.exp - claims.iat) * 1_000,
    renewal: { issuer: facts.issuer, refreshToken },
  };
}
