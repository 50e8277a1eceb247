import { describe, expect, it } from "vitest";
import { askToken, subjectOf } from "../../src/client/token.ts";

const jwt = (claims: object): string => `e30.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.c2ln`;

describe("askToken", () => {
  it("takes the end that comes with a token, else a JWT's own, else none", async () => {
    const token = jwt({ exp: 1_000 });
    expect(await askToken(token)).toEqual({ token, expiresAt: 1_000_000 });
    expect(await askToken(() => ({ token, expiresAt: new Date(5) }))).toEqual({ token, expiresAt: 5 });
    expect(await askToken(async () => ({ token, expiresAt: null }))).toEqual({ token, expiresAt: null });
    expect(await askToken("dpx_abc\n")).toEqual({ token: "dpx_abc", expiresAt: null });
  });

  it.each([
    ["claims that are no JSON", "a.b.c"],
    ["an exp that is no number", jwt({ exp: "soon" })],
    ["claims that are a list", jwt([1])],
    ["four parts", `${jwt({ exp: 1 })}.x`],
  ])("knows no end for %s", async (_what, token) => {
    expect(await askToken(token)).toMatchObject({ expiresAt: null });
  });

  it("passes on what the function throws, and refuses what is no token", async () => {
    const failure = new Error("no network");
    await expect(askToken(() => Promise.reject(failure))).rejects.toBe(failure);
    await expect(askToken(() => "two words")).rejects.toMatchObject({ code: "DPX_AUTH_INVALID" });
  });
});

describe("subjectOf", () => {
  it("reads issuer and subject of a JWT and of nothing else", () => {
    expect(subjectOf(jwt({ iss: "https://a", sub: "u_1", exp: 1 }))).toEqual({ issuer: "https://a", subject: "u_1" });
    expect(subjectOf(jwt({ sub: "u_1" }))).toBeNull();
    expect(subjectOf("dpx_abc")).toBeNull();
  });
});
