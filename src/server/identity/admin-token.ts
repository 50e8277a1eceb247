// One bearer token for all who may use the server. Keeps its digest only and never says what it is.

import { createHash, timingSafeEqual } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { bearerOf } from "./bearer.ts";
import type { Authenticator, Identity, IdentityRequest } from "./identity.ts";

/** A shorter token could be guessed. */
const MIN_TOKEN_CHARS = 16;
/** A longer one is a file of something else. */
const MAX_TOKEN_CHARS = 4_096;

export const ADMIN: Identity = {
  ownerId: "admin",
  ownerName: "admin",
  isAdmin: true,
  namePatterns: [],
  expiresAt: null,
  proof: { kind: "admin-token" },
};

export class AdminTokenAuthenticator implements Authenticator {
  readonly challenge = 'Bearer realm="duplexity"';
  readonly #digest: Buffer;

  /** @throws {DuplexityError} `DPX_USAGE` if the token is too short, too long or has characters that no header can hold. */
  constructor(token: string) {
    const trimmed = token.trim();
    if (trimmed.length < MIN_TOKEN_CHARS) {
      throw badToken(`it has ${trimmed.length} characters, at least ${MIN_TOKEN_CHARS} are needed`);
    }
    if (trimmed.length > MAX_TOKEN_CHARS) throw badToken(`it has more than ${MAX_TOKEN_CHARS} characters`);
    if (!/^[\x21-\x7e]+$/.test(trimmed)) throw badToken("it has spaces or characters that a header cannot hold");
    this.#digest = digestOf(trimmed);
  }

  async authenticate(request: IdentityRequest): Promise<Identity> {
    const token = bearerOf(request);
    if (token === null) {
      // A client without a token shows a proof by its key: that is not of the right kind.
      throw new DuplexityError("DPX_AUTH_REQUIRED", "Cannot let you in: this server asks for its token", {
        hint: "Set DUPLEXITY_TOKEN, or use --token-file FILE.",
      });
    }
    return this.authenticateToken(token);
  }

  current(identity: Identity): Identity {
    return identity;
  }

  isToken(token: string): boolean {
    // Digests have one length, so that comparing them takes one time.
    return timingSafeEqual(digestOf(token), this.#digest);
  }

  async authenticateToken(token: string): Promise<Identity> {
    if (this.isToken(token)) return ADMIN;
    throw new DuplexityError("DPX_AUTH_INVALID", "Cannot let you in: the token is not this server's", {
      hint: "Ask whoever runs the server for its token, then set DUPLEXITY_TOKEN or use --token-file FILE.",
    });
  }
}

function digestOf(token: string): Buffer {
  return createHash("sha256").update(token).digest();
}

function badToken(why: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot use the admin token: ${why}`, {
    hint: "Make one with: openssl rand -hex 32 > token, then duplexity serve --admin-token-file token",
  });
}
