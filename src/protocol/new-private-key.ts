// New key pairs as JWKs (RFC 7517). Keeps none.

import { createPrivateKey, type ED25519KeyPairOptions, generateKeyPairSync, type JsonWebKey } from "node:crypto";

const FORMS: ED25519KeyPairOptions<"der", "der"> = {
  publicKeyEncoding: { type: "spki", format: "der" },
  privateKeyEncoding: { type: "pkcs8", format: "der" },
};

/**
 * A new private key, its public half with it: `Ed25519` (RFC 8037) or `P-256` (RFC 7518 §6.2).
 *
 * Not by `export({ format: "jwk" })` of the pair itself, nor jose's `exportJWK`: Node 20 holds the pair's mutex meanwhile,
 * and a garbage collection in that moment that finds the job which made the pair takes the same mutex: the process hangs
 * for ever. A key that was read from bytes has no such job.
 */
export function newPrivateKey(curve: "Ed25519" | "P-256"): JsonWebKey {
  const { privateKey } =
    curve === "Ed25519"
      ? generateKeyPairSync("ed25519", FORMS)
      : generateKeyPairSync("ec", { namedCurve: curve, ...FORMS });
  return createPrivateKey({ key: privateKey, type: "pkcs8", format: "der" }).export({ format: "jwk" });
}
