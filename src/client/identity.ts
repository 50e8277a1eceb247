// How a client proves who it is: a bearer token, or a proof signed by its own
// key (the shape of RFC 9449). Keeps no secret longer than the tunnel lives.

import { createHash, randomUUID } from "node:crypto";
import { importJWK, SignJWT } from "jose";
import { DuplexityError, newPrivateKey } from "../protocol/index.ts";
import { askToken, subjectOf, type TokenSource } from "./token.ts";
import type { ClientKey } from "./tunnel.ts";

export interface AuthorizationRequest {
  /** What is asked for; its host, port and path go into the proof. */
  readonly url: URL;
  /** @default "GET" */
  readonly method?: string;
  /** Bearer token, or a function that is asked each time. Takes precedence over `key`. */
  readonly token?: TokenSource | undefined;
  readonly key?: ClientKey | undefined;
  /** Handed to the token's function. */
  readonly signal?: AbortSignal | undefined;
}

const KEY_PART = /^[A-Za-z0-9_-]{43}$/;

/**
 * The `Authorization` header's value for one request: `Bearer <token>` or `DPoP <proof>`. A proof is good for this one
 * request, within 60 s.
 *
 * @throws {DuplexityError} `DPX_AUTH_REQUIRED` if there is neither token nor key, `DPX_AUTH_INVALID` if it cannot be one.
 */
export async function authorizationFor(request: AuthorizationRequest): Promise<string> {
  const { url, method = "GET", token, key, signal } = request;
  if (token !== undefined) return `Bearer ${(await askToken(token, signal)).token}`;
  if (key === undefined)
    throw new DuplexityError("DPX_AUTH_REQUIRED", "Cannot sign in: there is neither token nor key");
  return `DPoP ${await proofOf(checkKey(key), method, url)}`;
}

async function proofOf(key: ClientKey, method: string, url: URL): Promise<string> {
  const { kty, crv, x } = key;
  return new SignJWT({ htm: method, htu: `${url.host}${url.pathname}`, jti: randomUUID() })
    .setProtectedHeader({ alg: "EdDSA", typ: "dpop+jwt", jwk: { kty, crv, x } })
    .setIssuedAt()
    .sign(await importJWK({ ...key }, "EdDSA"));
}

/** A new key, for a process that was given none or settings that have none yet. */
export function newClientKey(): ClientKey {
  const { x = "", d = "" } = newPrivateKey("Ed25519");
  return { kty: "OKP", crv: "Ed25519", x, d };
}

/** RFC 7638 §3: what a server knows the key by. */
export function thumbprintOf(key: ClientKey): string {
  const { x } = checkKey(key);
  return createHash("sha256").update(`{"crv":"Ed25519","kty":"OKP","x":"${x}"}`).digest("base64url");
}

function checkKey(key: ClientKey): ClientKey {
  if (key.kty === "OKP" && key.crv === "Ed25519" && KEY_PART.test(key.x) && KEY_PART.test(key.d)) return key;
  throw new DuplexityError("DPX_AUTH_INVALID", "Cannot use the client's key: it is not an Ed25519 private key (JWK)", {
    hint: "Remove it from the settings: a new one is made. The names that it owned stay its own for a day.",
  });
}

/**
 * What stays the same for this machine and account, to derive names from. No secret can be read out of it. A sign-in's
 * tokens come and go: of them the subject counts. Two people at one machine get different names.
 */
export async function stableIdentity(request: Pick<AuthorizationRequest, "token" | "key" | "signal">): Promise<string> {
  const { key, token, signal } = request;
  const machine = key === undefined ? null : `key:${thumbprintOf(key)}`;
  if (token === undefined) return machine ?? "";
  const { token: text } = await askToken(token, signal);
  const person = subjectOf(text);
  if (person !== null) return `${machine ?? "key:"} user:${digestOf(`${person.issuer}\n${person.subject}`)}`;
  return machine ?? `token:${digestOf(`duplexity-token\n${text}`)}`;
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("base64url");
}
