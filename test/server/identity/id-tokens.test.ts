// ID tokens: what holds, and every forgery that must not. Nothing that a token names is fetched.

import { createServer } from "node:http";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createIdTokenVerifier, type IdTokenVerifier } from "../../../src/server/identity/index.ts";
import { ManualClock } from "../manual-clock.ts";
import { AUDIENCE, claimsAt, encode, type Fields, ISSUER, Provider, USER_ID } from "./provider.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

interface Setup {
  readonly clock: ManualClock;
  readonly provider: Provider;
  readonly verifier: IdTokenVerifier;
  readonly good: Fields;
  readonly seconds: number;
}

async function setup(...kids: readonly string[]): Promise<Setup> {
  const clock = new ManualClock();
  const provider = await Provider.make("one", ...kids);
  const now = () => clock.now();
  const verifier = createIdTokenVerifier({ issuer: ISSUER, audience: AUDIENCE, keys: provider.keys, now });
  return { clock, provider, verifier, good: claimsAt(clock.now()), seconds: clock.now() / 1_000 };
}

async function refusalOf(verifier: IdTokenVerifier, token: string): Promise<unknown> {
  return verifier.verify(token).then(
    () => "it was let in",
    (error: unknown) => error,
  );
}

describe("IdTokenVerifier", () => {
  it("takes a token of the provider and answers whose it is, and from when until when", async () => {
    const { verifier, provider, good, clock } = await setup();
    expect(await verifier.verify(await provider.sign(good))).toEqual({
      userId: USER_ID,
      issuedAt: clock.now(),
      expiresAt: clock.now() + 3_600_000,
    });
    await verifier.verify(await provider.sign({ ...good, nonce: "n", dpx_admin: true }, { typ: "JWT" }, "one"));
    expect(provider.asked).toBe(1);
  });

  it.each<[string, (seconds: number) => Fields, string]>([
    ["another issuer", () => ({ iss: "https://evil.example.com/auth" }), "another server's"],
    ["an issuer with a slash more", () => ({ iss: `${ISSUER}/` }), "another server's"],
    ["no issuer", () => ({ iss: undefined }), "another server's"],
    ["another audience", () => ({ aud: "other" }), "for another program"],
    ["more audiences than ours", () => ({ aud: [AUDIENCE, "other"] }), "for another program"],
    ["our audience in a list", () => ({ aud: [AUDIENCE] }), "for another program"],
    ["no audience", () => ({ aud: undefined }), "for another program"],
    ["an end that has passed", (at) => ({ exp: at - 60 }), "the sign-in has ended"],
    ["no end", () => ({ exp: undefined }), "when it began and ends"],
    ["an end that is a text", (at) => ({ exp: String(at + 60) }), "malformed"],
    ["an end beyond all time", () => ({ exp: 1e300 }), "when it began and ends"],
    ["a beginning that is to come", (at) => ({ nbf: at + 61 }), "from the future"],
    ["an issue that is to come", (at) => ({ iat: at + 901 }), "from the future"],
    ["no issue", () => ({ iat: undefined }), "when it began and ends"],
    ["__proto__ as its subject", () => ({ sub: "__proto__" }), "names no user"],
    ["constructor as its subject", () => ({ sub: "constructor" }), "names no user"],
    ["a list as its subject", () => ({ sub: [USER_ID] }), "names no user"],
    ["a subject that is too long", () => ({ sub: `${USER_ID}A` }), "names no user"],
    ["no subject", () => ({ sub: undefined }), "names no user"],
    ["__proto__ as a claim", () => ({ PROTO: { sub: USER_ID, isAdmin: true } }), "malformed"],
    ["padding without end", () => ({ padding: "x".repeat(5_000) }), "longer than any"],
  ])("refuses %s", async (_what, wrong, why) => {
    const { verifier, provider, good, seconds } = await setup();
    const token = await provider.sign({ ...good, ...wrong(seconds) });
    expect(await refusalOf(verifier, token)).toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: expect.stringContaining(why),
      hint: "Sign in again: duplexity login SERVER",
    });
  });

  it("bears a minute between two clocks", async () => {
    const { verifier, provider, good, seconds } = await setup();
    for (const borderline of [{ exp: seconds - 59 }, { nbf: seconds + 60 }, { iat: seconds + 60 }]) {
      await verifier.verify(await provider.sign({ ...good, ...borderline }));
    }
  });

  it.each<[string, Fields]>([
    ["alg none", { alg: "none", kid: "one" }],
    ["alg nOnE", { alg: "nOnE", kid: "one" }],
    ["another algorithm", { alg: "ES384", kid: "one" }],
    ["an algorithm that is no text", { alg: ["ES256"], kid: "one" }],
    ["no key", { alg: "ES256" }],
    ["an empty key", { kid: "" }],
    ["a key that is no text", { kid: 1 }],
    ["a key name without end", { kid: "x".repeat(129) }],
    ["__proto__ as its key", { kid: "__proto__" }],
    ["the type of an access token", { typ: "at+jwt" }],
    ["the type of a logout token", { typ: "logout+jwt" }],
    ["something critical", { crit: ["b64"], b64: false }],
    ["an unknown critical thing", { crit: ["x"], x: 1 }],
  ])("refuses a token that names %s", async (_what, header) => {
    const { verifier, provider, good } = await setup();
    expect(await refusalOf(verifier, await provider.sign(good, header))).toMatchObject({ code: "DPX_AUTH_INVALID" });
  });

  it.each(["ES384", "EdDSA", "RS256", "PS256"])("refuses %s, also if the provider had a key for it", async (alg) => {
    const { good, clock } = await setup();
    const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
    const keys = async () => ({ keys: [{ ...(await exportJWK(publicKey)), kid: "one", alg }] });
    const verifier = createIdTokenVerifier({ issuer: ISSUER, audience: AUDIENCE, keys, now: () => clock.now() });
    const token = await new SignJWT({ ...good }).setProtectedHeader({ alg, kid: "one" }).sign(privateKey);
    expect(await refusalOf(verifier, token)).toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot let you in: the sign-in does not hold",
    });
  });

  it("refuses tokens without a signature, cut, stitched together or signed by somebody else", async () => {
    const { verifier, provider, good } = await setup();
    const [head = "", body = "", signature = ""] = (await provider.sign(good)).split(".");
    const admin = encode(JSON.stringify({ ...good, sub: "u_BBBBBBBBBBBBBBBBBBBBBB" }));
    const none = encode(JSON.stringify({ alg: "none", kid: "one" }));
    const stranger = await Provider.make("one");
    const forged = [
      ...[`${none}.${body}.`, `${head}.${body}.`, `${head}.${admin}.${signature}`, `${head}.${body}`, body, "", ".."],
      ...[`${head}.${body}.${signature.slice(2)}`, `${head}.${body}.${signature}.x`, `${head}.${body}.${signature}=`],
      await stranger.sign(good),
      await provider.signWithPublicKeyAsSecret(good),
    ];
    for (const token of forged) {
      expect(await refusalOf(verifier, token)).toMatchObject({
        code: "DPX_AUTH_INVALID",
        message: "Cannot let you in: the sign-in does not hold",
      });
    }
  });

  it("takes no key from a token and fetches none", async () => {
    const { verifier, good } = await setup();
    const visits: string[] = [];
    const server = createServer((request, response) => {
      visits.push(request.url ?? "");
      response.end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}/keys`;
    const fetched = vi.spyOn(globalThis, "fetch");
    const evil = await Provider.make("evil", "one");
    const jwk = (await evil.keys()).keys[0];
    for (const header of [{ jku: url }, { x5u: url }, { jwk }, { x5c: ["AAAA"] }, { jku: url, jwk, x5u: url }]) {
      for (const kid of ["one", "evil"]) {
        expect(await refusalOf(verifier, await evil.sign(good, header, kid))).toMatchObject({
          code: "DPX_AUTH_INVALID",
          message: "Cannot let you in: the sign-in brings a key of its own",
        });
      }
    }
    await new Promise((resolve) => server.close(resolve));
    expect([visits, fetched.mock.calls]).toEqual([[], []]);
  });

  it("asks for keys once for many tokens at once, and for unknown ones once a minute", async () => {
    const { verifier, provider, good, clock } = await setup();
    const stranger = await Provider.make("other");
    const unknown = await stranger.sign(good, {}, "other");
    const known = await provider.sign(good);
    await Promise.all([verifier.verify(known), verifier.verify(known), refusalOf(verifier, unknown)]);
    expect(provider.asked).toBe(1);
    for (let count = 0; count < 100; count += 1) {
      expect(await refusalOf(verifier, unknown)).toMatchObject({
        code: "DPX_AUTH_INVALID",
        message: "Cannot let you in: the sign-in names a key that is not this server's",
      });
    }
    expect(provider.asked).toBe(1);
    clock.sleep(60_000);
    await Promise.all(Array.from({ length: 100 }, () => refusalOf(verifier, unknown)));
    await refusalOf(verifier, unknown);
    expect(provider.asked).toBe(2);
  });

  it("takes tokens of a new key, and none of one that was taken back ten minutes ago", async () => {
    const { verifier, provider, good, clock } = await setup();
    const old = await provider.sign(good);
    await verifier.verify(old);
    await provider.addKey("two");
    clock.sleep(60_000);
    await verifier.verify(await provider.sign(good, {}, "two"));
    provider.removeKey("one");
    clock.sleep(600_000);
    expect(await refusalOf(verifier, old)).toMatchObject({ code: "DPX_AUTH_INVALID" });
  });

  it("goes on with the keys it has while the provider cannot be asked, and says so when it has none", async () => {
    const { verifier, provider, good, clock } = await setup();
    const token = await provider.sign(good);
    provider.isAway = true;
    expect(await refusalOf(verifier, token)).toMatchObject({ code: "DPX_STORE" });
    provider.isAway = false;
    await verifier.verify(token);
    provider.isAway = true;
    clock.sleep(660_000);
    await verifier.verify(token);
  });
});
