// Who may come in and who may stay: bans, name patterns, proofs that end, fresh tokens, looked at in every door.

import { describe, expect, it } from "vitest";
import { type Ban, type BanSubject, Bans } from "../../../src/server/accounts/index.ts";
import { MemoryStore } from "../../../src/server/store/index.ts";
import { useStage } from "../../support/stage.ts";
import { deferred, poll } from "../../support/wait.ts";
import { SlowRegistry } from "./slow-registry.ts";
import { type HandClient, startHub } from "./stage.ts";
import { reach, routeTo, upAndLive } from "./steps.ts";
import { TokenBook, userIdOf } from "./token-book.ts";

const stage = useStage();
const START = 1_800_000_000_000;
const BEN: BanSubject = { kind: "user", userId: userIdOf("ben"), name: "ben" };
const CAT1: BanSubject = { kind: "hostname", hostname: "cat1.test" };

function banOf(subject: BanSubject, until: number | null = null): Ban {
  return { subject, by: "ana", reason: "spam", at: START, until };
}

/** A hub with real bans, a person ben with the token "ben", and a clock that stands still. */
async function start(options: { readonly renewEveryMs?: number } = {}) {
  const clock = { now: START };
  const authenticator = new TokenBook();
  authenticator.add("ben", authenticator.person("ben"));
  authenticator.add("eva", authenticator.person("eva"));
  const store = new MemoryStore();
  const admission = await Bans.open({ store, now: () => clock.now });
  stage.defer(() => admission.close());
  const registry = new SlowRegistry();
  const fixed = { authenticator, admission, registry, now: () => clock.now };
  // Nothing ends by a renewal unless the test asks for one.
  const hub = await startHub(stage, { ...fixed, renewEveryMs: options.renewEveryMs ?? 600_000 });
  const ben = (clientId?: string): HandClient =>
    hub.client({ token: "ben", ...(clientId === undefined ? {} : { clientId }) });
  return { ...{ hub, ben, clock, authenticator, registry }, bans: admission };
}

