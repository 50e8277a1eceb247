// Who may come in, and how they show it: the authenticator of every door and, with accounts, the auth service. Made
// before the listener is open, complete when it is: only then is it known what this server is called.

import type { IncomingMessage } from "node:http";
import { DuplexityError } from "../protocol/index.ts";
import type { Attempts } from "./attempts.ts";
import { type AuthService, createAuthService } from "./auth/index.ts";
import { answerError } from "./http-answer.ts";
import {
  AccountAuthenticator,
  type Authenticator,
  createIdTokenVerifier,
  type IdTokenVerifier,
  KeyProofAuthenticator,
} from "./identity/index.ts";
import type { IdentityOptions, ServeOptions, Server } from "./index.ts";
import type { People } from "./people.ts";
import type { VisitorSignIn } from "./visitor-sign-in.ts";

export interface SignInOptions {
  readonly identity: IdentityOptions;
  readonly people: People;
  readonly attempts: Attempts;
  readonly addressOf: (request: IncomingMessage) => string;
  readonly domain: string;
  readonly log: NonNullable<ServeOptions["log"]>;
  /** Unix time in ms, by which sign-ins are judged. Those who issue them have the machine's own. */
  readonly now: () => number;
}

/** What the command line is called at the provider. */
const CLI_AUDIENCE = "duplexity-cli";

export class SignIn {
  readonly authenticator: Authenticator;
  readonly #options: SignInOptions;
  #auth: AuthService | null = null;
  #idTokens: IdTokenVerifier | null = null;

  constructor(options: SignInOptions) {
    this.#options = options;
    const { identity, people } = options;
    this.authenticator =
      identity.kind === "no-auth"
        ? new KeyProofAuthenticator()
        : new AccountAuthenticator({
            ...{ accounts: people.accounts, tokens: people.tokens, admission: people.bans },
            adminToken: identity.adminToken ?? null,
            idTokens: { verify: (token) => this.#verifier().verify(token) },
          });
  }

  /** What is under /auth; null with --no-auth. */
  get pages(): Pick<AuthService, "handle"> | null {
    if (this.#options.identity.kind === "no-auth") return null;
    return {
      handle: (request, response) => {
        if (this.#auth === null) answerError(response, starting());
        else this.#auth.handle(request, response);
      },
    };
  }

  /** For the gates of pipes: works as soon as the listener is open; null with --no-auth. */
  get visitors(): VisitorSignIn | null {
    if (this.#options.identity.kind === "no-auth") return null;
    return {
      authorizeUrl: (wanted) => this.#opened().visitors.authorizeUrl(wanted),
      redeem: (shown) => this.#opened().visitors.redeem(shown),
      isWelcome: (userId) => this.#opened().visitors.isWelcome(userId),
    };
  }

  /** @param origin What people and clients call this server: `https://tunnel.example.com`. */
  async open(origin: string): Promise<void> {
    const { identity, people, attempts, addressOf, domain, log, now } = this.#options;
    if (identity.kind === "no-auth") return;
    const { store, accounts, audit, bans } = people;
    const auth = await createAuthService({
      ...{ origin, domain, store, accounts, audit, bans, attempts, addressOf, log },
      outside: identity.outside ?? null,
      hasLocalAccounts: identity.hasPasswords !== false,
    });
    this.#idTokens = createIdTokenVerifier({
      ...{ issuer: auth.issuer, audience: CLI_AUDIENCE, now },
      keys: () => auth.keys(),
    });
    this.#auth = auth;
  }

  /** A new link by which the first admin is made; null while there is one, or where nobody could use it. */
  async newClaim(): Promise<Server["claim"]> {
    const { identity, people } = this.#options;
    if (this.#auth === null || identity.kind === "no-auth" || identity.hasPasswords === false) return null;
    const claim = await people.accounts.newClaim();
    if (claim === null) return null;
    const ended = people.accounts.claimEnded(claim);
    return { url: this.#auth.claimUrl(claim.code), expiresAt: claim.expiresAt, ended };
  }

  inviteUrl(code: string): string {
    return this.#opened().inviteUrl(code);
  }

  async close(): Promise<void> {
    await this.#auth?.close();
  }

  #verifier(): IdTokenVerifier {
    if (this.#idTokens !== null) return this.#idTokens;
    throw starting();
  }

  #opened(): AuthService {
    if (this.#auth !== null) return this.#auth;
    throw starting();
  }
}

/** A request that came in the moment between. */
function starting(): DuplexityError {
  return new DuplexityError("DPX_DRAINING", "Cannot look at who you are: this server is still starting");
}
