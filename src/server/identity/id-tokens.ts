// Checks the ID tokens that this server's own provider signed (OpenID Connect Core §3.1.3.7). Fetches nothing that a
// token names, and takes no key from it.

import { errors, type JSONWebKeySet, type JWTHeaderParameters, type JWTPayload, jwtVerify } from "jose";
import { DuplexityError } from "../../protocol/index.ts";
import { ProviderKeys } from "./provider-keys.ts";

/** How far the clocks of two nodes may be apart. */
const LEEWAY_S = 60;
/** How far ahead the clock of the node may be that issued it: it is as good as later then. */
const CLOCKS_APART_S = 900;
/** One of ours has some 600 characters. */
const MAX_ID_TOKEN_CHARS = 4_096;
const MAX_KID_CHARS = 128;
/** What the provider signs with. A closed list, so that neither `none` nor a shared secret can come in (RFC 8725 §3.1). */
const ALGORITHMS = ["ES256"];
/** Where a token would bring its own key, or say where one is (RFC 7515 §4.1). */
const FOREIGN_KEYS = ["jku", "jwk", "x5u", "x5c"];
const USER_ID = /^u_[A-Za-z0-9_-]{22}$/;

export interface VerifiedIdToken {
  readonly userId: string;
  /** Unix time in ms. */
  readonly expiresAt: number;
  /** Unix time in ms. */
  readonly issuedAt: number;
}

export interface IdTokenVerifier {
  /** @throws {DuplexityError} `DPX_AUTH_INVALID`, with why; `DPX_STORE` if the keys cannot be read. */
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

export function createIdTokenVerifier(options: IdTokenVerifierOptions): IdTokenVerifier {
  const { issuer, audience, now = Date.now } = options;
  const keys = new ProviderKeys(options.keys, now);
  const keyFor = (header: JWTHeaderParameters) => {
    checkHeader(header);
    return keys.keyFor(header);
  };
  return {
    async verify(token) {
      if (token.length > MAX_ID_TOKEN_CHARS) throw refused("the sign-in is longer than any of this server's");
      try {
        const currentDate = new Date(now());
        const rules = { algorithms: ALGORITHMS, issuer, audience, clockTolerance: LEEWAY_S, currentDate };
        const { payload } = await jwtVerify(token, keyFor, rules);
        return readClaims(payload, audience, now());
      } catch (error) {
        throw asRefusal(error);
      }
    },
  };
}

function checkHeader(header: JWTHeaderParameters): void {
  const { kid, typ } = header;
  if (typeof kid !== "string" || kid === "" || kid.length > MAX_KID_CHARS) throw refused("the sign-in names no key");
  // An access token or a logout token of the same provider is not an ID token (RFC 8725 §3.11).
  if (typ !== undefined && typ !== "JWT") throw refused("the token is not an ID token");
  if (FOREIGN_KEYS.some((field) => Object.hasOwn(header, field))) throw refused("the sign-in brings a key of its own");
}

function readClaims(payload: JWTPayload, audience: string, now: number): VerifiedIdToken {
  const { sub, aud, iat, exp } = payload;
  if (Object.hasOwn(payload, "__proto__")) throw refused("the sign-in is malformed");
  // A token for several is not only for us.
  if (aud !== audience) throw refused("the sign-in is for another program");
  if (typeof sub !== "string" || !USER_ID.test(sub)) throw refused("the sign-in names no user of this server");
  if (!isTime(exp) || !isTime(iat)) throw refused("the sign-in does not say when it began and ends");
  if (iat * 1_000 > now + CLOCKS_APART_S * 1_000) throw refused("the sign-in is from the future");
  return { userId: sub, expiresAt: exp * 1_000, issuedAt: iat * 1_000 };
}

/** In seconds (RFC 7519 §2), such that a Date can hold it. */
function isTime(value: number | undefined): value is number {
  return value !== undefined && value >= 0 && value <= 8_640_000_000_000;
}

function asRefusal(error: unknown): DuplexityError {
  if (error instanceof DuplexityError) return error;
  if (error instanceof errors.JWTExpired) return refused("the sign-in has ended", error);
  if (error instanceof errors.JWKSNoMatchingKey)
    return refused("the sign-in names a key that is not this server's", error);
  if (error instanceof errors.JWTClaimValidationFailed) return refused(reasonOf(error), error);
  return refused("the sign-in does not hold", error);
}

function reasonOf({ claim }: errors.JWTClaimValidationFailed): string {
  if (claim === "iss") return "the sign-in is another server's";
  if (claim === "aud") return "the sign-in is for another program";
  return claim === "nbf" ? "the sign-in is from the future" : "the sign-in is malformed";
}

function refused(why: string, cause?: unknown): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot let you in: ${why}`, {
    hint: "Sign in again: duplexity login SERVER",
    ...(cause === undefined ? {} : { cause }),
  });
}
