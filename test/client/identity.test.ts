import { calculateJwkThumbprint, EmbeddedJWK, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { authorizationFor, newClientKey, stableIdentity, thumbprintOf } from "../../src/client/identity.ts";

const URL_ = new URL("ws://127.0.0.1:8080/control");

describe("authorizationFor", () => {
  it("sends a token as it is, asking a function each time", async () => {
    let asked = 0;
    const token = async (): Promise<string> => `t${++asked}`;
    expect(await authorizationFor({ url: URL_, token: "abc.def\n" })).toBe("Bearer abc.def");
    expect(await authorizationFor({ url: URL_, token })).toBe("Bearer t1");
    expect(await authorizationFor({ url: URL_, token })).toBe("Bearer t2");
  });

  it("signs a proof for exactly one request, which holds nothing secret", async () => {
    const key = newClientKey();
    const [scheme, proof = ""] = (await authorizationFor({ url: URL_, key })).split(" ");
    expect(scheme).toBe("DPoP");
    const { payload, protectedHeader } = await jwtVerify(proof, EmbeddedJWK, { typ: "dpop+jwt", maxTokenAge: 60 });
    expect(payload).toMatchObject({ htm: "GET", htu: "127.0.0.1:8080/control" });
    expect(protectedHeader).toEqual({ alg: "EdDSA", typ: "dpop+jwt", jwk: { kty: "OKP", crv: "Ed25519", x: key.x } });
    const again = await authorizationFor({ url: URL_, key });
    expect(again).not.toBe(`DPoP ${proof}`);
  });

  it.each(["", "two words", "a\r\nx: y", "ä"])("refuses %j as a token", async (token) => {
    await expect(authorizationFor({ url: URL_, token })).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
  });

  it("refuses a key that is none, and nothing at all", async () => {
    const key = { ...newClientKey(), d: "short" };
    await expect(authorizationFor({ url: URL_, key })).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
    await expect(authorizationFor({ url: URL_ })).rejects.toMatchObject({ code: "DPX_AUTH_REQUIRED" });
  });
});

describe("thumbprintOf", () => {
  it("is RFC 7638's", async () => {
    const key = newClientKey();
    const { kty, crv, x } = key;
    expect(thumbprintOf(key)).toBe(await calculateJwkThumbprint({ kty, crv, x }));
  });
});

describe("stableIdentity", () => {
  it("goes by the key when there is one, else by the token, of which nothing shows", async () => {
    const key = newClientKey();
    expect(await stableIdentity({ key, token: "secret" })).toBe(`key:${thumbprintOf(key)}`);
    const byToken = await stableIdentity({ token: "secret" });
    expect(byToken).toBe(await stableIdentity({ token: () => "secret" }));
    expect(byToken).not.toContain("secret");
  });

  it("stays the same when a sign-in's token is refreshed, and differs for another person or machine", async () => {
    const jwt = (sub: string, exp: number): string =>
      `e30.${Buffer.from(JSON.stringify({ iss: "https://a/auth", sub, exp })).toString("base64url")}.c2ln`;
    const key = newClientKey();
    const first = await stableIdentity({ key, token: jwt("u_1", 1) });
    expect(await stableIdentity({ key, token: () => ({ token: jwt("u_1", 2), expiresAt: 3 }) })).toBe(first);
    expect(await stableIdentity({ key, token: jwt("u_2", 1) })).not.toBe(first);
    expect(await stableIdentity({ key: newClientKey(), token: jwt("u_1", 1) })).not.toBe(first);
    expect(await stableIdentity({ token: jwt("u_1", 1) })).toBe(await stableIdentity({ token: jwt("u_1", 2) }));
  });
});
