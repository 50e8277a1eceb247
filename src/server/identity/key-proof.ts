// For servers on loopback: each client proves itself by a key of its own, with a
// signed note about the very request it comes with (the shape of RFC 9449).

import { calculateJwkThumbprint, EmbeddedJWK, type JWTPayload, jwtVerify } from "jose";
import { DuplexityError } from "../../protocol/index.ts";
import type { Authenticator, Identity, IdentityRequest } from "./identity.ts";
import { ReplayTable } from "./replay-table.ts";

/** How old a proof may be. */
const PROOF_LIFETIME_S = 60;
/** How far the clocks of the two machines may be apart. */
const CLOCK_SKEW_S = 5;
/** A proof's own name is a UUID or the like. */
const MAX_JTI_CHARS = 128;
/** A proof with an Ed25519 key has some 400 characters. */
const MAX_PROOF_CHARS = 2_048;
const SHOWN_THUMBPRINT_CHARS = 8;
const DPOP = /^dpop +([\w-]+\.[\w-]+\.[\w-]+) *$/i;

export class KeyProofAuthenticator implements Authenticator {
  readonly challenge = 'DPoP algs="EdDSA"';
  readonly #used: ReplayTable;

  constructor(used = new ReplayTable({ lifetimeMs: (PROOF_LIFETIME_S + 2 * CLOCK_SKEW_S) * 1_000 })) {
    this.#used = used;
  }

  async authenticate(request: IdentityRequest): Promise<Identity> {
    if (request.authorization === undefined) {
      throw new DuplexityError(
        "DPX_AUTH_REQUIRED",
        "Cannot let you in: this server asks for a proof by the client's key",
        {
          hint: "Connect with duplexity up, which has a key.",
        },
      );
    }
    const proof = DPOP.exec(request.authorization)?.[1];
    if (proof === undefined || proof.length > MAX_PROOF_CHARS) {
      throw refused("this server runs with --no-auth and asks for a key's proof, not for a token", {
        hint: "Leave DUPLEXITY_TOKEN and --token-file out for this server.",
      });
    }
    const { thumbprint, payload } = await verify(proof);
    checkClaims(payload, request);
    if (!this.#used.use(`${thumbprint}.${String(payload.jti)}`)) throw refused("the proof was used before");
    const ownerName = `key ${thumbprint.slice(0, SHOWN_THUMBPRINT_CHARS)}`;
    return {
      ownerId: `key:${thumbprint}`,
      ownerName,
      isAdmin: false,
      namePatterns: [],
      expiresAt: null,
      proof: { kind: "key" },
    };
  }

  current(identity: Identity): Identity {
    return identity;
  }

  async authenticateToken(): Promise<Identity> {
    throw refused("this server runs with --no-auth and knows no tokens");
  }
}

async function verify(proof: string): Promise<{ thumbprint: string; payload: JWTPayload }> {
  try {
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, {
      typ: "dpop+jwt",
      algorithms: ["EdDSA"],
      maxTokenAge: PROOF_LIFETIME_S,
      clockTolerance: CLOCK_SKEW_S,
      requiredClaims: ["htm", "htu", "iat", "jti"],
    });
    const { jwk } = protectedHeader;
    // EdDSA alone would let Ed448 keys in, of which clients know nothing.
    if (jwk === undefined || jwk.crv !== "Ed25519") throw refused("the key is not an Ed25519 key");
    return { thumbprint: await calculateJwkThumbprint(jwk, "sha256"), payload };
  } catch (cause) {
    if (cause instanceof DuplexityError) throw cause;
    throw refused("the proof does not hold", {
      hint: "Is this machine's clock right? A proof is good for a minute.",
      cause,
    });
  }
}

function checkClaims(payload: JWTPayload, request: IdentityRequest): void {
  if (payload.htm !== request.method) throw refused("the proof is for another method");
  // No scheme in it: a TLS terminator may stand in between.
  const wanted = `${request.host.toLowerCase()}${request.path}`;
  if (payload.htu !== wanted) throw refused(`the proof is for another address than ${wanted}`);
  const { jti } = payload;
  if (typeof jti !== "string" || jti === "" || jti.length > MAX_JTI_CHARS)
    throw refused("the proof's jti is malformed");
}

function refused(why: string, options: { hint?: string; cause?: unknown } = {}): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot let you in: ${why}`, options);
}
