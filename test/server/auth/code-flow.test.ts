// The command line signs in by a browser on its machine: the authorization code flow, over real HTTP.

import { decodeJwt, decodeProtectedHeader } from "jose";
import * as client from "openid-client";
import { describe, expect, it, vi } from "vitest";
import { useStage } from "../../support/stage.ts";
import { begin, discover, errorOf, finish, REDIRECT_URI, signInCli } from "./cli.ts";
import { startAuth } from "./stage.ts";
import { hiddenFields, TestBrowser } from "./test-browser.ts";

const stage = useStage();

describe("The code flow of the auth service", () => {
  it("gives the command line an ID token and a refresh token, and says nothing on the console", async () => {
    const started = await startAuth(stage);
    const said = [vi.spyOn(console, "info"), vi.spyOn(console, "warn"), vi.spyOn(console, "error")];
    const { tokens } = await signInCli(started, new TestBrowser(started));
    const idToken = tokens.id_token ?? "";
    expect(decodeProtectedHeader(idToken).alg).toBe("ES256");
    const account = started.accounts.byName("ben");
    expect(decodeJwt(idToken)).toMatchObject({
      ...{ iss: started.auth.issuer, aud: "duplexity-cli", sub: account?.userId },
      ...{ preferred_username: "ben", dpx_admin: false },
    });
    const { iat = 0, exp = 0 } = decodeJwt(idToken);
    expect(exp - iat).toBe(3_600);
    expect(tokens.refresh_token).toMatch(/^[\w-]{43,}$/);
    for (const spy of said) expect(spy).not.toHaveBeenCalled();
    const events = await started.audit.read(10);
    expect(events.map(({ action, by, from }) => [action, by, from])).toEqual([
      ["sign-in", "ben", "203.0.113.7"],
      ["sign-in", "ben", "203.0.113.7"],
    ]);
  });

  it("says who it is in the answer (RFC 9207) and keeps the state", async () => {
    const started = await startAuth(stage);
    const configuration = await discover(started);
    const begun = await begin(configuration);
    const { location, status } = await new TestBrowser(started).signIn("ben", undefined, begun.path);
    expect(status).toBe(303);
    const url = new URL(location);
    expect(url.origin + url.pathname).toBe(REDIRECT_URI);
    expect(url.searchParams.get("iss")).toBe(started.auth.issuer);
    expect(url.searchParams.get("state")).toBe(begun.state);
  });

  it("asks no second time while the browser is signed in", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    await browser.signIn();
    const begun = await begin(await discover(started));
    expect((await browser.get(begun.path)).location).toMatch(/^http:\/\/127\.0\.0\.1:49152\/callback\?code=/);
  });

  it("asks first when another site has sent the browser", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    await browser.signIn();
    const begun = await begin(await discover(started));
    for (const site of ["cross-site", "same-site"]) {
      const asked = await browser.get(begun.path, { headers: { "sec-fetch-site": site } });
      expect([asked.status, asked.location]).toEqual([403, ""]);
      expect(asked.body).toContain("127.0.0.1:49152");
      const confirmed = await browser.post("/auth/continue", hiddenFields(asked.body));
      expect((await browser.follow(confirmed)).location).toMatch(/^http:\/\/127\.0\.0\.1:49152\/callback\?code=/);
    }
  });

  it.each([
    ["no PKCE", { code_challenge: "", code_challenge_method: "" }],
    ["PKCE plain", { code_challenge_method: "plain" }],
    ["PKCE without a method", { code_challenge_method: "" }],
    ["the implicit flow", { response_type: "id_token" }],
    ["an unknown scope", { scope: "openid admin email" }],
    ["a request object", { request: "eyJhbGciOiJub25lIn0.e30." }],
  ])("refuses %s before anybody signs in", async (_name, change) => {
    const started = await startAuth(stage);
    const begun = await begin(await discover(started), change);
    const { location, body } = await new TestBrowser(started).get(begun.path);
    const isUnknownScope = "scope" in change;
    // Scopes that nobody knows are left out, not refused (RFC 6749 §3.3).
    if (isUnknownScope) expect(location).toContain("/auth/sign-in?");
    else if (location === "") expect(body).toContain("Cannot sign the command line in");
    else {
      expect(location).toMatch(
        /^http:\/\/127\.0\.0\.1:49152\/callback[?#](.*&)?error=(invalid_request|unsupported_response_type|request_not_supported)&/,
      );
    }
    expect(location).not.toContain("code=");
  });

  it.each([
    "https://evil.example/callback",
    "http://127.0.0.1.evil.example/callback",
    "http://localhost:49152/callback",
    "http://127.0.0.1:49152/other",
    "http://127.0.0.1:49152@evil.example/callback",
    "http://192.0.2.1:49152/callback",
  ])("sends nobody to %s", async (redirect_uri) => {
    const started = await startAuth(stage);
    const begun = await begin(await discover(started), { redirect_uri });
    const browser = new TestBrowser(started);
    await browser.signIn();
    const { status, location } = await browser.get(begun.path);
    expect([status, location]).toEqual([400, ""]);
  });

  it("refuses a code with another verifier, and leaves it to its own", async () => {
    const started = await startAuth(stage);
    const configuration = await discover(started);
    const begun = await begin(configuration);
    const { location } = await new TestBrowser(started).signIn("ben", undefined, begun.path);
    const other = { ...begun, verifier: client.randomPKCECodeVerifier() };
    expect(await errorOf(finish(configuration, other, location))).toBe("invalid_grant");
    expect(await errorOf(finish(configuration, begun, location))).toBe("none");
  });

  it("redeems a code once; the second time ends what the first one gave", async () => {
    const started = await startAuth(stage);
    const configuration = await discover(started);
    const begun = await begin(configuration);
    const { location } = await new TestBrowser(started).signIn("ben", undefined, begun.path);
    const { refresh_token = "" } = await finish(configuration, begun, location);
    expect(await errorOf(finish(configuration, begun, location))).toBe("invalid_grant");
    expect(await errorOf(client.refreshTokenGrant(configuration, refresh_token))).toBe("invalid_grant");
  });

  it("lets one of twenty who redeem a code at once have it", async () => {
    const started = await startAuth(stage);
    const configuration = await discover(started);
    const begun = await begin(configuration);
    const { location } = await new TestBrowser(started).signIn("ben", undefined, begun.path);
    const results = await Promise.all(
      Array.from({ length: 20 }, () => errorOf(finish(configuration, begun, location))),
    );
    expect(results.filter((one) => one === "none")).toHaveLength(1);
    expect(results.filter((one) => one === "invalid_grant")).toHaveLength(19);
  });

  it("keeps no code, token or session in the store as it was given out", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    const configuration = await discover(started);
    const begun = await begin(configuration);
    const { location } = await browser.signIn("ben", undefined, begun.path);
    const code = new URL(location).searchParams.get("code") ?? "";
    const { refresh_token = "", access_token } = await finish(configuration, begun, location);
    const kept = JSON.stringify(await started.store.list("")) + started.logged.join("\n");
    for (const secret of [code, refresh_token, access_token, browser.cookies.get("dpx_session") ?? ""]) {
      expect(secret.length).toBeGreaterThan(20);
      expect(kept).not.toContain(secret);
    }
  });
});