describe("A ban of a user", () => {
  it("refuses the upgrade to control and to the dialer, with who, why and until when", async () => {
    const { bans, ben, hub } = await start();
    const inside = ben();
    const { ticket } = await inside.discover();
    await bans.add(banOf(BEN, Date.UTC(2030, 0, 1)));
    const message = "Cannot let you in: ben is banned by ana until 2030-01-01T00:00:00.000Z: spam";
    const refusal = { status: 403, code: "DPX_BANNED", body: { error: { code: "DPX_BANNED", message } } };
    await expect(ben().openControl()).rejects.toMatchObject(refusal);
    await expect(inside.upgrade(ticket)).rejects.toMatchObject(refusal);
    await hub.client({ token: "eva" }).up("cat1");
  });

  it("refuses the discovery on a control socket that was open before", async () => {
    const { bans, ben } = await start();
    const client = ben();
    const control = await client.openControl();
    await bans.add(banOf(BEN));
    control.send(client.discovery());
    expect(await control.next("error")).toMatchObject({ code: "DPX_BANNED" });
    expect(await control.closed).toMatchObject({ code: "DPX_BANNED" });
    expect(control.closeCode).toBe(4403);
  });

  it("refuses the dialRequest of a dialer that was open before", async () => {
    const { bans, ben, hub } = await start();
    const client = ben();
    const connection = await client.upgrade((await client.discover()).ticket);
    const closed = new Promise((resolve) => {
      connection.handler = { onText() {}, onBinary() {}, onDrain() {}, onClose: (_code, reason) => resolve(reason) };
    });
    await bans.add(banOf(BEN));
    connection.sendText(
      JSON.stringify({
        type: "dialRequest",
        clientId: client.clientId,
        pipes: [{ name: "cat1", protocol: "http" }],
        wants: [],
      }),
    );
    expect(await closed).toContain("DPX_BANNED");
    expect(hub.hub.statistics.routes).toBe(0);
  });

  it("that comes while pipes are registered leaves none of them, even when nobody is told of it", async () => {
    const { bans, ben, hub, registry } = await start();
    const client = ben();
    registry.hold("cat1.test");
    const { closed } = await client.dial((await client.discover()).ticket, ["cat1"]);
    await registry.held;
    await bans.add(banOf(BEN));
    registry.release();
    expect(await client.registered()).toMatchObject({ pipes: [{ status: "refused", code: "DPX_BANNED" }] });
    expect(await closed).toMatchObject({ code: "DPX_BANNED" });
    expect(hub.hub.routes.locate("cat1.test")).toBeNull();
    expect(await registry.locate("cat1.test")).toBeNull();
  });

  it("ends its clients at the next renewal, although every message was lost", async () => {
    const { bans, ben, hub } = await start({ renewEveryMs: 20 });
    const client = ben();
    const idle = ben();
    await upAndLive(client, "cat1");
    await idle.discover();
    await bans.add(banOf(BEN));
    expect(await client.control?.next("error")).toMatchObject({ code: "DPX_BANNED" });
    expect(await client.control?.closed).toMatchObject({ code: "DPX_BANNED" });
    expect(await idle.control?.closed).toMatchObject({ code: "DPX_BANNED" });
    await poll(() => hub.hub.statistics.clients === 0, 5_000, "no client", 2);
    expect(hub.hub.routes.locate("cat1.test")).toBeNull();
    expect(client.sessions[0]?.isLive).toBe(false);
  });

  it.each<[string, BanSubject]>([
    ["of the user", BEN],
    ["of a hostname", CAT1],
    ["of the client", { kind: "client", clientId: "client-of-ben" }],
  ])("%s ends its clients at once where it is enforced, and no other", async (_whose, subject) => {
    const { bans, ben, hub } = await start();
    stage.defer(bans.onAdded((ban) => void hub.hub.enforce(ban)));
    const client = ben("client-of-ben");
    const eva = hub.client({ token: "eva" });
    await upAndLive(client, "cat1");
    await upAndLive(eva, "dog1");
    await bans.add(banOf(subject, START + 60_000));
    expect(hub.hub.statistics.clients).toBe(1);
    expect(await client.control?.next("forceDisconnectRequest")).toEqual({
      ...{ type: "forceDisconnectRequest", code: "DPX_KICKED", by: "ana", reason: "spam" },
      until: new Date(START + 60_000).toISOString(),
    });
    expect(await client.control?.closed).toMatchObject({ code: "DPX_KICKED" });
    expect(hub.hub.routes.locate("cat1.test")).toBeNull();
    await reach(hub, "dog1.test");
  });

  it("is over when it is over", async () => {
    const { bans, ben, clock } = await start();
    await bans.add(banOf(BEN, START + 1_000));
    await expect(ben().openControl()).rejects.toMatchObject({ code: "DPX_BANNED" });
    clock.now += 1_000;
    expect(await ben().up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
  });
});

describe("A ban of a hostname", () => {
  it("refuses whoever registers it, under any spelling, and nothing else", async () => {
    const { bans, ben } = await start();
    await bans.add(banOf(CAT1));
    for (const name of ["cat1", "CAT1", "cat1.test", "Cat1.TEST."]) {
      const message = 'Cannot open "cat1.test": "cat1.test" is banned by ana for good: spam';
      expect(await ben().up("dog1", name)).toMatchObject({ pipes: [{ name, code: "DPX_BANNED", message }] });
    }
    expect(await ben().up("dog1", "cat2")).toMatchObject({ pipes: [{ status: "registered" }, {}] });
  });

  it("ends at the next renewal who holds it", async () => {
    const { bans, ben } = await start({ renewEveryMs: 20 });
    const client = ben();
    const other = ben();
    await upAndLive(client, "cat1", "cat2");
    await upAndLive(other, "cat3");
    await bans.add(banOf(CAT1));
    expect(await client.control?.closed).toMatchObject({ code: "DPX_BANNED" });
    expect(other.control?.closeCode).toBe(0);
  });
});

describe("A ban of a client", () => {
  it("refuses its clientId at discovery and its dialer's ticket", async () => {
    const { bans, ben } = await start();
    const client = ben("client-banned");
    const { ticket } = await client.discover();
    await bans.add(banOf({ kind: "client", clientId: "client-banned" }));
    await expect(client.upgrade(ticket)).rejects.toMatchObject({ status: 403, code: "DPX_BANNED" });
    const control = await client.openControl();
    control.send(client.discovery());
    expect(await control.closed).toMatchObject({ code: "DPX_BANNED" });
    expect(await ben("client-other").up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
  });
});

describe("Name patterns", () => {
  it("refuse what none of them matches, and say what would be allowed", async () => {
    const { authenticator, hub } = await start();
    const token = authenticator.add("ci", authenticator.machine("ben", "ci", { namePatterns: [["cat*"]] }));
    expect(await hub.client({ token }).up("cat1", "dog1")).toMatchObject({
      pipes: [
        {
          ...{ name: "dog1", code: "DPX_FORBIDDEN", message: 'Cannot register "dog1": ben@ci may open cat*' },
          hint: "Take a name that is cat*, or ask an admin for more.",
        },
      ],
    });
    expect(await hub.client({ token }).up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
  });

  it("of account and token count both", async () => {
    const { authenticator, hub } = await start();
    const namePatterns = [["ben-*", "cat1"], ["*-ci"]];
    const token = authenticator.add("ci", authenticator.machine("ben", "ci", { namePatterns }));
    expect(await hub.client({ token }).up("ben-x")).toMatchObject({
      pipes: [{ message: 'Cannot register "ben-x": ben@ci may open ben-* or cat1 and at once *-ci' }],
    });
    expect(await hub.client({ token }).up("cat1")).toMatchObject({ pipes: [{ code: "DPX_FORBIDDEN" }] });
    expect(await hub.client({ token }).up("ben-ci")).toMatchObject({ pipes: [{ status: "registered" }] });
  });

  it("that have become narrower end the client at the next renewal", async () => {
    const { authenticator, ben } = await start({ renewEveryMs: 20 });
    const client = ben();
    await upAndLive(client, "dog1");
    authenticator.add("ben", authenticator.person("ben", { namePatterns: [["cat*"]] }));
    expect(await client.control?.closed).toMatchObject({ code: "DPX_FORBIDDEN" });
  });
});

describe("A machine's token", () => {
  it("cannot go on with its owner's client, nor dial with its ticket", async () => {
    const { authenticator, ben, hub } = await start();
    const token = authenticator.add("ci", authenticator.machine("ben", "ci", { namePatterns: [["cat*"]] }));
    const client = ben();
    await upAndLive(client, "dog1");
    const { ticket } = await client.discover();
    const thief = hub.client({ token, clientId: client.clientId });
    const control = await thief.openControl();
    control.send(thief.discovery());
    expect(await control.closed).toMatchObject({ code: "DPX_CLIENT_ID" });
    await expect(thief.upgrade(ticket)).rejects.toMatchObject({ code: "DPX_TICKET_INVALID" });
    await reach(hub, "dog1.test");
  });
});

describe("A proof that ends", () => {
  it("lets the client stay for a minute more, then ends it; its name stays its owner's", async () => {
    const { authenticator, ben, hub, clock } = await start({ renewEveryMs: 10 });
    authenticator.add("ben", authenticator.person("ben", { expiresAt: START + 1_000 }));
    const client = ben();
    await upAndLive(client, "cat1");
    clock.now = START + 60_999;
    hub.hub.judgeAll();
    await reach(hub, "cat1.test");
    clock.now = START + 61_000;
    expect(await client.control?.next("error")).toEqual({
      ...{ type: "error", code: "DPX_AUTH_INVALID", hint: "Sign in again: duplexity login." },
      message: "Cannot let this client stay: the token of ben has ended, and no fresh one came",
    });
    expect(await client.control?.closed).toMatchObject({ code: "DPX_AUTH_INVALID" });
    expect(client.control?.closeCode).toBe(4401);
    await poll(() => hub.hub.statistics.clients === 0, 5_000, "no client", 2);
    expect(await hub.client({ token: "eva" }).up("cat1")).toMatchObject({ pipes: [{ code: "DPX_NAME_TAKEN" }] });
    // Not a kick: with a fresh proof the same client comes back.
    authenticator.add("ben", authenticator.person("ben", { expiresAt: START + 1_000_000 }));
    client.vanish();
    expect(await client.up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
  });

  it("is followed by a fresh token: nothing is cut", async () => {
    const { authenticator, ben, hub, clock } = await start();
    authenticator.add("ben", authenticator.person("ben", { expiresAt: START + 1_000 }));
    authenticator.add("ben-2", authenticator.person("ben", { expiresAt: START + 1_000_000 }));
    const client = ben();
    await upAndLive(client, "cat1");
    client.control?.send({ type: "tokenRefresh", token: "ben-2" });
    // Answered after it, in order.
    await client.discover();
    clock.now = START + 999_999;
    hub.hub.judgeAll();
    await reach(hub, "cat1.test");
    expect(client.sessions).toHaveLength(1);
    clock.now = START + 1_060_000;
    hub.hub.judgeAll();
    expect(await client.control?.closed).toMatchObject({ code: "DPX_AUTH_INVALID" });
  });

  it("is followed by the one that the next control socket shows", async () => {
    const { authenticator, ben, hub, clock } = await start();
    authenticator.add("ben", authenticator.person("ben", { expiresAt: START + 1_000 }));
    authenticator.add("ben-2", authenticator.person("ben", { expiresAt: START + 1_000_000 }));
    const client = ben();
    await upAndLive(client, "cat1");
    client.token = "ben-2";
    await client.discover(await client.openControl());
    clock.now = START + 999_999;
    hub.hub.judgeAll();
    await reach(hub, "cat1.test");
  });

  it("whose account is gone ends its clients, at once where it is asked for", async () => {
    const { authenticator, ben, hub } = await start();
    const client = ben();
    await upAndLive(client, "cat1");
    authenticator.revoke("ben");
    hub.hub.judgeAll();
    expect(await client.control?.closed).toMatchObject({
      code: "DPX_AUTH_INVALID",
      message: "Cannot let this client stay: the account or token of ben is no more",
    });
    expect(hub.hub.statistics.clients).toBe(0);
  });

  it("whose account goes while its pipes are registered does not come in, although nobody is told of it", async () => {
    const { authenticator, ben, hub, registry } = await start();
    const client = ben();
    registry.hold("cat1.test");
    const { closed } = await client.dial((await client.discover()).ticket, ["cat1"]);
    await registry.held;
    authenticator.revoke("ben");
    registry.release();
    expect(await client.control?.closed).toMatchObject({ code: "DPX_AUTH_INVALID" });
    expect(await closed).toMatchObject({ code: "DPX_AUTH_INVALID" });
    await poll(async () => (await registry.locate("cat1.test")) === null, 5_000, "the name to be free", 2);
    expect(hub.hub.statistics.clients).toBe(0);
  });
});

describe("tokenRefresh", () => {
  it.each([
    ["another owner's", "eva", "DPX_FORBIDDEN"],
    ["a machine's of the same owner", "ci", "DPX_FORBIDDEN"],
    ["one that does not hold", "forged", "DPX_AUTH_INVALID"],
    ["a prototype's name", "__proto__", "DPX_AUTH_INVALID"],
  ])("is refused with %s token; the session goes on as who it was", async (_whose, token, code) => {
    const { authenticator, ben, hub } = await start();
    authenticator.add("ci", authenticator.machine("ben", "ci"));
    const client = ben();
    await upAndLive(client, "cat1");
    client.control?.send({ type: "tokenRefresh", token });
    expect(await client.control?.next("error")).toMatchObject({ code });
    expect(await client.control?.closed).toMatchObject({ code });
    await reach(hub, "cat1.test");
    expect(hub.hub.find("ben").clients).toHaveLength(1);
    expect(hub.hub.find("eva").clients).toEqual([]);
  });

  it("of who is banned ends the client", async () => {
    const { bans, ben, hub } = await start();
    const client = ben();
    await upAndLive(client, "cat1");
    await bans.add(banOf(BEN));
    client.control?.send({ type: "tokenRefresh", token: "ben" });
    expect(await client.control?.next("error")).toMatchObject({ code: "DPX_BANNED" });
    await client.control?.closed;
    expect(hub.hub.statistics.clients).toBe(0);
    expect(client.sessions[0]?.isLive).toBe(false);
  });

  it("of several only the newest counts, in whatever order they are looked at", async () => {
    const { authenticator, ben, hub, clock } = await start();
    const slow = deferred<void>();
    authenticator.add("ben-1", authenticator.person("ben", { expiresAt: START + 1_000 }));
    authenticator.add("ben-2", authenticator.person("ben", { expiresAt: START + 1_000_000 }));
    const client = ben();
    await upAndLive(client, "cat1");
    authenticator.beforeRefresh = () => slow.promise;
    client.control?.send({ type: "tokenRefresh", token: "ben-1" });
    await client.discover();
    authenticator.beforeRefresh = async () => {};
    client.control?.send({ type: "tokenRefresh", token: "ben-2" });
    await client.discover();
    slow.resolve();
    await client.discover();
    clock.now = START + 999_999;
    hub.hub.judgeAll();
    await reach(hub, "cat1.test");
  });

  it("that is looked at when the client was kicked brings nobody back", async () => {
    const { authenticator, ben, hub } = await start();
    const slow = deferred<void>();
    const client = ben();
    await upAndLive(client, "cat1");
    authenticator.beforeRefresh = () => slow.promise;
    client.control?.send({ type: "tokenRefresh", token: "ben" });
    await client.discover();
    await hub.hub.kick({ who: "ben", by: "ana", reason: "", until: null });
    slow.resolve();
    await client.control?.closed;
    await hub.settled();
    expect(hub.hub.routes.locate("cat1.test")).toBeNull();
  });
});

describe("A clientId", () => {
  it("waits for the names that the one before it still has to give back", async () => {
    const { authenticator, ben, hub, registry } = await start();
    const client = ben();
    await upAndLive(client, "cat1");
    registry.holdRemoval("cat1.test");
    authenticator.revoke("ben");
    hub.hub.judgeAll();
    await registry.held;
    authenticator.add("ben", authenticator.person("ben"));
    const { ticket } = await client.discover(await client.openControl());
    await client.dial(ticket, ["cat1"]);
    await poll(() => hub.own.unauthenticated === 0, 5_000, "the dialRequest", 2);
    // Passes over everything that was said before it.
    await client.discover();
    registry.release();
    expect(await client.registered()).toMatchObject({ pipes: [{ status: "registered" }] });
    await reach(hub, "cat1.test");
    expect(routeTo(hub, "cat1.test").state).toBe("up");
  });

  it.each(["__proto__", "constructor"])("may be called %s", async (clientId) => {
    const { ben, hub } = await start();
    const client = ben(clientId);
    expect(await client.up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
    expect(await hub.hub.kick({ who: clientId, by: "ana", reason: "", until: null })).toMatchObject([{ clientId }]);
  });
});
