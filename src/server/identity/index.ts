// Who clients are and how they prove it. Knows neither sockets nor names.

export { AccountAuthenticator, type AccountAuthenticatorOptions } from "./account-authenticator.ts";
export { identityOfAccount, ownerIdOfUser, userIdOfOwner } from "./account-identity.ts";
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
