// Kicks and bans by the API: what is answered, what is kept, what is in the audit log.

import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { reach, upAndLive } from "../hub/steps.ts";
import { ADMIN_TOKEN, startApi } from "./stage.ts";

const stage = useStage();
const HOUR = 3_600_000;

/** ana's API, ben up with cat1 and eva with dog1. */
async function start() {
  const api = await startApi(stage);
  const [ben, eva] = [api.client(api.tokenOf("ben")), api.client(api.tokenOf("eva"))];
  await upAndLive(ben, "cat1");
  await upAndLive(eva, "dog1");
  const row = { clientId: ben.clientId, user: "ben", hub: "node-1", pipes: ["cat1.test"] };
  const kick = (body: object, token = api.tokenOf("ana")) => api.post("/api/kick", body, token);
  return { api, ben, eva, row, kick };
}

describe("POST /api/kick", () => {
  it.each(["clientId", "cat1.test", "CAT1", "ben", "user:ben"])(
    "ends who is meant by %s, and no other",
    async (who) => {
      const { api, ben, row, kick } = await start();
      const answer = await kick({ who: who === "clientId" ? ben.clientId : who, reason: "too loud" });
      expect(answer).toMatchObject({ status: 200, body: { v: 1, clients: [row], until: null } });
      expect(api.hub.hub.routes.locate("cat1.test")).toBeNull();
      expect(await ben.control?.next("forceDisconnectRequest")).toMatchObject({
        ...{ code: "DPX_KICKED", by: "ana", reason: "too loud", until: null },
      });
      expect(await ben.control?.closed).toMatchObject({ message: "ana kicked this client: too loud" });
      await reach(api.hub, "dog1.test");
      const [event, ...more] = await api.audit.read(10);
      expect(more).toEqual([]);
      expect(event).toEqual({
        ...{ auditId: answer.body.auditId, at: new Date(api.clock.now).toISOString(), action: "kick", by: "ana" },
        whom: who === "clientId" ? ben.clientId : who,
        ...{ from: "127.0.0.1", detail: `too loud (${ben.clientId} of ben)` },
      });
    },
  );

  it("only shows who would be hit when it is asked to, and keeps nothing", async () => {
    const { api, row, kick } = await start();
    const answer = await kick({ who: "ben", banMs: HOUR, dryRun: true });
    const until = new Date(api.clock.now + HOUR).toISOString();
    expect(answer.body).toEqual({ v: 1, clients: [row], until, auditId: null });
    expect([api.bans.all(), await api.told()]).toEqual([[], []]);
    await reach(api.hub, "cat1.test");
  });

  it.each([
    ["cat2", "Nearest: cat1."],
    ["dog", "Nearest: dog1."],
    ["bem", "Nearest: ben."],
    ["cat1.tesst", "Nearest: cat1.test."],
    ["something else", "See duplexity list."],
    ["__proto__", "See duplexity list."],
    ["x".repeat(253), "See duplexity list."],
  ])("knows no %s, and says what is near: %s", async (who, hint) => {
    const { api, kick } = await start();
    expect(await kick({ who })).toMatchObject({
      status: 404,
      body: {
        error: { code: "DPX_NOT_FOUND", message: `Cannot kick "${who}": no client, pipe or user is called so`, hint },
      },
    });
    expect(api.hub.hub.statistics.clients).toBe(2);
    expect(await api.told()).toEqual([]);
  });

  it("with a ban keeps the user out at once and until then, under any clientId", async () => {
    const { api, ben, row, kick } = await start();
    const until = new Date(api.clock.now + HOUR).toISOString();
    const answer = await kick({ who: "ben", banMs: HOUR, reason: "spam" });
    expect(answer.body).toMatchObject({ clients: [row], until });
    expect(await ben.control?.next("forceDisconnectRequest")).toMatchObject({ code: "DPX_KICKED", until });
    const refusal = { status: 403, code: "DPX_BANNED" };
    await expect(api.client(api.tokenOf("ben")).openControl()).rejects.toMatchObject(refusal);
    expect(await api.get("/api/whoami", api.tokenOf("ben"))).toMatchObject({ status: 403 });
    expect(await api.told()).toEqual(["ban ana user ben", "kick ana ben"]);
    expect((await api.get("/api/bans", ADMIN_TOKEN)).body).toEqual({
      v: 1,
      bans: [
        {
          ...{ kind: "user", name: "ben", by: "ana", reason: "spam" },
          ...{ at: new Date(api.clock.now).toISOString(), until },
        },
      ],
    });
    api.clock.now += HOUR;
    expect(await api.client(api.tokenOf("ben")).up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
    await reach(api.hub, "dog1.test");
  });

  it.each([
    ["a hostname", "cat1", { kind: "hostname", name: "cat1.test" }],
    ["a client", "clientId", { kind: "client" }],
    ["a user", "ben", { kind: "user", name: "ben" }],
  ])("bans %s by what it was found by, for ever where that is asked for", async (_what, word, ban) => {
    const { api, ben, row, kick } = await start();
    const who = word === "clientId" ? ben.clientId : word;
    const answer = await kick({ who, banMs: "forever" });
    expect(answer.body).toMatchObject({ clients: [row], until: null });
    expect(await ben.control?.next("forceDisconnectRequest")).toMatchObject({ until: "9999-12-31T23:59:59.999Z" });
    expect((await api.get("/api/bans", ADMIN_TOKEN)).body.bans).toMatchObject([{ ...ban, until: null }]);
  });

  it("bans a known user or a name that nobody has, too; of two the user", async () => {
    const { api, kick } = await start();
    await api.accounts.create({ name: "tim", isAdmin: false, namePatterns: null });
    for (const [who, whom] of [
      ["tim", "user tim"],
      ["cat9", "hostname cat9.test"],
      ["Cat8.TEST", "hostname cat8.test"],
      ["c0123456789abcdef0123", "client c0123456789abcdef0123"],
    ] as const) {
      const answer = await kick({ who, banMs: HOUR });
      expect(answer).toMatchObject({ status: 200, body: { clients: [], auditId: expect.stringMatching(/^a_/) } });
      expect((await api.told()).at(-1)).toBe(`ban ana ${whom}`);
    }
    for (const who of ["www", "nobody@ci", "a.b.c", "user:nobody", "__proto__"]) {
      expect(await kick({ who, banMs: HOUR })).toMatchObject({
        status: 404,
        body: { error: { code: "DPX_NOT_FOUND" } },
      });
    }
    expect(api.bans.all()).toHaveLength(4);
    expect(await api.client(api.tokenOf("eva")).up("cat8")).toMatchObject({ pipes: [{ code: "DPX_BANNED" }] });
  });

  it("bans neither the asker nor a token by its name", async () => {
    const { api, kick } = await start();
    const ben = api.accounts.byName("ben")?.userId ?? "";
    const { secret } = await api.tokens.create(ben, { name: "ci", namePatterns: null, expiresAt: null });
    await upAndLive(api.client(secret), "cat3");
    await upAndLive(api.client(ADMIN_TOKEN), "cat4");
    for (const who of ["ana", "ben@ci", "admin"]) {
      expect(await kick({ who, banMs: HOUR })).toMatchObject({ status: 400, body: { error: { code: "DPX_USAGE" } } });
    }
    expect(api.bans.all()).toEqual([]);
    expect(api.hub.hub.statistics.clients).toBe(4);
    expect((await kick({ who: "ben@ci" })).body.clients).toMatchObject([{ user: "ben@ci", pipes: ["cat3.test"] }]);
    expect((await kick({ who: "ben" })).body.clients).toMatchObject([{ user: "ben", pipes: ["cat1.test"] }]);
  });

  it("does not ban a user for a pipe that is called like one", async () => {
    const { api, kick } = await start();
    await api.accounts.create({ name: "cat1", isAdmin: false, namePatterns: null });
    const user = api.client(api.tokenOf("cat1"));
    await upAndLive(user, "mouse1");
    expect(await kick({ who: "cat1", banMs: HOUR })).toMatchObject({
      status: 400,
      body: { error: { code: "DPX_USAGE" } },
    });
    expect((await kick({ who: "cat1.test", banMs: HOUR })).body.clients).toMatchObject([{ user: "ben" }]);
    expect((await kick({ who: "user:cat1", banMs: HOUR })).body.clients).toMatchObject([{ user: "cat1" }]);
    expect(api.bans.all().map(({ subject }) => subject.kind)).toEqual(["hostname", "user"]);
    await reach(api.hub, "dog1.test");
  });

  it("lets nobody slip in between ban and kick, however many try", async () => {
    const { api, kick } = await start();
    const token = api.tokenOf("ben");
    let isOver = false;
    const trying = Array.from({ length: 8 }, async (_, index) => {
      while (!isOver) {
        const client = api.client(token);
        await client.up(`mouse${index}`).catch(() => {});
        client.vanish();
      }
    });
    await poll(() => api.hub.hub.find("ben").clients.length > 3, 5_000, "some clients of ben", 1);
    await kick({ who: "user:ben", banMs: HOUR });
    const left = api.hub.hub.find("ben").clients;
    isOver = true;
    await Promise.all(trying);
    expect(left).toEqual([]);
    await poll(() => api.hub.hub.statistics.controls === 1, 5_000, "only eva's socket", 2);
    expect(api.hub.hub.find("ben").clients).toEqual([]);
  });

  it("bounds what it writes into the audit log", async () => {
    const { api, kick } = await start();
    for (let index = 0; index < 30; index += 1) await api.client(api.tokenOf("ben")).up(`mouse${index}`);
    expect((await kick({ who: "ben" })).body.clients).toHaveLength(31);
    const [event] = await api.audit.read(1);
    expect(event?.detail).toMatch(/^client-\d+ of ben, (client-\d+ of ben, ){7}23 more$/);
  });
});

describe("POST /api/unban", () => {
  it("lifts the bans of a user, a hostname or a client, and says which", async () => {
    const { api, ben, kick } = await start();
    const unban = (who: string) => api.post("/api/unban", { who }, api.tokenOf("ana"));
    const until = new Date(api.clock.now + HOUR).toISOString();
    await kick({ who: "ben", banMs: HOUR });
    await kick({ who: "cat7", banMs: "forever" });
    expect((await unban("ben")).body).toEqual({ v: 1, lifted: [{ kind: "user", name: "ben", until }] });
    expect((await unban("cat7.test")).body).toEqual({
      ...{ v: 1, lifted: [{ kind: "hostname", name: "cat7.test", until: null }] },
    });
    // The ban is lifted; the kick itself still holds for that very client.
    expect(await api.client(api.tokenOf("ben")).up("cat1", "cat7")).toMatchObject({
      pipes: [{ status: "registered" }, {}],
    });
    const control = await ben.openControl();
    control.send(ben.discovery());
    expect(await control.closed).toMatchObject({ code: "DPX_KICKED" });
    expect((await api.told()).slice(-2)).toEqual(["unban ana user ben", "unban ana hostname cat7.test"]);
  });

  it("knows no ban that is not there, and says what is near", async () => {
    const { api, kick } = await start();
    await kick({ who: "ben", banMs: HOUR });
    expect(await api.post("/api/unban", { who: "bem" }, ADMIN_TOKEN)).toMatchObject({
      status: 404,
      body: { error: { message: 'Cannot lift the ban of "bem": there is none', hint: "Nearest: ben." } },
    });
    expect(await api.post("/api/unban", { who: "__proto__" }, ADMIN_TOKEN)).toMatchObject({ status: 404 });
    expect(api.bans.all()).toHaveLength(1);
  });
});

describe("GET /api/audit", () => {
  it("answers the newest events, oldest first", async () => {
    const { api } = await start();
    for (const who of ["cat7", "cat8", "cat9"]) await api.post("/api/kick", { who, banMs: HOUR }, ADMIN_TOKEN);
    const { body } = await api.get("/api/audit?limit=2", ADMIN_TOKEN);
    expect(body.v).toBe(1);
    expect(body.events).toMatchObject([{ whom: "hostname cat8.test" }, { whom: "hostname cat9.test", by: "admin" }]);
    expect((await api.get("/api/audit", ADMIN_TOKEN)).body.events).toHaveLength(3);
    for (const limit of ["0", "-1", "x", "10001", "1e3", ""]) {
      expect(await api.get(`/api/audit?limit=${limit}`, ADMIN_TOKEN)).toMatchObject({ status: 400 });
    }
  });
});
