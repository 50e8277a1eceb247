// The command line's half of a sign-in, by openid-client, as duplexity login does it.

import * as client from "openid-client";
import type { StartedAuth } from "./stage.ts";
import type { TestBrowser } from "./test-browser.ts";

export const REDIRECT_URI = "http://127.0.0.1:49152/callback";

export async function discover({ auth }: StartedAuth): Promise<client.Configuration> {
  return client.discovery(new URL(auth.issuer), "duplexity-cli", undefined, client.None(), {
    execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks],
  });
}

export interface Begun {
  readonly url: URL;
  readonly verifier: string;
  readonly state: string;
  readonly nonce: string;
  /** Below the origin, for the browser. */
  readonly path: string;
}

export async function begin(
  configuration: client.Configuration,
  change: Readonly<Record<string, string>> = {},
): Promise<Begun> {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const url = client.buildAuthorizationUrl(configuration, {
    ...{ redirect_uri: REDIRECT_URI, scope: "openid offline_access profile", prompt: "consent", state, nonce },
    code_challenge: await client.calculatePKCECodeChallenge(verifier),
    code_challenge_method: "S256",
    ...change,
  });
  for (const [name, value] of Object.entries(change)) if (value === "") url.searchParams.delete(name);
  return { url, verifier, state, nonce, path: `${url.pathname}${url.search}` };
}

/** Redeems what came to the callback. */
export function finish(
  configuration: client.Configuration,
  begun: Begun,
  callback: string,
): ReturnType<typeof client.authorizationCodeGrant> {
  return client.authorizationCodeGrant(configuration, new URL(callback), {
    expectedState: begun.state,
    expectedNonce: begun.nonce,
    pkceCodeVerifier: begun.verifier,
    idTokenExpected: true,
  });
}

/** The whole of it, with a browser that is signed in or signs in as ben. */
export async function signInCli(started: StartedAuth, browser: TestBrowser) {
  const configuration = await discover(started);
  const begun = await begin(configuration);
  const seen = await browser.signIn("ben", undefined, begun.path);
  return { configuration, tokens: await finish(configuration, begun, seen.location) };
}

/** The OAuth error code that `promise` fails with. */
export async function errorOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof client.ResponseBodyError || error instanceof client.AuthorizationResponseError) {
      return error.error;
    }
    throw error;
  }
  return "none";
}
