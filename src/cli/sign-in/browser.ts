// Signs in through the browser of this machine: authorization code with PKCE (RFC 7636, RFC 8252), the answer on loopback.

import {
  AuthorizationResponseError,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  calculatePKCECodeChallenge,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
} from "openid-client";
import { DuplexityError } from "../../protocol/errors.ts";
import { CallbackListener } from "./callback.ts";
import { signInFailure } from "./failure.ts";
import type { SignIn } from "./file.ts";
import { type Provider, SCOPE } from "./provider.ts";
import { signInOf } from "./tokens.ts";

/** How long somebody may take with the pages. */
export const SIGN_IN_LIMIT_MS = 300_000;

export interface BrowserOptions {
  /** Told where the browser has to go. */
  readonly onUrl: (url: string) => void;
  readonly signal: AbortSignal;
  /** @default 300_000 */
  readonly limitMs?: number;
}

/**
 * @throws {DuplexityError} `DPX_SIGN_IN_FAILED` when it is refused, wrong or takes too long; what `signal` aborts with.
 */
export async function signInByBrowser(provider: Provider, options: BrowserOptions): Promise<SignIn> {
  const { server, issuer, config } = provider;
  const { limitMs = SIGN_IN_LIMIT_MS } = options;
  const doing = `sign in to ${server}`;
  const verifier = randomPKCECodeVerifier();
  const [state, nonce] = [randomState(), randomNonce()];
  const listener = await CallbackListener.open(state);
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(tooLate(doing, limitMs)), limitMs);
  const giveUp = () => limit.abort(options.signal.reason);
  options.signal.addEventListener("abort", giveUp, { once: true });
  if (options.signal.aborted) giveUp();
  let failure: DuplexityError | null = null;
  try {
    const url = buildAuthorizationUrl(config, {
      redirect_uri: listener.redirectUri,
      scope: SCOPE,
      code_challenge: await calculatePKCECodeChallenge(verifier),
      code_challenge_method: "S256",
      state,
      nonce,
      // Without it no refresh token comes (OpenID Connect Core §11).
      prompt: "consent",
    });
    options.onUrl(url.href);
    const answer = await listener.answer(limit.signal);
    const checks = { pkceCodeVerifier: verifier, expectedState: state, expectedNonce: nonce, idTokenExpected: true };
    const tokens = await authorizationCodeGrant(config, answer, checks);
    return signInOf(tokens, { server, issuer, refreshToken: null, user: "" });
  } catch (error) {
    failure =
      limit.signal.aborted && error === limit.signal.reason ? asGivenUp(doing, error) : refusal(doing, server, error);
    throw failure;
  } finally {
    clearTimeout(timer);
    options.signal.removeEventListener("abort", giveUp);
    await listener.close(failure === null ? { isSignedIn: true } : { isSignedIn: false, why: failure.message });
  }
}

function refusal(doing: string, server: string, error: unknown): DuplexityError {
  const failure = signInFailure(doing, server, error);
  const isRefused = error instanceof AuthorizationResponseError && error.error === "access_denied";
  return isRefused
    ? new DuplexityError(failure.code, failure.message, { hint: `duplexity login ${server}`, cause: error })
    : failure;
}

function asGivenUp(doing: string, error: unknown): DuplexityError {
  if (error instanceof DuplexityError) return error;
  return new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot ${doing}: it was given up here`, { cause: error });
}

function tooLate(doing: string, limitMs: number): DuplexityError {
  const minutes = Math.max(1, Math.round(limitMs / 60_000));
  return new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot ${doing}: the browser has not come back in ${minutes} min`, {
    hint: "For a browser on another machine: duplexity login --device",
  });
}
