// What a tunnel shows of itself at each dial, and until when the last token of it holds. Remembers no token that it was
// not given, writes nothing down.

import { type AuthorizationRequest, authorizationFor } from "./identity.ts";
import { askToken } from "./token.ts";

export type CredentialOptions = Pick<AuthorizationRequest, "token" | "key">;

export class Credential {
  readonly #options: CredentialOptions;
  #last: string | null = null;
  #expiresAt: number | null = null;

  constructor(options: CredentialOptions) {
    this.#options = options;
  }

  /** Whether asking again may bring another token. */
  get canRenew(): boolean {
    return typeof this.#options.token === "function";
  }

  /** When the last token ends, as far as it is known (Unix ms). */
  get expiresAt(): number | null {
    return this.#expiresAt;
  }

  /**
   * The `Authorization` header for a dial to `url` that `signal` gives up.
   *
   * @throws {DuplexityError} As `authorizationFor`, and what the token's function throws.
   */
  async authorize(url: URL, signal: AbortSignal): Promise<string> {
    const { token, key } = this.#options;
    if (token === undefined) return authorizationFor({ url, key });
    return authorizationFor({ url, token: await this.#ask(signal) });
  }

  /** Asks for a token. Null: it is the one that was shown last. */
  async renew(signal: AbortSignal): Promise<string | null> {
    const before = this.#last;
    const token = await this.#ask(signal);
    return token === before ? null : token;
  }

  async #ask(signal: AbortSignal): Promise<string> {
    const { token, expiresAt } = await askToken(this.#options.token ?? "", signal);
    this.#last = token;
    this.#expiresAt = expiresAt;
    return token;
  }
}
