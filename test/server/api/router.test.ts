// What every endpoint of the API asks before it does anything: the right host, one bearer token, the right to it, JSON.

import { describe, expect, it } from "vitest";
import type { MemoryStore } from "../../../src/server/store/index.ts";
import { useStage } from "../../support/stage.ts";
import { startHub } from "../hub/stage.ts";
import { ADMIN_TOKEN, send, startApi } from "./stage.ts";

const stage = useStage();

const ADMINS_ONLY = [
  ["GET", "/api/bans", null],
  ["GET", "/api/users", null],
  ["GET", "/api/audit", null],
  ["POST", "/api/kick", { who: "cat1" }],
  ["POST", "/api/unban", { who: "cat1" }],
  ["POST", "/api/users", { name: "tim" }],
  ["POST", "/api/users/invite", { name: "eva" }],
  ["POST", "/api/users/remove", { name: "eva" }],
] as const;
const PERSONS_ONLY = [
  ["GET", "/api/tokens", null],
  ["POST", "/api/tokens", { name: "ci2" }],
  ["POST", "/api/tokens/revoke", { token: "ci" }],
] as const;

describe("The API", () => {
  it("says who one is: a person, a machine, the admin token", async () => {
    const api = await startApi(stage);
    const ben = api.accounts.byName("ben");
    const { secret } = await api.tokens.create(ben?.userId ?? "", {
      ...{ name: "ci", namePatterns: ["cat*"], expiresAt: api.clock.now + 1_000 },
    });
    expect((await api.get("/api/whoami", api.tokenOf("ana"))).body).toEqual({
      ...{ v: 1, user: "ana", role: "admin", owner: "ana", namePatterns: null },
      expiresAt: new Date(api.clock.now + 3_600_000).toISOString(),
    });
    expect((await api.get("/api/whoami", secret)).body).toEqual({
      ...{ v: 1, user: "ben", role: "user", owner: "ben@ci", namePatterns: ["cat*"] },
      expiresAt: new Date(api.clock.now + 1_000).toISOString(),
    });
    expect((await api.get("/api/whoami?x=1", ADMIN_TOKEN)).body).toEqual({
      ...{ v: 1, user: "admin", role: "admin", owner: "admin", namePatterns: null, expiresAt: null },
    });
  });

  it("lets one owner ask so often, whatever they show, and says when again; others go on", async () => {
    const api = await startApi(stage, { api: { points: 3, durationMs: 60_000 } });
    const ben = api.accounts.byName("ben")?.userId ?? "";
    const { secret } = await api.tokens.create(ben, { name: "ci", namePatterns: null, expiresAt: null });
    for (const token of [secret, api.tokenOf("ben"), secret]) {
      expect((await api.get("/api/whoami", token)).status).toBe(200);
    }
    const late = await api.get("/api/whoami", api.tokenOf("ben"));
    expect(late).toMatchObject({ status: 429, body: { error: { code: "DPX_RATE_LIMIT" } } });
    const seconds = Number(late.headers["retry-after"]);
    expect([seconds > 50 && seconds <= 60, late.body.error.hint]).toEqual([true, `Try again in ${seconds} s.`]);
    expect((await api.get("/api/whoami", api.tokenOf("eva"))).status).toBe(200);
  });

  it("answers so many who show nothing of this server's from one address, and keeps nobody else there out", async () => {
    const api = await startApi(stage, { "api-refused": { points: 3, durationMs: 60_000 } });
    for (const token of ["nonsense", undefined, `dpx_${"a".repeat(43)}`]) {
      expect((await api.get("/api/whoami", token)).status).toBe(401);
    }
    expect(await api.get("/api/whoami", "nonsense")).toMatchObject({
      status: 429,
      headers: { "retry-after": expect.stringMatching(/^\d+$/) },
    });
    expect((await api.get("/api/whoami", api.tokenOf("ben"))).status).toBe(200);
  });

  it("tells of two lists of patterns each pair that counts", async () => {
    const api = await startApi(stage);
    const tim = await api.accounts.create({ name: "tim", isAdmin: false, namePatterns: ["cat*", "dog*"] });
    const { secret } = await api.tokens.create(tim.userId, { name: "ci", namePatterns: ["*1"], expiresAt: null });
    expect((await api.get("/api/whoami", secret)).body.namePatterns).toEqual(["cat* & *1", "dog* & *1"]);
  });

  it.each(ADMINS_ONLY)("refuses %s %s to whoever is no admin", async (method, path, body) => {
    const api = await startApi(stage);
    const ana = api.accounts.byName("ana")?.userId ?? "";
    const machine = await api.tokens.create(ana, { name: "ci", namePatterns: null, expiresAt: null });
    const before = await snapshot(api.store);
    for (const token of [api.tokenOf("ben"), machine.secret]) {
      const answer = method === "GET" ? await api.get(path, token) : await api.post(path, body, token);
      expect(answer).toMatchObject({ status: 403, headers: { "duplexity-error": "DPX_FORBIDDEN" } });
    }
    for (const token of [undefined, "", "wrong-token", "dpx_", `${ADMIN_TOKEN}x`, "__proto__"]) {
      const answer = method === "GET" ? await api.get(path, token) : await api.post(path, body, token);
      expect(answer.status).toBe(401);
      expect(answer.headers["www-authenticate"]).toBe('Bearer realm="duplexity"');
    }
    expect(await snapshot(api.store)).toEqual(before);
    expect(await api.told()).toEqual([]);
  });

  it.each(PERSONS_ONLY)("refuses %s %s to a machine's token", async (method, path, body) => {
    const api = await startApi(stage);
    const ben = api.accounts.byName("ben")?.userId ?? "";
    const { secret } = await api.tokens.create(ben, { name: "ci", namePatterns: null, expiresAt: null });
    const answer = method === "GET" ? await api.get(path, secret) : await api.post(path, body, secret);
    expect(answer).toMatchObject({
      status: 403,
      body: {
        error: {
          code: "DPX_FORBIDDEN",
          message: `Cannot serve ${method} ${path} to ben@ci: it is a machine's token`,
          hint: "Sign in as a person: duplexity login.",
        },
      },
    });
    expect(api.tokens.all()).toHaveLength(1);
  });

  it("has no admins on a server without accounts", async () => {
    const hub = await startHub(stage);
    for (const [method, path, body] of [...ADMINS_ONLY, ...PERSONS_ONLY]) {
      const client = hub.client();
      const { authorizationFor } = await import("../../../src/client/index.ts");
      const url = new URL(path, "http://test");
      const answer = await send(hub.port, {
        ...{ method, path, content: body === null ? null : JSON.stringify(body) },
        headers: {
          Authorization: await authorizationFor({ url, method, key: client.key }),
          "Content-Type": "application/json",
        },
      });
      expect(answer).toMatchObject({
        status: 403,
        body: { error: { message: `Cannot serve ${method} ${path}: this server has no accounts (--no-auth)` } },
      });
    }
  });

  it.each(["evil.example", "test.evil.example", "cat1.test", "test@evil", "test:80:80", "[::1", "__proto__"])(
    "refuses the Host %j, under which a web page could ask",
    async (host) => {
      const api = await startApi(stage);
      const answer = await api.get("/api/whoami", ADMIN_TOKEN, { Host: host });
      expect(answer).toMatchObject({ status: 421, headers: { "duplexity-error": "DPX_REQUEST_INVALID" } });
    },
  );

  it.each(["test", "TEST.", "test:8080", "localhost:1", "127.0.0.1", "[::1]:8080"])(
    "takes the Host %j",
    async (host) => {
      const api = await startApi(stage);
      expect(await api.get("/api/whoami", ADMIN_TOKEN, { Host: host })).toMatchObject({ status: 200 });
    },
  );

  it("takes no cookie for a token, and no second Authorization", async () => {
    const api = await startApi(stage);
    const cookie = `token=${ADMIN_TOKEN}; Authorization=Bearer ${ADMIN_TOKEN}`;
    expect(await api.get("/api/whoami", undefined, { Cookie: cookie })).toMatchObject({ status: 401 });
    expect(await api.get(`/api/whoami?access_token=${ADMIN_TOKEN}`)).toMatchObject({ status: 401 });
  });

  it.each([
    ["GET", "/api", 404],
    ["GET", "/api/", 404],
    ["GET", "/api/nothing", 404],
    ["GET", "//evil/api/whoami", 404],
    ["GET", "/api/__proto__", 404],
    ["GET", "/api/kick", 405],
    ["POST", "/api/whoami", 405],
    ["DELETE", "/api/users", 405],
    ["PUT", "/api/kick", 405],
    ["HEAD", "/api/whoami", 200],
    ["HEAD", "/api/unban", 405],
  ])("answers %s %s with %i", async (method, path, status) => {
    const api = await startApi(stage);
    const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
    const answer = await send(api.hub.port, { method, path, content: null, headers });
    expect(answer.status).toBe(status);
    const allowed = path === "/api/users" ? "GET, HEAD, POST" : path === "/api/whoami" ? "GET, HEAD" : "POST";
    if (status === 405) expect(answer.headers.allow).toBe(allowed);
  });

  it.each([
    ["not JSON", "{", {}, 400],
    ["no object", "[]", {}, 400],
    ["null", "null", {}, 400],
    ["empty", "", {}, 400],
    ["a form's type", '{"who":"cat1"}', { "Content-Type": "text/plain" }, 415],
    ["no type", '{"who":"cat1"}', { "Content-Type": "" }, 415],
    ["too long", JSON.stringify({ who: "x".repeat(16_400) }), {}, 413],
    ["without who", "{}", {}, 400],
    ["a number for who", '{"who":1}', {}, 400],
    ["an empty who", '{"who":"  "}', {}, 400],
    ["an endless who", JSON.stringify({ who: "x".repeat(254) }), {}, 400],
    ["another field", '{"who":"cat1","force":true}', {}, 400],
    ["a prototype", '{"who":"cat1","__proto__":{"dryRun":true}}', {}, 400],
    ["a bad time", '{"who":"cat1","banMs":0}', {}, 400],
    ["a time of words", '{"who":"cat1","banMs":"soon"}', {}, 400],
    ["a time beyond all", '{"who":"cat1","banMs":9e15}', {}, 400],
    ["a long reason", JSON.stringify({ who: "cat1", reason: "x".repeat(257) }), {}, 400],
    ["a bad dryRun", '{"who":"cat1","dryRun":"yes"}', {}, 400],
  ] as const)("refuses a body that is %s", async (_what, body, headers, status) => {
    const api = await startApi(stage);
    await api.client(api.tokenOf("ben")).up("cat1");
    const answer = await api.post("/api/kick", body, ADMIN_TOKEN, headers);
    expect([answer.status, answer.body.error.code]).toEqual([status, "DPX_REQUEST_INVALID"]);
    expect(api.hub.hub.statistics.clients).toBe(1);
    expect(await api.told()).toEqual([]);
  });

  it("does not tell what a defect of its own says", async () => {
    const api = await startApi(stage);
    api.audit.read = () => Promise.reject(new TypeError("secret is not a function"));
    expect(await api.get("/api/audit", ADMIN_TOKEN)).toMatchObject({
      status: 500,
      body: { error: { code: "DPX_INTERNAL", message: "Cannot serve the request: the server failed" } },
    });
    expect(api.hub.log).toContain("error The API failed: secret is not a function");
  });
});

/** All that is kept, except when a token was used last. */
async function snapshot(store: Pick<MemoryStore, "list">): Promise<string> {
  return JSON.stringify(await store.list("")).replace(/"lastUsedAt":(null|\d+)/g, "");
}
