// Users and tokens by the API: who may make and end them, what is shown, and what happens to their clients.

import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import type { HandClient } from "../hub/stage.ts";
import { reach, upAndLive } from "../hub/steps.ts";
import { ADMIN_TOKEN, startApi } from "./stage.ts";

const stage = useStage();

describe("/api/users", () => {
  it("adds an account with an invite link, lists it, and writes down who did it", async () => {
    const api = await startApi(stage);
    const body = { name: "Tim", admin: true, namePatterns: ["Tim-*"] };
    const answer = await api.post("/api/users", body, api.tokenOf("ana"));
    const createdAt = new Date(api.clock.now).toISOString();
    const user = { name: "tim", role: "admin", namePatterns: ["tim-*"], state: "invited", createdAt };
    expect(answer).toMatchObject({ status: 200, body: { v: 1, user } });
    const code = answer.body.inviteUrl.replace("http://test/auth/invite#", "");
    expect(await api.accounts.invited(code)).toMatchObject({ name: "tim" });
    expect(Date.parse(answer.body.expiresAt)).toBe(api.clock.now + 7 * 86_400_000);
    const { users } = (await api.get("/api/users", ADMIN_TOKEN)).body;
    expect(users.map((row: { name: string }) => row.name)).toEqual(["ana", "ben", "eva", "tim"]);
    expect(users[3]).toEqual(user);
    expect(await api.told()).toEqual(["user-add ana tim"]);
    const [event] = await api.audit.read(1);
    expect(JSON.stringify(event)).not.toContain(code);
  });

  it("says how each one signs in", async () => {
    const api = await startApi(stage);
    const { code } = await api.accounts.invite(api.accounts.byName("ben")?.userId ?? "");
    await api.accounts.acceptInvite(code, "a long enough password");
    await api.accounts.signInOutside({ issuer: "https://id.test", subject: "1", name: "out", isAdmin: false });
    const { users } = (await api.get("/api/users", ADMIN_TOKEN)).body;
    const states = users.map(({ name, state }: { name: string; state: string }) => `${name} ${state}`);
    expect(states).toEqual(["ana invited", "ben active", "eva invited", "out outside"]);
  });

  it.each([
    [{ name: "ben" }, 409, "DPX_EXISTS"],
    [{ name: "no spaces" }, 400, "DPX_USAGE"],
    [{ name: "__proto__" }, 400, "DPX_USAGE"],
    [{ name: "tim", namePatterns: ["a.b"] }, 400, "DPX_USAGE"],
    [{ name: "tim", namePatterns: [] }, 400, "DPX_REQUEST_INVALID"],
    [{ name: "tim", isAdmin: true }, 400, "DPX_REQUEST_INVALID"],
    [{ name: "tim", admin: "yes" }, 400, "DPX_REQUEST_INVALID"],
  ])("refuses to add %j", async (body, status, code) => {
    const api = await startApi(stage);
    expect(await api.post("/api/users", body, ADMIN_TOKEN)).toMatchObject({ status, body: { error: { code } } });
    expect(api.accounts.all()).toHaveLength(3);
    expect(await api.told()).toEqual([]);
  });

  it("removes one with all tokens, and ends the clients at once", async () => {
    const api = await startApi(stage);
    const ben = api.accounts.byName("ben")?.userId ?? "";
    const { secret } = await api.tokens.create(ben, { name: "ci", namePatterns: null, expiresAt: null });
    const person = api.client(api.tokenOf("ben"));
    const machine = api.client(secret);
    const eva = api.client(api.tokenOf("eva"));
    await upAndLive(person, "cat1");
    await upAndLive(machine, "cat2");
    await upAndLive(eva, "dog1");
    expect(await api.post("/api/users/remove", { name: "BEN" }, api.tokenOf("ana"))).toMatchObject({ status: 200 });
    for (const client of [person, machine]) {
      expect(await client.control?.closed).toMatchObject({ code: "DPX_AUTH_INVALID" });
    }
    expect(api.hub.hub.statistics.clients).toBe(1);
    await expect(api.client(secret).openControl()).rejects.toMatchObject({ status: 401 });
    await reach(api.hub, "dog1.test");
    expect(await api.told()).toEqual(["user-remove ana ben"]);
  });

  it("frees the names of one that is removed for everybody, and keeps those of a revoked token its owner's", async () => {
    const api = await startApi(stage);
    const ben = api.accounts.byName("ben")?.userId ?? "";
    const { token, secret } = await api.tokens.create(ben, { name: "ci", namePatterns: null, expiresAt: null });
    const machine = api.client(secret);
    await upAndLive(machine, "cat1", "cat2");
    const eva = (): HandClient => api.client(api.tokenOf("eva"));
    const taken = { pipes: [{ status: "refused", code: "DPX_NAME_TAKEN" }] };
    const isFree = (hostname: string): Promise<unknown> =>
      poll(() => api.hub.hub.routes.locate(hostname) === null, 5_000, "the route to go", 2);
    expect(await eva().up("cat1")).toMatchObject(taken);
    await api.post("/api/tokens/revoke", { token: token.tokenId }, ADMIN_TOKEN);
    await isFree("cat1.test");
    expect(await eva().up("cat1")).toMatchObject(taken);
    await upAndLive(api.client(api.tokenOf("ben")), "cat1");
    await api.post("/api/users/remove", { name: "ben" }, api.tokenOf("ana"));
    await isFree("cat1.test");
    for (const name of ["cat1", "cat2"]) await upAndLive(eva(), name);
    for (const name of ["cat1.test", "cat2.test"]) await reach(api.hub, name);
    expect(await api.client(api.tokenOf("ana")).up("cat1")).toMatchObject(taken);
  });

  it("invites again, also for a lost password: the link before is void, and it is written down", async () => {
    const api = await startApi(stage);
    const codeIn = (answer: { body: { inviteUrl: string } }) =>
      answer.body.inviteUrl.replace("http://test/auth/invite#", "");
    const invite = () => api.post("/api/users/invite", { name: "Ben" }, api.tokenOf("ana"));
    const first = await invite();
    expect(first).toMatchObject({ status: 200, body: { v: 1, user: { name: "ben", state: "invited" } } });
    const second = await invite();
    expect(await api.accounts.invited(codeIn(first))).toBeNull();
    await api.accounts.acceptInvite(codeIn(second), "a long enough password");
    const third = await invite();
    expect(third).toMatchObject({ body: { user: { state: "active" } } });
    expect(Date.parse(third.body.expiresAt)).toBe(api.clock.now + 7 * 86_400_000);
    // Who was not told of the link is not kept out by it.
    expect(await api.accounts.checkPassword("ben", "a long enough password")).not.toBeNull();
    await api.accounts.acceptInvite(codeIn(third), "another long password");
    expect(await api.accounts.checkPassword("ben", "a long enough password")).toBeNull();
    expect(await api.told()).toEqual(Array(3).fill("invite ana ben"));
    const events = await api.audit.read(3);
    expect(events.map(({ detail }) => detail?.split(",")[0])).toEqual(["anew", "anew", "to set a new password"]);
    expect(JSON.stringify(events)).not.toContain(codeIn(third));
  });

  it("invites nobody whom nobody knows, nobody of another provider, and for nobody but an admin", async () => {
    const api = await startApi(stage);
    await api.accounts.signInOutside({ issuer: "https://id.test", subject: "1", name: "out", isAdmin: false });
    const invite = (name: string, token: string) => api.post("/api/users/invite", { name }, token);
    expect(await invite("bem", ADMIN_TOKEN)).toMatchObject({
      status: 404,
      body: { error: { code: "DPX_NOT_FOUND", hint: "Nearest: ben." } },
    });
    expect(await invite("out", ADMIN_TOKEN)).toMatchObject({ status: 400, body: { error: { code: "DPX_USAGE" } } });
    expect(await invite("eva", api.tokenOf("ben"))).toMatchObject({ status: 403 });
    expect(await api.told()).toEqual([]);
  });

  it("takes a dot at the end of a name for part of it", async () => {
    const api = await startApi(stage);
    expect(await api.post("/api/users", { name: "ben." }, ADMIN_TOKEN)).toMatchObject({ status: 200 });
    expect(await api.post("/api/users/remove", { name: "ben." }, ADMIN_TOKEN)).toMatchObject({
      status: 200,
      body: { removed: "ben." },
    });
    expect(api.accounts.byName("ben")).not.toBeNull();
  });

  it("removes neither the asker, nor the last admin, nor whom nobody knows", async () => {
    const api = await startApi(stage);
    const remove = (name: string, token: string) => api.post("/api/users/remove", { name }, token);
    expect(await remove("ana", api.tokenOf("ana"))).toMatchObject({
      status: 400,
      body: { error: { code: "DPX_USAGE" } },
    });
    expect(await remove("ana", ADMIN_TOKEN)).toMatchObject({ status: 403, body: { error: { code: "DPX_FORBIDDEN" } } });
    expect(await remove("bem", ADMIN_TOKEN)).toMatchObject({
      status: 404,
      body: { error: { message: 'Cannot remove "bem": there is no such user', hint: "Nearest: ben." } },
    });
    expect(api.accounts.all()).toHaveLength(3);
    expect(await api.told()).toEqual([]);
  });
});

