// The pages: signing in and out, claim and invitation, and what every one of them refuses and forbids.

import { describe, expect, it, vi } from "vitest";
import { useStage } from "../../support/stage.ts";
import { addPerson, PASSWORD, type StartedAuth, startAuth } from "./stage.ts";
import { hiddenFields, TestBrowser } from "./test-browser.ts";

const stage = useStage();
const HTTPS = "https://tunnel.example.com";

describe("The sign-in page", () => {
  it("signs in by name and password, in any case of the name, and out again", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    const account = await browser.signIn(" Ben ");
    expect(account.body).toContain("<dd>ben</dd>");
    const out = await browser.post(
      "/auth/sign-out",
      hiddenFields(account.body.slice(account.body.indexOf("sign-out") - 40)),
    );
    expect(out.body).toContain("Signed out");
    expect((await browser.get("/auth/account")).status).toBe(303);
    expect((await started.audit.read(5)).map(({ action }) => action)).toEqual(["sign-in", "sign-out"]);
  });

  it("says the same of a wrong name and a wrong password, and writes down no unknown name", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    const texts: string[] = [];
    for (const name of ["ben", "my-secret-password"]) {
      const seen = await browser.signIn(name, "not the password");
      expect(seen.status).toBe(403);
      texts.push(/role="alert"[^>]*>([^<]*)</.exec(seen.body)?.[1] ?? "");
    }
    expect(texts).toEqual(Array(2).fill("The name or the password is wrong."));
    const events = await started.audit.read(5);
    expect(events.map(({ action, whom, from }) => [action, whom, from])).toEqual([
      ["sign-in-failed", "ben", "203.0.113.7"],
      ["sign-in-failed", null, "203.0.113.7"],
    ]);
  });

  it("lets nobody guess: so many tries for an account, whoever asks, and again later", async () => {
    vi.useFakeTimers({ toFake: ["Date"] });
    stage.defer(() => void vi.useRealTimers());
    const started = await startAuth(stage, { limits: { "sign-in-account": { points: 3, durationMs: 60_000 } } });
    for (let tries = 0; tries < 3; tries += 1) {
      started.address = `203.0.113.${tries}`;
      await new TestBrowser(started).signIn("ben", "not the password");
    }
    const late = await new TestBrowser(started).signIn();
    expect([late.status, late.body.includes("DPX_RATE_LIMIT")]).toEqual([429, true]);
    expect(late.headers["retry-after"]).toBe("60");
    vi.setSystemTime(Date.now() + 60_000);
    expect((await new TestBrowser(started).signIn()).status).toBe(200);
  });

  it("keeps nobody out of a browser that they have signed in with, whoever guesses elsewhere", async () => {
    const started = await startAuth(stage, { limits: { "sign-in-account": { points: 3, durationMs: 60_000 } } });
    await addPerson(started.accounts, "eve");
    const own = new TestBrowser(started);
    await own.signIn();
    await own.post("/auth/sign-out", hiddenFields((await own.get("/auth/account")).body));
    const eve = new TestBrowser(started);
    await eve.signIn("eve");
    await eve.post("/auth/sign-out", hiddenFields((await eve.get("/auth/account")).body));
    for (let tries = 0; tries < 3; tries += 1) await eve.signIn("ben", "not the password");
    expect((await eve.signIn("ben", "not the password")).status).toBe(429);
    // The mark is good in the browser that got it only.
    for (const [name, value] of own.cookies) if (name.endsWith("dpx_known")) eve.cookies.set(name, value);
    expect((await eve.signIn()).status).toBe(429);
    for (let tries = 0; tries < 2; tries += 1) await own.signIn("ben", "not the password");
    expect((await own.signIn()).status).toBe(200);
    // Also there nobody guesses for ever.
    await own.post("/auth/sign-out", hiddenFields((await own.get("/auth/account")).body));
    for (let tries = 0; tries < 3; tries += 1) await own.signIn("ben", "not the password");
    expect((await own.signIn()).status).toBe(429);
  });

  it("counts a whole IPv6 /64 as one address, since one customer has all of that", async () => {
    const started = await startAuth(stage, { limits: { "sign-in": { points: 3, durationMs: 60_000 } } });
    for (let tries = 0; tries < 3; tries += 1) {
      started.address = `2001:db8:0:1::${tries}`;
      expect((await new TestBrowser(started).signIn(`ben${tries}`, "not the password")).status).not.toBe(429);
    }
    started.address = "2001:db8:0:1:ffff::1";
    expect((await new TestBrowser(started).signIn()).status).toBe(429);
    started.address = "2001:db8:0:2::1";
    expect((await new TestBrowser(started).signIn()).status).toBe(200);
  });

  it("makes a new session for each sign-in, so that one that was planted is worth nothing", async () => {
    const started = await startAuth(stage);
    await addPerson(started.accounts, "eve");
    const eve = new TestBrowser(started);
    await eve.signIn("eve");
    const victim = new TestBrowser(started);
    for (const [name, value] of eve.cookies) victim.cookies.set(name, value);
    await victim.post("/auth/sign-out", hiddenFields((await victim.get("/auth/account")).body));
    await victim.signIn("ben");
    expect(victim.cookies.get("dpx_session")).not.toBe(eve.cookies.get("dpx_session"));
    expect((await eve.get("/auth/account")).status).toBe(303);
  });

  it("ends the session before when somebody signs in over it", async () => {
    const started = await startAuth(stage);
    await addPerson(started.accounts, "eve");
    const [browser, copy] = [new TestBrowser(started), new TestBrowser(started)];
    const page = await browser.get("/auth/sign-in");
    await browser.signIn("ben");
    for (const [name, value] of browser.cookies) copy.cookies.set(name, value);
    expect((await copy.get("/auth/account")).status).toBe(200);
    await browser.post("/auth/sign-in", { ...hiddenFields(page.body), name: "eve", password: PASSWORD });
    expect((await browser.get("/auth/account")).body).toContain("<dd>eve</dd>");
    expect((await copy.get("/auth/account")).status).toBe(303);
  });

  it("tells a banned person so, and lets them in nowhere", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    await browser.signIn();
    const userId = started.accounts.byName("ben")?.userId ?? "";
    await started.bans.add({
      subject: { kind: "user", userId, name: "ben" },
      by: "anna",
      reason: "spam",
      at: Date.now(),
      until: null,
    });
    for (const path of ["/auth/account", "/auth/device", "/auth/sign-in"]) {
      const seen = await browser.follow(await browser.get(path));
      expect([seen.status, seen.body.includes("banned by anna")]).toEqual([403, true]);
    }
    expect((await new TestBrowser(started).signIn()).status).toBe(403);
    expect((await started.audit.read(1))[0]).toMatchObject({ action: "sign-in-failed", whom: "ben", detail: "banned" });
  });

  it("follows nobody's address after the sign-in but its own, in the same browser", async () => {
    const started = await startAuth(stage);
    const kept =
      new URL((await new TestBrowser(started).get("/auth/account")).location, started.origin).searchParams.get(
        "next",
      ) ?? "";
    for (const next of [
      "https://evil.example/",
      "//evil.example",
      "/\\evil.example",
      "/auth/device",
      kept,
      `${kept}x`,
    ]) {
      const browser = new TestBrowser(started);
      const page = await browser.get(`/auth/sign-in?next=${encodeURIComponent(next)}`);
      expect(page.body).not.toContain("evil.example");
      const fields = { ...hiddenFields(page.body), next, name: "ben", password: PASSWORD };
      expect((await browser.post("/auth/sign-in", fields)).location).toBe("/auth/account");
      expect((await browser.get(`/auth/sign-in?next=${encodeURIComponent(next)}`)).location).toBe("/auth/account");
    }
  });
});

