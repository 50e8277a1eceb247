// Signing in at an outside provider, which is a second oidc-provider with people of its own.

import { describe, expect, it } from "vitest";
import type { OutsideProviderOptions } from "../../../src/server/auth/index.ts";
import { personOf } from "../../../src/server/auth/outside-claims.ts";
import { OUTSIDE_CLIENT, type OutsideProvider, startOutsideProvider } from "../../support/outside-provider.ts";
import { useStage } from "../../support/stage.ts";
import { begin, discover, finish } from "./cli.ts";
import { type StartAuthOptions, startAuth } from "./stage.ts";
import { type Seen, TestBrowser } from "./test-browser.ts";

const stage = useStage();
const NO_RULES = { allowedDomains: [], allowedGroups: [], adminClaim: null } as const;

async function start(
  rules: Partial<OutsideProviderOptions> = {},
  hasLocalAccounts = true,
  limits: NonNullable<StartAuthOptions["limits"]> = {},
) {
  const providers: OutsideProvider[] = [];
  const started = await startAuth(stage, {
    ...{ hasLocalAccounts, limits },
    outside: async (origin) => {
      const outside = await startOutsideProvider(stage, `${origin}/auth/outside/callback`);
      providers.push(outside);
      return { issuer: outside.issuer, ...OUTSIDE_CLIENT, ...NO_RULES, ...rules };
    },
  });
  const [outside] = providers;
  if (outside === undefined) throw new Error("no provider");
  outside.claims = { preferred_username: "Ben.Müller" };
  return { started, outside, browser: new TestBrowser(started) };
}

/** From the link on the sign-in page to the address that the provider sends the browser back to. */
async function goThere(browser: TestBrowser, outside: OutsideProvider, page?: Seen): Promise<string> {
  const link = /href="(\/auth\/outside[^"]*)"/.exec((page ?? (await browser.get("/auth/sign-in"))).body)?.[1] ?? "";
  const { location } = await browser.get(link.replaceAll("&amp;", "&"));
  const away = new TestBrowser({ port: outside.port, origin: outside.issuer });
  const { location: back } = await away.follow({ status: 303, headers: {}, body: "", location });
  const url = new URL(back);
  return `${url.pathname}${url.search}`;
}