describe("/api/tokens", () => {
  it("makes a token for oneself, whose secret is told once and works within its patterns", async () => {
    const api = await startApi(stage);
    const body = { name: "ci", namePatterns: ["cat*"], ttlMs: 60_000 };
    const answer = await api.post("/api/tokens", body, api.tokenOf("ben"));
    const { secret } = answer.body;
    const token = {
      ...{ tokenId: expect.stringMatching(/^t_/), name: "ci", user: "ben", namePatterns: ["cat*"], lastUsedAt: null },
      createdAt: new Date(api.clock.now).toISOString(),
      expiresAt: new Date(api.clock.now + 60_000).toISOString(),
    };
    expect(answer).toMatchObject({ status: 200, body: { v: 1, token } });
    expect(secret).toMatch(/^dpx_[\w-]{43}$/);
    const client = api.client(secret);
    expect(await client.up("dog1")).toMatchObject({ pipes: [{ code: "DPX_FORBIDDEN" }] });
    expect(await api.client(secret).up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
    const listed = await api.get("/api/tokens", api.tokenOf("ben"));
    expect(listed.body.tokens).toMatchObject([{ name: "ci", user: "ben" }]);
    expect(JSON.stringify([listed.body, await api.audit.read(9), await api.store.list("")])).not.toContain(secret);
    expect(await api.told()).toEqual(["token-create ben ben@ci"]);
  });

  it("shows each person their own, an admin all, and lets only an admin make one for another", async () => {
    const api = await startApi(stage);
    const make = (body: object, token: string) => api.post("/api/tokens", body, token);
    expect(await make({ name: "b1" }, api.tokenOf("ben"))).toMatchObject({ status: 200 });
    expect(await make({ name: "b2", user: "BEN" }, api.tokenOf("ben"))).toMatchObject({ status: 200 });
    expect(await make({ name: "e1", user: "eva" }, ADMIN_TOKEN)).toMatchObject({ status: 200 });
    for (const user of ["eva", "nobody"]) {
      expect(await make({ name: "x", user }, api.tokenOf("ben"))).toMatchObject({
        status: 403,
        body: { error: { code: "DPX_FORBIDDEN", message: `Cannot make a token for "${user}": only an admin may` } },
      });
    }
    expect(await make({ name: "x" }, ADMIN_TOKEN)).toMatchObject({
      status: 400,
      body: { error: { code: "DPX_USAGE" } },
    });
    expect(await make({ name: "x", user: "nobody" }, ADMIN_TOKEN)).toMatchObject({ status: 404 });
    expect(await make({ name: "x", ttlMs: 0 }, ADMIN_TOKEN)).toMatchObject({ status: 400 });
    const names = async (token: string) =>
      (await api.get("/api/tokens", token)).body.tokens.map(({ name }: { name: string }) => name);
    expect(await names(api.tokenOf("ben"))).toEqual(["b1", "b2"]);
    expect(await names(api.tokenOf("eva"))).toEqual(["e1"]);
    expect((await names(ADMIN_TOKEN)).sort()).toEqual(["b1", "b2", "e1"]);
  });

  it("revokes one, by name or id, and ends its clients at once", async () => {
    const api = await startApi(stage);
    const made = await api.post("/api/tokens", { name: "ci" }, api.tokenOf("ben"));
    const client = api.client(made.body.secret);
    const person = api.client(api.tokenOf("ben"));
    await upAndLive(client, "cat1");
    await upAndLive(person, "cat2");
    const revoke = (token: string, by: string) => api.post("/api/tokens/revoke", { token }, by);
    // Somebody else's is not even there.
    for (const word of ["ci", "ben@ci", made.body.token.tokenId]) {
      expect(await revoke(word, api.tokenOf("eva"))).toMatchObject({
        status: 404,
        body: { error: { code: "DPX_NOT_FOUND" } },
      });
    }
    expect(await revoke("c1", api.tokenOf("ben"))).toMatchObject({ body: { error: { hint: "Nearest: ci." } } });
    expect(await revoke("ci", api.tokenOf("ben"))).toMatchObject({ status: 200, body: { revoked: { name: "ci" } } });
    expect(await client.control?.closed).toMatchObject({ code: "DPX_AUTH_INVALID" });
    await reach(api.hub, "cat2.test");
    expect(await revoke("ci", api.tokenOf("ben"))).toMatchObject({ status: 404 });
    expect((await api.told()).slice(1)).toEqual(["token-revoke ben ben@ci"]);
  });

  it("does not guess which of several an admin means", async () => {
    const api = await startApi(stage);
    for (const user of ["ben", "eva"]) await api.post("/api/tokens", { name: "ci", user }, ADMIN_TOKEN);
    expect(await api.post("/api/tokens/revoke", { token: "ci" }, ADMIN_TOKEN)).toMatchObject({
      status: 400,
      body: { error: { code: "DPX_USAGE", hint: "Take its id from duplexity token list." } },
    });
    expect(await api.post("/api/tokens/revoke", { token: "eva@ci" }, ADMIN_TOKEN)).toMatchObject({ status: 200 });
    expect(api.tokens.all()).toHaveLength(1);
  });
});