describe("The claim page", () => {
  it("makes the first admin, once, by a code that is never in an address", async () => {
    const started = await startAuth(stage, { isEmpty: true });
    const { code = "" } = (await started.accounts.newClaim()) ?? {};
    expect(started.auth.claimUrl(code)).toBe(`${started.origin}/auth/claim#${code}`);
    const browser = new TestBrowser(started);
    const page = await browser.get("/auth/claim");
    expect(page.headers["content-security-policy"]).toMatch(/script-src 'sha256-[^']+'/);
    const second = await browser.post("/auth/claim", { ...hiddenFields(page.body), code });
    expect(second.body).toContain("You become its first admin");
    const fields = { ...hiddenFields(second.body), name: "anna", password: PASSWORD, again: PASSWORD };
    const short = await browser.post("/auth/claim", { ...fields, password: "short", again: "short" });
    expect([short.status, short.body.includes("Cannot use the password")]).toEqual([400, true]);
    const account = await browser.follow(await browser.post("/auth/claim", fields));
    expect(account.body).toContain("<dd>admin</dd>");
    expect((await browser.post("/auth/claim", fields)).status).toBe(403);
    expect((await started.audit.read(5)).map(({ action, by }) => [action, by])).toEqual([
      ["claim", "anna"],
      ["sign-in", "anna"],
    ]);
  });

  it("lets nobody guess a code", async () => {
    const started = await startAuth(stage, { isEmpty: true, limits: { claim: { points: 2, durationMs: 60_000 } } });
    await started.accounts.newClaim();
    const browser = new TestBrowser(started);
    const fields = hiddenFields((await browser.get("/auth/claim")).body);
    const statuses: number[] = [];
    for (const code of ["a", "b", "c"]) statuses.push((await browser.post("/auth/claim", { ...fields, code })).status);
    expect(statuses).toEqual([403, 403, 429]);
  });
});