describe("An outside provider", () => {
  it("lets a person in who has no password here, and makes one account of any number of sign-ins", async () => {
    const { started, outside, browser } = await start();
    for (let times = 0; times < 2; times += 1) {
      const back = await goThere(new TestBrowser(started), outside).catch(() => "");
      expect(back).toContain("code=");
    }
    expect((await browser.get(await goThere(browser, outside))).body).toContain('content="0;url=/auth/account"');
    const account = await browser.get("/auth/account");
    expect(account.body).toContain("<dd>ben.muller</dd>");
    expect(account.body).not.toContain("Change your password");
    const again = new TestBrowser(started);
    await again.get(await goThere(again, outside));
    expect(started.accounts.all().map(({ name }) => name)).toEqual(["ben", "ben.muller"]);
    const host = new URL(outside.issuer).host;
    expect((await started.audit.read(1))[0]).toMatchObject({
      action: "sign-in",
      by: "ben.muller",
      detail: `by ${host}`,
    });
  });

  it("goes on to what the command line wanted", async () => {
    const { started, outside, browser } = await start({}, false);
    const configuration = await discover(started);
    const begun = await begin(configuration);
    const page = await browser.follow(await browser.get(begun.path));
    expect(page.body).not.toContain('type="password"');
    const back = await browser.get(await goThere(browser, outside, page));
    const next = /content="0;url=([^"]*)"/.exec(back.body)?.[1]?.replaceAll("&amp;", "&") ?? "";
    const seen = await browser.get(next, { headers: { "sec-fetch-site": "same-origin" } });
    expect((await finish(configuration, begun, seen.location)).claims()).toMatchObject({
      preferred_username: "ben.muller",
    });
  });

  it("is asked with PKCE, state and nonce, all of this one sign-in", async () => {
    const { browser } = await start();
    const urls = [
      new URL((await browser.get("/auth/outside")).location),
      new URL((await browser.get("/auth/outside")).location),
    ];
    for (const { searchParams } of urls) {
      expect(searchParams.get("code_challenge_method")).toBe("S256");
      expect(searchParams.get("response_type")).toBe("code");
    }
    for (const name of ["state", "nonce", "code_challenge"]) {
      expect(new Set(urls.map(({ searchParams }) => searchParams.get(name))).size).toBe(2);
    }
  });

  it("is believed once for each sign-in, and only in the browser that began it", async () => {
    const { started, outside, browser } = await start();
    const back = await goThere(browser, outside);
    const foreign = await new TestBrowser(started).get(back);
    expect([foreign.status, foreign.body.includes("was not begun in this browser")]).toEqual([403, true]);
    // Somebody else's attempt has used it up.
    expect((await browser.get(back)).status).toBe(403);
    const own = await goThere(browser, outside);
    expect((await browser.get(own)).status).toBe(200);
    expect((await browser.get(own)).status).toBe(403);
    expect((await browser.get("/auth/outside/callback?code=x&state=made-up")).status).toBe(403);
    expect((await browser.get("/auth/outside/callback")).status).toBe(403);
  });

  it.each([
    ["another issuer's answer", (url: URL) => url.searchParams.set("iss", "https://evil.example")],
    ["an answer without an issuer", (url: URL) => url.searchParams.delete("iss")],
    ["a code of another sign-in", (url: URL) => url.searchParams.set("code", "x".repeat(43))],
    ["two codes", (url: URL) => url.searchParams.append("code", "x")],
  ])("is not believed in %s", async (_name, change) => {
    const { started, outside, browser } = await start();
    const url = new URL(await goThere(browser, outside), started.origin);
    change(url);
    const seen = await browser.get(`${url.pathname}${url.search}`);
    expect([seen.status, seen.body.includes("its answer does not hold")]).toEqual([403, true]);
    expect((await browser.get("/auth/account")).status).toBe(303);
    expect((await started.audit.read(1))[0]?.action).toBe("sign-in-failed");
  });

  it("may say no, and the page says so", async () => {
    const { outside, browser } = await start();
    outside.refusal = "access_denied";
    const seen = await browser.get(await goThere(browser, outside));
    expect([seen.status, seen.body.includes("it says no (access_denied)")]).toEqual([403, true]);
  });

  it("may be away, and the page says so; later it is asked again", async () => {
    const { started, outside, browser } = await start();
    outside.isAway = true;
    const seen = await browser.get("/auth/outside");
    expect([seen.status, seen.body.includes("it cannot be reached")]).toEqual([403, true]);
    expect(started.logged.join()).toContain("cannot be asked how to sign in there");
    outside.isAway = false;
    expect((await browser.get("/auth/outside")).status).toBe(303);
  });

  it("has its keys fetched once for many sign-ins", async () => {
    const { outside, started } = await start();
    for (let times = 0; times < 4; times += 1) {
      const browser = new TestBrowser(started);
      await browser.get(await goThere(browser, outside));
    }
    expect(outside.asked.filter((path) => path === "/jwks")).toHaveLength(1);
    expect(outside.asked.filter((path) => path.startsWith("/.well-known/"))).toHaveLength(1);
  });

  it("makes and unmakes admins by its claim", async () => {
    const { started, outside } = await start({ adminClaim: "groups=tunnel-admins" });
    for (const [groups, isAdmin] of [
      [["tunnel-admins", "x"], true],
      [["x"], false],
      ["tunnel-admins", true],
    ] as const) {
      outside.claims = { preferred_username: "ben", groups };
      const browser = new TestBrowser(started);
      await browser.get(await goThere(browser, outside));
      expect(started.accounts.byName("ben-2")?.isAdmin).toBe(isAdmin);
    }
    const { host } = new URL(outside.issuer);
    const changes = (await started.audit.read(9)).filter(({ action }) => action === "role-change");
    expect(changes.map(({ whom, detail }) => `${whom}: ${detail}`)).toEqual([
      `ben-2: an admin, by the claims of ${host}`,
      `ben-2: no admin any more, by the claims of ${host}`,
      `ben-2: an admin, by the claims of ${host}`,
    ]);
  });

  it("keeps of what comes after it only what this server has sealed, and begins so many for all addresses", async () => {
    const limits = { begin: { points: 2, durationMs: 60_000 } };
    const { started, browser } = await start({}, true, limits);
    await browser.get(`/auth/outside?next=${"x".repeat(8_000)}`);
    expect((await started.store.list("auth/outside/")).map(({ value }) => value)).toMatchObject([{ next: null }]);
    const codes = [];
    for (const address of ["192.0.2.1", "192.0.2.2"]) {
      started.address = address;
      codes.push((await browser.get("/auth/outside")).status);
    }
    expect(codes).toEqual([303, 429]);
  });

  it("lets in only whom the rules let in, and says why not", async () => {
    const { outside, browser, started } = await start({ allowedDomains: ["example.com"] });
    outside.claims = { email: "ben@example.com", email_verified: false };
    const seen = await browser.get(await goThere(browser, outside));
    expect([seen.status, seen.body.includes("has not verified your e-mail address")]).toEqual([403, true]);
    expect(started.accounts.all()).toHaveLength(1);
    outside.claims = { email: "ben@example.com", email_verified: true };
    expect((await browser.get(await goThere(browser, outside))).body).toContain("Signed in");
  });
});

