// For servers with accounts: a person's ID token, a machine's token, or the admin token. Tells them apart by their looks
// and lets the right one judge; keeps nothing.

import { DuplexityError } from "../../protocol/index.ts";
import { type Account, type Accounts, type MachineTokens, TOKEN_PREFIX } from "../accounts/index.ts";
import { identityOfAccount, identityOfToken, userIdOfOwner } from "./account-identity.ts";
import { ADMIN, AdminTokenAuthenticator } from "./admin-token.ts";
import { bearerOf } from "./bearer.ts";
import type { IdTokenVerifier } from "./id-tokens.ts";
import type { Admission, Authenticator, Identity, IdentityRequest } from "./identity.ts";

/** As long as the longest admin token; more is not looked at. */
const MAX_TOKEN_CHARS = 4_096;
const THREE_PARTS = /^[\w-]+\.[\w-]+\.[\w-]*$/;

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
  readonly #options: AccountAuthenticatorOptions;
  readonly #adminToken: AdminTokenAuthenticator | null;

  /** @throws {DuplexityError} `DPX_USAGE` if the admin token cannot be one. */
  constructor(options: AccountAuthenticatorOptions) {
    this.#options = options;
    this.#adminToken = options.adminToken === null ? null : new AdminTokenAuthenticator(options.adminToken);
  }

  /** @throws {DuplexityError} Besides `DPX_AUTH_REQUIRED` and `DPX_AUTH_INVALID`, `DPX_BANNED`. */
  async authenticate(request: IdentityRequest): Promise<Identity> {
    const token = bearerOf(request);
    if (token === null) {
      throw new DuplexityError("DPX_AUTH_REQUIRED", "Cannot let you in: this server asks who you are", {
        hint: "Sign in with duplexity login SERVER, or set DUPLEXITY_TOKEN to a token of this server.",
      });
    }
    return this.authenticateToken(token);
  }

  /** @throws {DuplexityError} Besides `DPX_AUTH_INVALID`, `DPX_BANNED`. */
  async authenticateToken(token: string): Promise<Identity> {
    const identity = await this.#identify(token);
    this.#options.admission.check(identity, {});
    return identity;
  }

  current(identity: Identity): Identity | null {
    const { accounts, tokens } = this.#options;
    const { proof } = identity;
    if (proof.kind === "admin-token") return this.#adminToken === null ? null : identity;
    if (proof.kind === "key") return null;
    const account = accounts.byId(userIdOfOwner(identity.ownerId) ?? "");
    if (account === null) return null;
    if (proof.kind === "sign-in") return identityOfAccount(account, identity.expiresAt);
    const token = tokens.get(proof.tokenId);
    return token?.userId === account.userId ? identityOfToken(account, token) : null;
  }

  async isGone(ownerId: string): Promise<boolean> {
    const userId = userIdOfOwner(ownerId);
    // As the store has it now: another node may have removed it a moment ago.
    return userId !== null && (await this.#options.accounts.lookUp(userId)) === null;
  }

  async #identify(token: string): Promise<Identity> {
    if (token.length > MAX_TOKEN_CHARS) throw refused("the token is longer than any of this server's");
    // First, since it may look like anything.
    if (this.#adminToken?.isToken(token)) return ADMIN;
    if (token.startsWith(TOKEN_PREFIX)) return this.#ofMachine(token);
    if (THREE_PARTS.test(token)) return this.#ofPerson(token);
    throw refused("the token is not one of this server's");
  }

  async #ofMachine(secret: string): Promise<Identity> {
    const { tokens } = this.#options;
    const token = await tokens.find(secret);
    const account = token === null ? null : await this.#accountOf(token.userId);
    if (token !== null && account !== null) return identityOfToken(account, token);
    throw refused(
      "the machine token is unknown, revoked or has ended",
      "Make another one with duplexity token create NAME, then set DUPLEXITY_TOKEN.",
    );
  }

  async #ofPerson(idToken: string): Promise<Identity> {
    const { idTokens } = this.#options;
    if (idTokens === null) throw refused("nobody can sign in at this server", "Set DUPLEXITY_TOKEN to a token of it.");
    const { userId, expiresAt } = await idTokens.verify(idToken);
    const account = await this.#accountOf(userId);
    if (account === null) throw refused("your account is not there any more", "Ask an admin of this server.");
    return identityOfAccount(account, expiresAt);
  }

  /** Another node may have made it a moment ago. */
  async #accountOf(userId: string): Promise<Account | null> {
    const { accounts } = this.#options;
    return accounts.byId(userId) ?? (await accounts.lookUp(userId));
  }
}

function refused(why: string, hint = "Sign in with duplexity login SERVER, or set DUPLEXITY_TOKEN."): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot let you in: ${why}`, { hint });
}
