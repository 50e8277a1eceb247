// A provider's signing key, and tokens of every kind made with it, right ones and forged ones.

import type { webcrypto } from "node:crypto";
import { exportJWK, generateKeyPair, type JSONWebKeySet, type JWK, SignJWT } from "jose";

export const ISSUER = "https://tunnel.example.com/auth";
export const AUDIENCE = "duplexity-cli";
export const USER_ID = "u_AAAAAAAAAAAAAAAAAAAAAA";

export type Fields = Readonly<Record<string, unknown>>;

export class Provider {
  /** How often it was asked for its keys. */
  asked = 0;
  isAway = false;
  #keys: JWK[] = [];
  readonly #privateKeys = new Map<string, webcrypto.CryptoKey>();

  static async make(...kids: readonly string[]): Promise<Provider> {
    const provider = new Provider();
    for (const kid of kids) await provider.addKey(kid);
    return provider;
  }

  async addKey(kid: string): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair("ES256", { extractable: true });
    this.#privateKeys.set(kid, privateKey);
    this.#keys.push({ ...(await exportJWK(publicKey)), kid, alg: "ES256", use: "sig" });
  }

  removeKey(kid: string): void {
    this.#keys = this.#keys.filter((key) => key.kid !== kid);
  }

  readonly keys = async (): Promise<JSONWebKeySet> => {
    this.asked += 1;
    if (this.isAway) throw new Error("away");
    return { keys: this.#keys };
  };

  /** Signed with ES256 by the key `kid`. A field that is undefined is left out. */
  async sign(claims: Fields, header: Fields = {}, kid = "one"): Promise<string> {
    const key = this.#privateKeys.get(kid);
    if (key === undefined) throw new Error(`no key ${kid}`);
    // The claims as JSON, so that __proto__ stays a field.
    const unsigned = JSON.stringify(header["alg"] === undefined ? { alg: "ES256", kid, ...header } : header);
    const signing = await crypto.subtle.sign(
      { name: "ECDSA", hash: "SHA-256" },
      key,
      new TextEncoder().encode(`${encode(unsigned)}.${encode(jsonOf(claims))}`),
    );
    return `${encode(unsigned)}.${encode(jsonOf(claims))}.${Buffer.from(signing).toString("base64url")}`;
  }

  /** HMAC with the text of the public key as the secret: what a verifier falls for that believes the header. */
  async signWithPublicKeyAsSecret(claims: Fields): Promise<string> {
    const secret = new TextEncoder().encode(JSON.stringify(this.#keys[0]));
    return new SignJWT({ ...claims }).setProtectedHeader({ alg: "HS256", kid: "one" }).sign(secret);
  }
}

/** What an ID token of this server says, at `now` (Unix time in ms). */
export function claimsAt(now: number): Fields {
  const seconds = Math.floor(now / 1_000);
  return { iss: ISSUER, aud: AUDIENCE, sub: USER_ID, iat: seconds, exp: seconds + 3_600 };
}

export function encode(text: string): string {
  return Buffer.from(text).toString("base64url");
}

/** `__proto__` as a claim: an object literal would take it for the prototype. */
function jsonOf(claims: Fields): string {
  const json = JSON.stringify(claims);
  return json.replace('"PROTO"', '"__proto__"');
}
