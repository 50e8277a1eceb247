// Who clients are and how they prove it. Knows neither sockets nor names.

import type { IdentityOptions } from "../index.ts";
import { AdminTokenAuthenticator } from "./admin-token.ts";
import type { Authenticator } from "./identity.ts";
import { KeyProofAuthenticator } from "./key-proof.ts";

export { AccountAuthenticator, type AccountAuthenticatorOptions } from "./account-authenticator.ts";
export { identityOfAccount, identityOfToken, ownerIdOfUser, userIdOfOwner } from "./account-identity.ts";
export { AdminTokenAuthenticator } from "./admin-token.ts";
export {
  createIdTokenVerifier,
  type IdTokenVerifier,
  type IdTokenVerifierOptions,
  type VerifiedIdToken,
} from "./id-tokens.ts";
export {
  type Admission,
  type Authenticator,
  type Identity,
  type IdentityRequest,
  isSameProver,
  type Proof,
} from "./identity.ts";
export { KeyProofAuthenticator } from "./key-proof.ts";
export { isLoopbackHost } from "./loopback.ts";
export { ReplayTable } from "./replay-table.ts";

/** @throws {DuplexityError} `DPX_USAGE` if the options cannot protect anything. */
export function createAuthenticator(options: IdentityOptions): Authenticator {
  return options.kind === "no-auth" ? new KeyProofAuthenticator() : new AdminTokenAuthenticator(options.token);
}
