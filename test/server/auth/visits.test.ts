// Visitors of a pipe that is for people of this server only: to the sign-in and back, by a code that is good once.

import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { type StartAuthOptions, startAuth } from "./stage.ts";
import { TestBrowser } from "./test-browser.ts";

const stage = useStage();
const STATE = "state-of-the-gate_1234";
const HOSTNAME = "cat1.tunnel.example.com";

async function start(options: StartAuthOptions = {}) {
  const started = await startAuth(stage, { origin: "https://tunnel.example.com", ...options });
  const { visitors } = started.auth;
  const url = visitors.authorizeUrl({ hostname: HOSTNAME, returnTo: "/cats?n=1&m=2", state: STATE });
  return { started, visitors, path: url.slice(started.origin.length), browser: new TestBrowser(started) };
}

function codeIn(location: string): string {
  return new URL(location).searchParams.get("code") ?? "";
}

describe("A visitor's sign-in", () => {
  it("ends at the pipe's hostname, with a code that says who it is and where they wanted to go", async () => {
    const { started, visitors, path, browser } = await start();
    const { location, status } = await browser.signIn("ben", undefined, path);
    const url = new URL(location);
    expect([status, url.origin, url.pathname]).toEqual([303, `https://${HOSTNAME}`, "/.duplexity/signed-in"]);
    expect(url.searchParams.get("state")).toBe(STATE);
    const { userId = "" } = started.accounts.byName("ben") ?? {};
    const redeemed = await visitors.redeem({ code: codeIn(location), hostname: HOSTNAME, state: STATE });
    expect(redeemed).toEqual({ userId, name: "ben", returnTo: "/cats?n=1&m=2" });
  });

  it("keeps the port of the origin", async () => {
    const { path, browser } = await start({ origin: "http://127.0.0.1:8080", domain: "tunnel.example.com" });
    expect((await browser.signIn("ben", undefined, path)).location).toMatch(
      /^http:\/\/cat1\.tunnel\.example\.com:8080\/\./,
    );
  });

  it("lets the form of the sign-in page lead to pipes, and nowhere else", async () => {
    const { path, browser } = await start();
    const page = await browser.follow(await browser.get(path));
    expect(page.headers["content-security-policy"]).toContain(
      "form-action 'self' https://*.tunnel.example.com;".slice(0, -1),
    );
  });

  it("gives a code that is good once, for its hostname and its state", async () => {
    const { visitors, path, browser } = await start();
    const good = { hostname: HOSTNAME, state: STATE };
    await browser.signIn();
    const fresh = async (): Promise<string> => codeIn((await browser.get(path)).location);
    expect(await visitors.redeem({ ...good, code: await fresh(), hostname: "dog1.tunnel.example.com" })).toBeNull();
    expect(await visitors.redeem({ ...good, code: await fresh(), state: `${STATE}x` })).toBeNull();
    expect(await visitors.redeem({ ...good, code: "made-up" })).toBeNull();
    const code = await fresh();
    const all = await Promise.all(Array.from({ length: 20 }, () => visitors.redeem({ ...good, code })));
    expect(all.filter((one) => one !== null)).toHaveLength(1);
    const tried = await fresh();
    await visitors.redeem({ ...good, code: tried, state: "another-state-of-it" });
    expect(await visitors.redeem({ ...good, code: tried })).toBeNull();
  });

  it("keeps neither code nor state as they were given out", async () => {
    const { started, path, browser } = await start();
    const { location } = await browser.signIn("ben", undefined, path);
    const kept = JSON.stringify(await started.store.list(""));
    expect(kept).not.toContain(codeIn(location));
    expect(kept).not.toContain(STATE);
  });

  it.each([
    ["another site", { hostname: "evil.example" }],
    ["a site that only ends alike", { hostname: "eviltunnel.example.com" }],
    ["the server itself", { hostname: "tunnel.example.com" }],
    ["a hostname with a port", { hostname: "cat1.tunnel.example.com:99" }],
    ["a hostname with a path", { hostname: "evil.example/.tunnel.example.com" }],
    ["a hostname with a user", { hostname: "evil.example@cat1.tunnel.example.com" }],
    ["no hostname", { hostname: "" }],
    ["an address of another site to come back to", { to: "https://evil.example/" }],
    ["one with two slashes", { to: "//evil.example" }],
    ["one with a backslash", { to: "/\\evil.example" }],
    ["one with a line break", { to: "/a\r\nb" }],
    ["a short state", { state: "short" }],
    ["a state with other characters", { state: "a state with spaces in it" }],
  ])("is not begun for %s", async (_name, change) => {
    const { browser } = await start();
    await browser.signIn();
    const query = new URLSearchParams({ hostname: HOSTNAME, to: "/", state: STATE, ...change });
    const seen = await browser.get(`/auth/visit?${query}`);
    expect([seen.status, seen.location]).toEqual([400, ""]);
  });

  it("is over for somebody who is banned or gone", async () => {
    const { started, visitors, path, browser } = await start();
    await browser.signIn();
    const code = codeIn((await browser.get(path)).location);
    const { userId = "" } = started.accounts.byName("ben") ?? {};
    expect(visitors.isWelcome(userId)).toBe(true);
    const subject = { kind: "user", userId, name: "ben" } as const;
    await started.bans.add({ subject, by: "anna", reason: "spam", at: Date.now(), until: null });
    expect(visitors.isWelcome(userId)).toBe(false);
    expect(await visitors.redeem({ code, hostname: HOSTNAME, state: STATE })).toBeNull();
    expect((await browser.get(path)).status).toBe(403);
    await started.bans.lift("ben");
    await started.accounts.remove(userId);
    expect(visitors.isWelcome(userId)).toBe(false);
  });
});
