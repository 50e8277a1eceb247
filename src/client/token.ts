// Tokens as whoever embeds duplexity gives them: a text, or a function that knows the newest. Reads what a JWT says of
// itself; whether it holds is the server's to judge.

import { DuplexityError } from "../protocol/index.ts";

/** What a token's function answers: the token, or the token with its end. Without one, a JWT's own `exp` counts. */
export type TokenAnswer =
  | string
  | { readonly token: string /** Unix ms. */; readonly expiresAt?: Date | number | null };

/** A function gets the signal of what the token is asked for: it aborts when that is given up, such as a dial. */
export type TokenSource = string | ((signal?: AbortSignal) => TokenAnswer | Promise<TokenAnswer>);

export interface Token {
  readonly token: string;
  /** Unix ms; null: never, or nobody knows. */
  readonly expiresAt: number | null;
}

/** RFC 6750 §2.1; anything else would break the header, or is a file that was read wrongly. */
const TOKEN = /^[A-Za-z0-9._~+/=-]{1,16384}$/;

/**
 * The token as it is now.
 *
 * @throws {DuplexityError} `DPX_AUTH_INVALID` if it cannot be one; what the function throws.
 */
export async function askToken(source: TokenSource, signal?: AbortSignal): Promise<Token> {
  const answer = typeof source === "string" ? source : await source(signal);
  const token = (typeof answer === "string" ? answer : answer.token).trim();
  if (!TOKEN.test(token)) {
    throw new DuplexityError("DPX_AUTH_INVALID", "Cannot use the token: it is empty or has characters that none has", {
      hint: "A token is one line of letters, digits and . _ ~ + / = -",
    });
  }
  const given = typeof answer === "string" ? undefined : answer.expiresAt;
  return { token, expiresAt: given === undefined ? expiryOf(token) : given === null ? null : Number(given) };
}

/** Issuer and subject of a JWT (RFC 7519 §4.1): the same for every token of one sign-in. Null: it is no JWT that says so. */
export function subjectOf(token: string): { issuer: string; subject: string } | null {
  const { iss, sub } = claimsOf(token);
  return typeof iss === "string" && typeof sub === "string" ? { issuer: iss, subject: sub } : null;
}

function expiryOf(token: string): number | null {
  const { exp } = claimsOf(token);
  return typeof exp === "number" && Number.isFinite(exp) ? exp * 1_000 : null;
}

/** A JWT's claims, unchecked; none of anything else. */
function claimsOf(token: string): Readonly<Record<string, unknown>> {
  const [, payload, , ...more] = token.split(".");
  if (payload === undefined || more.length > 0) return {};
  try {
    const claims: unknown = JSON.parse(Buffer.from(payload, "base64url").toString("utf8"));
    return typeof claims === "object" && claims !== null && !Array.isArray(claims) ? { ...claims } : {};
  } catch {
    return {};
  }
}
