// For servers with accounts: a person's ID token, a machine's token, or the admin token.

import { DuplexityError } from "../../protocol/index.ts";
import type { Accounts, MachineTokens } from "../accounts/index.ts";
import type { IdTokenVerifier } from "./id-tokens.ts";
import type { Admission, Authenticator, Identity, IdentityRequest } from "./identity.ts";

export interface AccountAuthenticatorOptions {
  readonly accounts: Accounts;
  readonly tokens: MachineTokens;
  /** Null: nobody can sign in. */
  readonly idTokens: IdTokenVerifier | null;
  readonly adminToken: string | null;
  readonly admission: Admission;
}

export class AccountAuthenticator implements Authenticator {
  readonly challenge = 'Bearer realm="duplexity"';

  constructor(_options: AccountAuthenticatorOptions) {}

  async authenticate(_request: IdentityRequest): Promise<Identity> {
    throw new DuplexityError("DPX_AUTH_REQUIRED", "Cannot let you in yet");
  }

  async authenticateToken(_token: string): Promise<Identity> {
    throw new DuplexityError("DPX_AUTH_INVALID", "Cannot let you in yet");
  }

  current(_identity: Identity): Identity | null {
    return null;
  }
}