describe("The invitation page", () => {
  it("shows whose it is, sets the password once, and signs in", async () => {
    const started = await startAuth(stage);
    const { userId } = await started.accounts.create({ name: "carl", isAdmin: false, namePatterns: null });
    const { code } = await started.accounts.invite(userId);
    const browser = new TestBrowser(started);
    const first = await browser.get("/auth/invite");
    const second = await browser.post("/auth/invite", { ...hiddenFields(first.body), code });
    expect(second.body).toContain("Welcome, carl");
    const fields = { ...hiddenFields(second.body), password: PASSWORD, again: PASSWORD };
    expect((await browser.post("/auth/invite", { ...fields, again: "other" })).body).toContain("not the same twice");
    expect((await browser.follow(await browser.post("/auth/invite", fields))).body).toContain("<dd>carl</dd>");
    expect((await browser.post("/auth/invite", fields)).status).toBe(403);
    expect((await started.audit.read(5)).map(({ action, by }) => [action, by])).toContainEqual([
      "invite-accepted",
      "carl",
    ]);
  });
});

/** Every form there is, with what it needs besides its token. */
async function forms(started: StartedAuth): Promise<readonly (readonly [string, Record<string, string>])[]> {
  const { code: claim = "" } = (await started.accounts.newClaim()) ?? {};
  const { userId } = await started.accounts.create({ name: "carl", isAdmin: false, namePatterns: null });
  const { code: invite } = await started.accounts.invite(userId);
  const fresh = { password: "a goat on the roof", again: "a goat on the roof" };
  return [
    ["/auth/sign-in", { name: "ben", password: PASSWORD }],
    ["/auth/sign-out", {}],
    ["/auth/continue", { next: "" }],
    ["/auth/claim", { code: claim, name: "eve", ...fresh }],
    ["/auth/invite", { code: invite, ...fresh }],
    ["/auth/account", { old: PASSWORD, ...fresh }],
  ];
}

describe("Every form of the auth service", () => {
  it("takes nothing without its token, from another browser, or from another site", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    await browser.signIn();
    const { form_token = "" } = hiddenFields((await browser.get("/auth/account")).body);
    const other = hiddenFields((await new TestBrowser(started).get("/auth/sign-in")).body);
    const before = await started.audit.read(100);
    for (const [path, fields] of await forms(started)) {
      const refused = [
        await browser.post(path, fields),
        await browser.post(path, { ...fields, form_token: other["form_token"] ?? "" }),
        await browser.post(path, { ...fields, form_token }, { headers: { origin: "https://evil.example" } }),
        await browser.post(path, { ...fields, form_token }, { headers: { origin: "null" } }),
        await browser.post(path, { ...fields, form_token }, { headers: { "sec-fetch-site": "same-site" } }),
        await browser.post(
          path,
          { ...fields, form_token },
          { headers: { origin: undefined, "sec-fetch-site": undefined } },
        ),
      ];
      expect([path, ...refused.map(({ status }) => status)]).toEqual([path, ...Array(6).fill(403)]);
      const plain = await browser.post(path, { ...fields, form_token }, { headers: { "content-type": "text/plain" } });
      expect(plain.status).toBe(400);
    }
    expect(await started.audit.read(100)).toEqual(before);
    expect((await browser.get("/auth/account")).status).toBe(200);
  });

  it("takes no field twice and no more bytes than a form has", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    const fields = hiddenFields((await browser.get("/auth/sign-in")).body);
    const big = await browser.post("/auth/sign-in", { ...fields, name: "x".repeat(20_000), password: "y" });
    expect([big.status, big.body.includes("more than 16384 bytes")]).toEqual([400, true]);
  });
});

