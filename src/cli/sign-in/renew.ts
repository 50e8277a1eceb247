// What comes after a sign-in, over the wire: the next token for a refresh token, and the end of all of them.

import { type Configuration, customFetch, ResponseBodyError, refreshTokenGrant, tokenRevocation } from "openid-client";
import { DuplexityError } from "../../protocol/errors.ts";
import { signInFailure } from "./failure.ts";
import type { SignIn } from "./file.ts";
import { findProvider } from "./provider.ts";
import { signInOf } from "./tokens.ts";
import { createFetch } from "./web.ts";

/**
 * How long an exchange that is under way may take after it was given up. The server may have taken the refresh token
 * already: without its answer the sign-in would be lost.
 */
const FINISH_MS = 1_000;

/**
 * The same sign-in with its next token. The refresh token is used up.
 *
 * @param signal Gives it up.
 * @throws {DuplexityError} `DPX_AUTH_INVALID` when the server does not renew it any more; `DPX_BANNED`; what may pass.
 */
export async function renew(signIn: SignIn, signal?: AbortSignal): Promise<SignIn> {
  const { server, renewal } = signIn;
  if (renewal === null) throw over(server, "its token cannot be renewed");
  signal?.throwIfAborted();
  const [early, late] = [new AbortController(), new AbortController()];
  const giveUp = (): void => {
    early.abort(signal?.reason);
    setTimeout(() => late.abort(signal?.reason), FINISH_MS).unref();
  };
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    const config = await configOf(renewal.issuer, early.signal);
    early.signal.throwIfAborted();
    config[customFetch] = await createFetch(late.signal);
    const tokens = await refreshTokenGrant(config, renewal.refreshToken);
    return signInOf(tokens, { server, issuer: renewal.issuer, refreshToken: renewal.refreshToken, user: signIn.user });
  } catch (error) {
    signal?.throwIfAborted();
    if (error instanceof ResponseBodyError && error.error === "invalid_grant")
      throw over(server, "it has ended", error);
    const failure = signInFailure(`renew the sign-in at ${server}`, server, error);
    // The refresh token is good again when the ban is over.
    const isBanned = error instanceof ResponseBodyError && error.error === "access_denied";
    throw isBanned ? new DuplexityError("DPX_BANNED", failure.message, { cause: error }) : failure;
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

/** Ends the sign-in on the server, so that a copy of its tokens renews nothing. */
export async function revoke(signIn: SignIn): Promise<void> {
  const { server, renewal } = signIn;
  if (renewal === null) return;
  const config = await configOf(renewal.issuer);
  try {
    await tokenRevocation(config, renewal.refreshToken, { token_type_hint: "refresh_token" });
  } catch (error) {
    throw signInFailure(`end the sign-in at ${server}`, server, error);
  }
}

/** By the issuer as it was at the sign-in: what is asked for now must be the same. */
async function configOf(issuer: string, signal?: AbortSignal): Promise<Configuration> {
  return (await findProvider(new URL(issuer).origin, signal)).config;
}

function over(server: string, why: string, cause?: unknown): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot renew the sign-in at ${server}: ${why}`, {
    hint: `duplexity login ${server}`,
    cause,
  });
}
