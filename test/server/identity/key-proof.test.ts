// Proofs by a client's own key: what holds, and everything that must not.

import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { authorizationFor, newClientKey, thumbprintOf } from "../../../src/client/identity.ts";
import { KeyProofAuthenticator, ReplayTable } from "../../../src/server/identity/index.ts";

const REQUEST = { method: "GET", host: "127.0.0.1:8080", path: "/control" };
const URL_OF_CONTROL = new URL("ws://127.0.0.1:8080/control");

/** A field that is undefined is left out. */
type Claims = Readonly<Record<string, unknown>>;

const NOW = Math.floor(Date.now() / 1_000);
const GOOD: Claims = { htm: "GET", htu: "127.0.0.1:8080/control", jti: "an-id", iat: NOW };

async function proof(claims: JWTPayload, header: Record<string, unknown> = {}, alg = "EdDSA"): Promise<string> {
  const options = alg === "EdDSA" ? { crv: "Ed25519", extractable: true } : { extractable: true };
  const { privateKey, publicKey } = await generateKeyPair(alg, options);
  const jwk = await exportJWK(publicKey);
  const signed = new SignJWT(claims).setProtectedHeader({ alg, typ: "dpop+jwt", jwk, ...header });
  return `DPoP ${await signed.sign(privateKey)}`;
}

describe("KeyProofAuthenticator", () => {
  it("takes a client's proof and answers its key's thumbprint", async () => {
    const key = newClientKey();
    const authorization = await authorizationFor({ url: URL_OF_CONTROL, key });
    expect(await new KeyProofAuthenticator().authenticate({ ...REQUEST, authorization })).toEqual({
      ownerId: `key:${thumbprintOf(key)}`,
      ownerName: `key ${thumbprintOf(key).slice(0, 8)}`,
      isAdmin: false,
      namePatterns: [],
      expiresAt: null,
      proof: { kind: "key" },
    });
  });

  it("takes each proof once", async () => {
    const authenticator = new KeyProofAuthenticator();
    const authorization = await authorizationFor({ url: URL_OF_CONTROL, key: newClientKey() });
    await authenticator.authenticate({ ...REQUEST, authorization });
    await expect(authenticator.authenticate({ ...REQUEST, authorization })).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot let you in: the proof was used before",
    });
  });

  it("takes the same jti from two keys", async () => {
    const authenticator = new KeyProofAuthenticator();
    for (let count = 0; count < 2; count += 1) {
      await authenticator.authenticate({ ...REQUEST, authorization: await proof(GOOD) });
    }
  });

  it("looks at the host without regard to case", async () => {
    const authorization = await proof({ ...GOOD, htu: "tunnel.test/control" });
    await new KeyProofAuthenticator().authenticate({ ...REQUEST, host: "Tunnel.TEST", authorization });
  });

  it.each<[string, Claims, string]>([
    ["another method", { ...GOOD, htm: "POST" }, "another method"],
    ["another path", { ...GOOD, htu: "127.0.0.1:8080/dialer" }, "another address"],
    ["another host", { ...GOOD, htu: "evil.test/control" }, "another address"],
    ["an old one", { ...GOOD, iat: NOW - 66 }, "does not hold"],
    ["one from the future", { ...GOOD, iat: NOW + 60 }, "does not hold"],
    ["one without a time", { ...GOOD, iat: undefined }, "does not hold"],
    ["one without a jti", { ...GOOD, jti: undefined }, "does not hold"],
    ["one without a method", { ...GOOD, htm: undefined }, "does not hold"],
    ["one with an endless jti", { ...GOOD, jti: "x".repeat(129) }, "jti is malformed"],
    ["one with an empty jti", { ...GOOD, jti: "" }, "jti is malformed"],
    ["one that is too long", { ...GOOD, padding: "x".repeat(3_000) }, "asks for a key's proof"],
  ])("refuses %s", async (_what, claims, why) => {
    const claimed = Object.fromEntries(Object.entries(claims).filter(([, value]) => value !== undefined));
    const authorization = await proof(claimed);
    await expect(new KeyProofAuthenticator().authenticate({ ...REQUEST, authorization })).rejects.toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: expect.stringContaining(why),
    });
  });

  it("refuses another type of token, another algorithm, a foreign signature, and a key that is not the signer's", async () => {
    const { publicKey } = await generateKeyPair("EdDSA", { crv: "Ed25519", extractable: true });
    const good = await proof(GOOD);
    const forged = `${good.slice(0, -10)}AAAAAAAAAA`;
    const unsigned = `DPoP ${encode({ alg: "none", typ: "dpop+jwt" })}.${encode(GOOD)}.x`;
    const wrong = [
      await proof(GOOD, { typ: "JWT" }),
      await proof(GOOD, {}, "ES256"),
      await proof(GOOD, { jwk: await exportJWK(publicKey) }),
      await proof(GOOD, { jwk: { kty: "oct", k: "AAAA" } }),
      await proof(GOOD, { jwk: {} }),
      ...[forged, unsigned, "DPoP a.b.c"],
    ];
    for (const authorization of wrong) {
      await expect(new KeyProofAuthenticator().authenticate({ ...REQUEST, authorization })).rejects.toMatchObject({
        code: "DPX_AUTH_INVALID",
      });
    }
  });

  it("asks for a proof when there is none, and says what to leave out when there is a token", async () => {
    const authenticator = new KeyProofAuthenticator();
    await expect(authenticator.authenticate({ ...REQUEST, authorization: undefined })).rejects.toMatchObject({
      code: "DPX_AUTH_REQUIRED",
    });
    for (const authorization of ["Bearer abc", "", "DPoP", "DPoP a", "Basic eDp5"]) {
      await expect(authenticator.authenticate({ ...REQUEST, authorization })).rejects.toMatchObject({
        code: "DPX_AUTH_INVALID",
        hint: "Leave DUPLEXITY_TOKEN and --token-file out for this server.",
      });
    }
  });
});

describe("ReplayTable", () => {
  it("forgets an entry when its time is over, and is full at its bound", () => {
    let now = 0;
    const table = new ReplayTable({ lifetimeMs: 100, maxEntries: 2, now: () => now });
    expect([table.use("a"), table.use("a"), table.use("b")]).toEqual([true, false, true]);
    expect(() => table.use("c")).toThrow(expect.objectContaining({ code: "DPX_UNAUTHENTICATED_LIMIT" }));
    now = 100;
    expect([table.use("c"), table.use("a"), table.size]).toEqual([true, true, 2]);
  });
});

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