describe("Every answer below /auth", () => {
  it("cannot be framed, cached, sniffed or filled from elsewhere", async () => {
    const started = await startAuth(stage, { origin: HTTPS });
    const browser = new TestBrowser(started);
    await browser.signIn();
    const paths = [
      "/auth/sign-in",
      "/auth/account",
      "/auth/claim",
      "/auth/invite",
      "/auth/device",
      "/auth/done",
      "/auth/nothing",
    ];
    for (const path of [...paths, "/auth/authorize", "/auth/jwks", "/auth/visit"]) {
      const { headers } = await browser.get(path);
      expect([path, headers["x-frame-options"], headers["x-content-type-options"]]).toEqual([path, "DENY", "nosniff"]);
      expect([path, headers["cache-control"]]).toEqual([path, "no-store"]);
      expect(headers["referrer-policy"]).toBe("same-origin");
      const policy = headers["content-security-policy"];
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain("unsafe");
    }
  });

  it("sets cookies that no pipe can set, no script can read and no plain connection carries", async () => {
    const started = await startAuth(stage, { origin: HTTPS });
    const browser = new TestBrowser(started);
    await browser.signIn();
    expect([...browser.cookies.keys()].sort()).toEqual([
      "__Host-dpx_browser",
      "__Host-dpx_known",
      "__Host-dpx_session",
      "__Host-dpx_session.sig",
    ]);
    for (const line of browser.setCookies) {
      expect(line).toMatch(/; path=\/(;|$)/i);
      expect(line).toMatch(/; secure(;|$)/i);
      expect(line).toMatch(/; httponly(;|$)/i);
      expect(line).toMatch(/; samesite=lax(;|$)/i);
      expect(line).not.toMatch(/; domain=/i);
    }
  });

  it("is for the origin's own host, whatever headers say", async () => {
    const started = await startAuth(stage, { origin: HTTPS });
    const browser = new TestBrowser(started);
    for (const host of [
      "evil.example",
      "tunnel.example.com.evil.example",
      "tunnel.example.com:8443",
      "cat1.tunnel.example.com",
    ]) {
      const seen = await browser.get("/auth/sign-in", { headers: { host } });
      expect([host, seen.status]).toEqual([host, 421]);
    }
    expect((await browser.get("http://evil.example/auth/sign-in")).status).toBe(421);
    // A command line is told the command with which it gets there.
    const host = "10.0.0.7:8080";
    const told = await browser.get("/auth/.well-known/openid-configuration", { headers: { host, accept: undefined } });
    expect(JSON.parse(told.body)).toEqual({
      error: {
        code: "DPX_MISDIRECTED",
        message: "Cannot sign you in at this address: it is https://tunnel.example.com",
        hint: "duplexity login https://tunnel.example.com",
      },
    });
    expect((await browser.get("/auth/sign-in", { headers: { host: "TUNNEL.example.com:443" } })).status).toBe(200);
    const forwarded = {
      "x-forwarded-host": "evil.example",
      "x-forwarded-proto": "http",
      forwarded: "host=evil.example",
    };
    const { body } = await browser.get("/auth/.well-known/openid-configuration", {
      headers: { ...forwarded, accept: undefined },
    });
    const endpoints = Object.entries(JSON.parse(body)).filter(([name]) => /_endpoint$|_uri$|^issuer$/.test(name));
    expect(endpoints.length).toBeGreaterThanOrEqual(6);
    for (const [, value] of endpoints) expect(value).toMatch(/^https:\/\/tunnel\.example\.com\/auth/);
  });

  it("asks for TLS before anything else where there is none", async () => {
    const started = await startAuth(stage, { origin: "http://tunnel.example.com" });
    const seen = await new TestBrowser(started).get("/auth/sign-in");
    expect([seen.status, seen.body.includes("without TLS")]).toEqual([403, true]);
  });

  it("is nothing of the provider that the command line does not need", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    for (const path of [
      "/me",
      "/reg",
      "/token/introspection",
      "/request",
      "/session/end",
      "/interaction/x",
      "/authorize/x",
      "/device/x",
    ]) {
      expect([path, (await browser.get(`/auth${path}`)).status]).toEqual([path, 404]);
      expect([path, (await browser.post(`/auth${path}`, {})).status]).toEqual([path, 404]);
    }
    const wrong = await browser.post("/auth/authorize", {});
    expect([wrong.status, wrong.headers.allow]).toEqual([405, "GET"]);
  });

  it("shows no defect's words, and logs no secret", async () => {
    const started = await startAuth(stage);
    const browser = new TestBrowser(started);
    const fields = { ...hiddenFields((await browser.get("/auth/sign-in")).body), name: "ben", password: PASSWORD };
    await started.store.close();
    const seen = await browser.post("/auth/sign-in", fields);
    expect(seen.status).toBeGreaterThanOrEqual(500);
    expect(seen.body).not.toMatch(/ at .*\.ts:\d+/);
    expect(started.logged.join("\n")).not.toContain(PASSWORD);
  });
});
