// How the OpenID provider is set up: what of it is on (the fewest things that the command line needs), how long things
// last, and which words go into an ID token. Pure.

import type { ClientMetadata, Configuration, CookiesSetOptions } from "oidc-provider";
import type { Account } from "../accounts/index.ts";
import { cookieName } from "./browsers.ts";
import type { Keys } from "./key-ring.ts";
import { CODE_S, CONTINUATION_S, DEVICE_CODE_S, GRANT_S, ID_TOKEN_S, REFRESH_TOKEN_S, SESSION_S } from "./lifetimes.ts";

export const CLIENT_ID = "duplexity-cli";
/** RFC 8252 §7.3: with any port. */
const REDIRECT_URI = "http://127.0.0.1/callback";
const SCOPES = ["openid", "offline_access", "profile"] as const;
/** Below /auth. */
export const ROUTES = {
  authorization: "/authorize",
  token: "/token",
  jwks: "/jwks",
  revocation: "/revoke",
  device_authorization: "/device/code",
  code_verification: "/device",
} as const;

const CLIENT: ClientMetadata = {
  client_id: CLIENT_ID,
  client_name: "duplexity",
  application_type: "native",
  redirect_uris: [REDIRECT_URI],
  response_types: ["code"],
  grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
  token_endpoint_auth_method: "none",
  id_token_signed_response_alg: "ES256",
  scope: SCOPES.join(" "),
};

/** What needs nobody's word: keys, names and times. */
export function providerOptions({ signing, cookieSecrets }: Keys, isSecure: boolean): Configuration {
  return {
    jwks: { keys: signing.map((key) => ({ kty: "EC", crv: "P-256", alg: "ES256", use: "sig", ...key })) },
    clients: [CLIENT],
    scopes: SCOPES,
    claims: { openid: ["sub"], profile: ["preferred_username", "dpx_admin"] },
    responseTypes: ["code"],
    subjectTypes: ["public"],
    clientAuthMethods: ["none"],
    routes: ROUTES,
    pkce: { required: () => true },
    clientBasedCORS: () => false,
    allowOmittingSingleRegisteredRedirectUri: false,
    // There is no userinfo endpoint: all the claims are in the ID token.
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: ["ES256"] },
    rotateRefreshToken: true,
    issueRefreshToken: () => true,
    // Signing out in the browser does not sign out the command line.
    expiresWithSession: () => false,
    extraTokenClaims: () => undefined,
    revokeGrantPolicy: () => true,
    ttl: {
      AccessToken: ID_TOKEN_S,
      AuthorizationCode: CODE_S,
      DeviceCode: DEVICE_CODE_S,
      Grant: GRANT_S,
      IdToken: ID_TOKEN_S,
      Interaction: CONTINUATION_S,
      RefreshToken: REFRESH_TOKEN_S,
      Session: SESSION_S,
    },
    cookies: {
      keys: cookieSecrets,
      names: {
        session: cookieName("dpx_session", isSecure),
        interaction: cookieName("dpx_interaction", isSecure),
        resume: cookieName("dpx_resume", isSecure),
      },
      long: sessionCookie(isSecure),
      short: sessionCookie(isSecure),
    },
  };
}

/** Of everything that could be on: off. `deviceFlow` and `revocation` are set where their pages and rules are. */
export const FEATURES_OFF = {
  backchannelLogout: { enabled: false },
  claimsParameter: { enabled: false },
  clientCredentials: { enabled: false },
  dPoP: { enabled: false },
  devInteractions: { enabled: false },
  encryption: { enabled: false },
  introspection: { enabled: false },
  jwtIntrospection: { enabled: false },
  jwtResponseModes: { enabled: false },
  jwtUserinfo: { enabled: false },
  pushedAuthorizationRequests: { enabled: false },
  registration: { enabled: false },
  registrationManagement: { enabled: false },
  requestObjects: { enabled: false },
  resourceIndicators: { enabled: false },
  rpInitiatedLogout: { enabled: false },
  userinfo: { enabled: false },
} as const;

export function sessionCookie(isSecure: boolean): CookiesSetOptions {
  return { httpOnly: true, overwrite: true, path: "/", sameSite: "lax", secure: isSecure, signed: true };
}

/** As the server's doors read them (src/server/identity). */
export function claimsOf({ userId, name, isAdmin }: Account): {
  sub: string;
  preferred_username: string;
  dpx_admin: boolean;
} {
  return { sub: userId, preferred_username: name, dpx_admin: isAdmin };
}
