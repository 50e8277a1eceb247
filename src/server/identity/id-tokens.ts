// Checks the ID tokens that this server's own provider signed. Fetches nothing that a token names.

import type { JSONWebKeySet } from "jose";
import { DuplexityError } from "../../protocol/index.ts";

export interface VerifiedIdToken {
  readonly userId: string;
  /** Unix time in ms. */
  readonly expiresAt: number;
  /** Unix time in ms. */
  readonly issuedAt: number;
}

export interface IdTokenVerifier {
  /** @throws {DuplexityError} `DPX_AUTH_INVALID`, with why. */
  verify(token: string): Promise<VerifiedIdToken>;
}

export interface IdTokenVerifierOptions {
  /** `https://tunnel.example.com/auth` */
  readonly issuer: string;
  /** `duplexity-cli` */
  readonly audience: string;
  /** The provider's public keys, as they are now. */
  readonly keys: () => Promise<JSONWebKeySet>;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

export function createIdTokenVerifier(_options: IdTokenVerifierOptions): IdTokenVerifier {
  return {
    async verify() {
      throw new DuplexityError("DPX_AUTH_INVALID", "Cannot let you in: ID tokens are not checked yet");
    },
  };
}
