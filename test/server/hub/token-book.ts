// An authenticator that knows the tokens it is told, for tests that need several owners, ends and revocations by hand.

import { DuplexityError } from "../../../src/protocol/index.ts";
import type { Authenticator, Identity, IdentityRequest } from "../../../src/server/identity/index.ts";

export class TokenBook implements Authenticator {
  readonly challenge = 'Bearer realm="duplexity"';
  readonly #identities = new Map<string, Identity>();
  /** Runs before each answer to a fresh token. */
  beforeRefresh: () => Promise<void> = async () => {};

  /** A person's sign-in; ids have the form that accounts give them. */
  person(name: string, fields: Partial<Identity> = {}): Identity {
    return {
      ownerId: `user:${userIdOf(name)}`,
      ownerName: name,
      isAdmin: false,
      namePatterns: [],
      expiresAt: null,
      proof: { kind: "sign-in" },
      ...fields,
    };
  }

  /** A token of a machine of `name`. */
  machine(name: string, token: string, fields: Partial<Identity> = {}): Identity {
    const proof = { kind: "machine-token", tokenId: `t_${token}` } as const;
    return this.person(name, { ownerName: `${name}@${token}`, proof, ...fields });
  }

  /** From now on `token` shows `identity`. */
  add(token: string, identity: Identity): string {
    this.#identities.set(token, identity);
    return token;
  }

  /** The account or token is no more. */
  revoke(token: string): void {
    this.#identities.delete(token);
  }

  async authenticate({ authorization = "" }: IdentityRequest): Promise<Identity> {
    return this.#find(authorization.replace(/^Bearer /, ""));
  }

  async authenticateToken(token: string): Promise<Identity> {
    await this.beforeRefresh();
    return this.#find(token);
  }

  current(identity: Identity): Identity | null {
    for (const known of this.#identities.values()) {
      if (known.ownerId === identity.ownerId && known.ownerName === identity.ownerName) {
        return { ...known, expiresAt: identity.expiresAt };
      }
    }
    return null;
  }

  #find(token: string): Identity {
    const identity = this.#identities.get(token);
    if (identity === undefined)
      throw new DuplexityError("DPX_AUTH_INVALID", `Cannot let you in: "${token}" is unknown`);
    return identity;
  }
}

/** `u_` and 22 characters. */
export function userIdOf(name: string): string {
  return `u_${name.padEnd(22, "0")}`;
}