describe("personOf", () => {
  const rules = { allowedDomains: ["Example.com"], allowedGroups: ["dev", "ops"], adminClaim: "role=admin" };
  const good = { email: "ben@example.com", email_verified: true, groups: ["ops"], role: "admin" };

  it("takes the name, and the role from the claim", () => {
    expect(personOf({ ...good, preferred_username: "ben" }, rules)).toEqual({ name: "ben", isAdmin: true });
    expect(personOf({ ...good, role: ["user"] }, rules)).toEqual({ name: "ben@example.com", isAdmin: false });
  });

  it.each([
    ["no e-mail address", { email: undefined }],
    ["an unverified one", { email_verified: "true" }],
    ["another domain", { email: "ben@evil.example" }],
    ["a domain below", { email: "ben@sub.example.com" }],
    ["two @", { email: "ben@evil.example@example.com" }],
    ["another group", { groups: ["devs"] }],
    ["no group", { groups: undefined }],
  ])("refuses %s", (_name, change) => {
    expect(() => personOf({ ...good, ...change }, rules)).toThrow(expect.objectContaining({ code: "DPX_FORBIDDEN" }));
  });

  it("finds no claim where JavaScript has a word of its own", () => {
    const adminClaim = "__proto__=[object Object]";
    expect(personOf(good, { ...rules, adminClaim }).isAdmin).toBe(false);
    expect(personOf(good, { ...rules, adminClaim: "constructor=x" }).isAdmin).toBe(false);
  });
});

describe("createAuthService", () => {
  it.each([
    ["an issuer without TLS", { issuer: "http://login.example.com" }],
    ["an issuer that is no URL", { issuer: "login.example.com" }],
    ["an admin claim without a value", { adminClaim: "groups" }],
  ])("refuses %s", async (_name, change) => {
    const outside = async () => ({ issuer: "https://login.example.com", ...OUTSIDE_CLIENT, ...NO_RULES, ...change });
    await expect(startAuth(stage, { outside })).rejects.toMatchObject({ code: "DPX_USAGE" });
  });
});
