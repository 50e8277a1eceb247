// Strangers and people who want more than is theirs, against the built command: each is refused with the right error,
// nothing of theirs is kept, and who belongs there goes on.

import { createHash, randomBytes } from "node:crypto";
import { generateKeyPair, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { hiddenFields, TestBrowser } from "../server/auth/test-browser.ts";
import { barMs } from "../support/bars.ts";
import { spawnDuplexity, spawnUp, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { isObject } from "../support/lines.ts";
import { ADMIN_TOKEN, ask, claimLink, PASSWORD, type PeopleServer, startPeopleServer } from "../support/people.ts";
import { startRedisServer } from "../support/redis.ts";
import { useStage } from "../support/stage.ts";
import { visit } from "../support/visitor.ts";

const stage = useStage();
const REDIRECT = "http://127.0.0.1:49152/callback";

function codeOf(url: unknown): string {
  return decodeURIComponent(new URL(String(url)).hash.slice(1));
}

/** A person whom the admin invited, with a browser that is signed in. */
async function invited(server: PeopleServer, name: string): Promise<TestBrowser> {
  const { inviteUrl } = await server.admin("/api/users", { name });
  const browser = new TestBrowser(server);
  const { body } = await browser.get("/auth/invite");
  const code = codeOf(inviteUrl);
  const fields = { ...hiddenFields(body), code, password: PASSWORD, again: PASSWORD };
  expect((await browser.post("/auth/invite", fields)).status).toBe(303);
  return browser;
}

/** What the command line would ask of the browser. */
function wanted(change: Readonly<Record<string, string | null>> = {}) {
  const verifier = randomBytes(32).toString("base64url");
  const query = new URLSearchParams({
    ...{ client_id: "duplexity-cli", response_type: "code", redirect_uri: REDIRECT, prompt: "consent" },
    ...{ scope: "openid offline_access profile", state: "s".repeat(22), nonce: "n".repeat(22) },
    code_challenge: createHash("sha256").update(verifier).digest("base64url"),
    code_challenge_method: "S256",
  });
  for (const [name, value] of Object.entries(change)) {
    if (value === null) query.delete(name);
    else query.set(name, value);
  }
  return { verifier, path: `/auth/authorize?${query}` };
}

async function codeFor(browser: TestBrowser): Promise<{ code: string; verifier: string }> {
  const { verifier, path } = wanted();
  const { location } = await browser.get(path);
  return { code: new URL(location).searchParams.get("code") ?? "", verifier };
}

async function post(server: PeopleServer, path: string, fields: Readonly<Record<string, string>>) {
  const body = new URLSearchParams({ client_id: "duplexity-cli", ...fields });
  const response = await fetch(`${server.origin}${path}`, { method: "POST", body });
  const answer: unknown = await response.json();
  if (!isObject(answer)) throw new Error(`${path} answered ${JSON.stringify(answer)}`);
  return { status: response.status, answer };
}

function redeem(server: PeopleServer, code: string, verifier: string) {
  const grant = { grant_type: "authorization_code", redirect_uri: REDIRECT };
  return post(server, "/auth/token", { ...grant, code, code_verifier: verifier });
}

/** What the API says to `token`. */
function asked(server: PeopleServer, token: string): Promise<string> {
  return ask(server.port, "/api/whoami", { token }).then(
    ({ user }) => `in as ${String(user)}`,
    (error: Error) => error.message,
  );
}

describe("serve", () => {
  it("sends a browser to nobody but the command line of its own machine, and only with PKCE", async () => {
    const server = await startPeopleServer(stage);
    const browser = await invited(server, "ben");
    for (const change of [
      { redirect_uri: "https://evil.example/callback" },
      { redirect_uri: "http://127.0.0.1.evil.example/callback" },
      { redirect_uri: "http://127.0.0.1:49152@evil.example/callback" },
      { redirect_uri: "http://localhost:49152/callback" },
      { client_id: "__proto__" },
    ]) {
      const { status, location } = await browser.get(wanted(change).path);
      expect([change, status, location]).toEqual([change, 400, ""]);
    }
    for (const change of [
      { code_challenge: null, code_challenge_method: null },
      { code_challenge_method: "plain" },
      { code_challenge_method: null },
      { response_type: "token" },
    ]) {
      const { location } = await browser.get(wanted(change).path);
      expect(location).not.toMatch(/[?&#](code|access_token|id_token)=/);
    }
    // Another site may not make a command line's sign-in happen unasked.
    const foreign = await browser.get(wanted().path, { headers: { "sec-fetch-site": "cross-site" } });
    expect([foreign.status, foreign.location]).toEqual([403, ""]);
  });

  it("gives a token for a code once, to whoever has its verifier, however many come at once", async () => {
    const server = await startPeopleServer(stage);
    const browser = await invited(server, "ben");
    const first = await codeFor(browser);
    const wrong = await redeem(server, first.code, "x".repeat(43));
    expect([wrong.status, wrong.answer.error]).toEqual([400, "invalid_grant"]);
    const all = await Promise.all(Array.from({ length: 8 }, () => redeem(server, first.code, first.verifier)));
    expect(all.filter(({ status }) => status === 200).length).toBeLessThanOrEqual(1);
    // Whoever used it twice has nothing of it.
    for (const { answer } of all.filter(({ status }) => status === 200)) {
      const grant = { grant_type: "refresh_token", refresh_token: String(answer.refresh_token) };
      expect((await post(server, "/auth/token", grant)).answer.error).toBe("invalid_grant");
    }
    const second = await codeFor(browser);
    expect((await redeem(server, second.code, second.verifier)).status).toBe(200);
  });

  it("takes no forged ID token at any door", async () => {
    const server = await startPeopleServer(stage);
    const browser = await invited(server, "ben");
    const { code, verifier } = await codeFor(browser);
    const { answer } = await redeem(server, code, verifier);
    const good = String(answer.id_token);
    expect(await asked(server, good)).toBe("in as ben");
    const [head = "", body = "", signature = ""] = good.split(".");
    const claims: unknown = JSON.parse(Buffer.from(body, "base64url").toString());
    const header: unknown = JSON.parse(Buffer.from(head, "base64url").toString());
    if (!isObject(claims) || !isObject(header)) throw new Error(good);
    const keys: unknown = await (await fetch(`${server.origin}/auth/jwks`)).json();
    const { privateKey } = await generateKeyPair("ES256");
    const kid = String(header.kid);
    const by = (key: Parameters<SignJWT["sign"]>[0], protectedHeader: { alg: string; [field: string]: unknown }) =>
      new SignJWT(claims).setProtectedHeader(protectedHeader).sign(key);
    const none = Buffer.from(JSON.stringify({ alg: "none", kid })).toString("base64url");
    const forged = {
      none: `${none}.${body}.`,
      "the public key as a secret": await by(Buffer.from(JSON.stringify(keys)), { alg: "HS256", kid }),
      "another key": await by(privateKey, { alg: "ES256", kid }),
      "an unknown kid": await by(privateKey, { alg: "ES256", kid: "__proto__" }),
      jku: await by(privateKey, { alg: "ES256", kid: "x", jku: "http://127.0.0.1:1/jwks" }),
      "other claims": `${head}.${Buffer.from(JSON.stringify({ ...claims, dpx_admin: true })).toString("base64url")}.${signature}`,
      "no signature": `${head}.${body}.`,
    };
    const control = `ws://localhost:${server.port}/control`;
    for (const [name, token] of Object.entries(forged)) {
      expect([name, await asked(server, token)]).toEqual([name, expect.stringMatching(/^401 DPX_AUTH_INVALID/)]);
      const refused = new WebSocket(control, ["duplexity.v1"], { headers: { authorization: `Bearer ${token}` } });
      const status = await new Promise((resolve) => {
        refused.once("unexpected-response", (_request, response) => resolve(response.statusCode));
        refused.once("open", () => resolve("open"));
        refused.on("error", () => {});
      });
      refused.terminate();
      expect([name, status]).toEqual([name, 401]);
    }
  });

  it("approves a device by the typed code only, and lets nobody guess one", async () => {
    const server = await startPeopleServer(stage);
    const browser = await invited(server, "ben");
    const { answer } = await post(server, "/auth/device/code", { scope: "openid", machine: "<b>you\u001b[2J</b>" });
    expect(answer.verification_uri_complete).toBeUndefined();
    const userCode = String(answer.user_code);
    const linked = await browser.get(`/auth/device?user_code=${userCode}`);
    expect(linked.body).not.toContain(userCode);
    // Straight to the approval, without having seen the code on a page of the server's.
    const { xsrf = "" } = hiddenFields(linked.body);
    const skipped = await browser.post("/auth/device", { xsrf: "x", user_code: userCode, confirm: "yes" });
    expect(skipped.body).not.toContain("is signed in");
    const foreign = { headers: { origin: "https://evil.example", "sec-fetch-site": "cross-site" } };
    expect((await browser.post("/auth/device", { xsrf, user_code: userCode }, foreign)).status).toBe(403);
    const shown = await browser.post("/auth/device", { xsrf, user_code: userCode });
    expect(shown.body).not.toContain("<b>you");
    const statuses: number[] = [];
    for (let guess = 0; guess < 10; guess += 1) {
      statuses.push((await browser.post("/auth/device", { xsrf, user_code: "BBBB-BBBB" })).status);
    }
    expect(statuses.at(-1)).toBe(429);
    const poll = {
      grant_type: "urn:ietf:params:oauth:grant-type:device_code",
      device_code: String(answer.device_code),
    };
    expect((await post(server, "/auth/token", poll)).answer.error).toBe("authorization_pending");
  });

  it("takes a claim and an invitation once each, however many come at once", async () => {
    const server = await startPeopleServer(stage);
    const send = async (path: string, code: string, number: number) => {
      const browser = new TestBrowser(server);
      const { body } = await browser.get(path);
      const fields = { code, name: `ada${number}`, password: PASSWORD, again: PASSWORD };
      return (await browser.post(path, { ...hiddenFields(body), ...fields })).status;
    };
    const many = [0, 1, 2, 3, 4, 5];
    await server.process.untilPrinted("claim-link");
    const claim = codeOf(await claimLink(server));
    const claims = await Promise.all(many.map((number) => send("/auth/claim", claim, number)));
    expect(claims.filter((status) => status === 303)).toHaveLength(1);
    const { inviteUrl } = await server.admin("/api/users", { name: "ben" });
    const invites = await Promise.all(many.map((number) => send("/auth/invite", codeOf(inviteUrl), number)));
    expect(invites.filter((status) => status === 303)).toHaveLength(1);
    const { users } = await server.admin("/api/users");
    expect(users).toMatchObject([{ role: "admin" }, { name: "ben", role: "user" }]);
  });

  it("answers its own API and pages under its own name only, and takes no form of another site", async () => {
    const server = await startPeopleServer(stage);
    const authorization = `Bearer ${ADMIN_TOKEN}`;
    const { port, internalPort } = server;
    for (const host of ["evil.example", "cat1.localhost", "localhost.evil.example", `localhost@evil.example`]) {
      const headers = { authorization, "x-forwarded-host": `localhost:${port}` };
      for (const [at, path] of [
        [port, "/api/users"],
        [port, "/auth/sign-in"],
        [internalPort, "/locate?hostname=cat1.localhost"],
      ] as const) {
        const { status, headers: answered } = await visit(at, host, path, { headers });
        expect([host, path, [400, 404, 421].includes(status)]).toEqual([host, path, true]);
        expect(answered["set-cookie"]).toBeUndefined();
      }
    }
    const browser = await invited(server, "ben");
    const page = await browser.get("/auth/account");
    expect(page.headers["content-security-policy"]).toContain("frame-ancestors 'none'");
    for (const path of ["sign-in", "sign-out", "continue", "claim", "invite", "account", "device"]) {
      const origin = { headers: { origin: "https://evil.example", "sec-fetch-site": "cross-site" } };
      const { status } = await browser.post(`/auth/${path}`, hiddenFields(page.body), origin);
      expect([path, status]).toEqual([path, 403]);
    }
    expect((await browser.get("/auth/account")).body).toContain("ben");
    const away = await browser.get("/auth/sign-in?next=https%3A%2F%2Fevil.example");
    expect(away.location).toBe("/auth/account");
  });

  it("opens no name beyond a token's patterns, and keeps nothing that JavaScript has a word for", async () => {
    const server = await startPeopleServer(stage);
    await server.admin("/api/users", { name: "ben" });
    const { secret } = await server.admin("/api/tokens", { name: "ci", user: "ben", namePatterns: ["cat*"] });
    const env = { DUPLEXITY_TOKEN: String(secret) };
    const origin = await startHttpOrigin(stage, "hello");
    const dog = await spawnUp(stage, server.url, [`dog1:${origin.target}`], { env });
    expect((await dog.exited()).status).toBe(4);
    expect(dog.lines.at(-1)).toMatchObject({ type: "error", code: "DPX_FORBIDDEN" });
    const before = await server.admin("/api/users");
    for (const name of ["__proto__", "constructor", "\u001b[31mred", "e\u202eve", "а".repeat(5), "x".repeat(300)]) {
      await expect(server.admin("/api/users", { name })).rejects.toThrow(/^400 DPX_/);
      await expect(server.admin("/api/tokens", { name, user: "ben" })).rejects.toThrow(/^400 DPX_/);
      await expect(server.admin("/api/unban", { who: name })).rejects.toThrow(/^40[04] DPX_/);
    }
    const body = '{"name":"eve","__proto__":{"admin":true}}';
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
    expect((await fetch(`${server.url}/api/users`, { method: "POST", headers, body })).status).toBe(400);
    expect(await server.admin("/api/users")).toEqual(before);
    // What the token may, it still may.
    await startUp(stage, server.url, [`cat1:${origin.target}`], { env });
    expect((await visit(server.port, "cat1.localhost", "/hello")).body).toBe("hello");
  });

  it("takes a login by the address that it has printed, and by no other name", async () => {
    const server = await startPeopleServer(stage);
    const login = await spawnDuplexity(stage, ["login", server.url, "--no-browser", "--json"]);
    const { url } = await login.nextLine("authorize");
    expect(new URL(String(url)).origin).toBe(server.origin);
    for (const host of ["evil.example", `127.0.0.1:${server.port}.evil.example`, "127.0.0.1:1"]) {
      const path = "/auth/.well-known/openid-configuration";
      expect([host, (await visit(server.port, host, path)).status]).not.toEqual([host, 200]);
    }
  });

  it("is waited for by login --device no longer than until Ctrl-C", async () => {
    const server = await startPeopleServer(stage);
    const login = await spawnDuplexity(stage, ["login", server.origin, "--device", "--json"]);
    await login.nextLine("device");
    login.kill("SIGINT");
    // The server lets it ask every five seconds only.
    expect(await login.exited(3_000)).toEqual({ status: 130, signal: null });
  });

  it("says within a second or so that Redis is silent, and not where it is", async () => {
    const redis = await startRedisServer(stage);
    const server = await startPeopleServer(stage, { redisPort: redis.port });
    const browser = await invited(server, "ben");
    redis.signal("SIGSTOP");
    const startedAt = performance.now();
    const answers = await Promise.all([
      visit(server.port, "localhost", "/api/users", {
        ...{ method: "POST", body: '{"name":"zoe"}' },
        headers: { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" },
      }),
      browser.get("/auth/account"),
      // Whoever it is: the keys cannot be read.
      visit(server.port, "localhost", "/api/whoami", {
        headers: { authorization: "Bearer eyJhbGciOiJFUzI1NiIsImtpZCI6IngifQ.e30.AAAA" },
      }),
    ]);
    expect(performance.now() - startedAt).toBeLessThan(barMs(4_000));
    for (const { status, body } of answers) {
      expect(status).toBe(503);
      expect(body).toContain("DPX_STORE");
      expect(body).not.toContain(String(redis.port));
    }
    redis.signal("SIGCONT");
    await expect.poll(async () => (await browser.get("/auth/account")).status).toBe(200);
  });
});
