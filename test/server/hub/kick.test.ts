// A kick is final: at whatever moment it comes, the client is gone when it is confirmed, and stays away.

import { describe, expect, it } from "vitest";
import { newClientKey } from "../../../src/client/index.ts";
import type { DuplexityError } from "../../../src/protocol/index.ts";
import { HANG_MS } from "../../support/bars.ts";
import { useStage } from "../../support/stage.ts";
import { poll, within } from "../../support/wait.ts";
import { SlowRegistry } from "./slow-registry.ts";
import { type HandClient, type HubStage, startHub } from "./stage.ts";
import { openRequest, reach, routeTo, upAndLive } from "./steps.ts";
import { TokenBook } from "./token-book.ts";

const stage = useStage();
const WHY = { by: "ana", reason: "too loud", until: null } as const;
const MESSAGE = "ana kicked this client: too loud";
const KICKED = { code: "DPX_KICKED", message: MESSAGE };

/** What a client finds that comes back under its clientId. */
async function comeBack(client: HandClient): Promise<DuplexityError> {
  const control = await client.openControl();
  control.send(client.discovery());
  expect(await control.next("forceDisconnectRequest")).toMatchObject({ code: "DPX_KICKED", by: "ana" });
  return control.closed;
}

async function hubWithPeople(...names: string[]) {
  const authenticator = new TokenBook();
  for (const name of names) authenticator.add(name, authenticator.person(name));
  const registry = new SlowRegistry();
  const hub = await startHub(stage, { authenticator, registry });
  return { hub, registry, authenticator };
}

/** A stream to `hostname`, which must have been reached before, and the error that ends it. */
function openStream(hub: HubStage, hostname: string): Promise<DuplexityError> {
  return new Promise((resolve) => {
    const handler = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset: resolve };
    hub.hub.routes.open(routeTo(hub, hostname), openRequest(hostname), handler);
  });
}

describe("Hub.kick", () => {
  it("ends session, streams, sockets and names, tells the client why, and keeps it away", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await upAndLive(client, "cat1", "cat2");
    const { control, link } = client;
    await reach(hub, "cat1.test");
    const reset = openStream(hub, "cat1.test");
    expect(await hub.hub.kick({ who: client.clientId, ...WHY })).toEqual([
      {
        clientId: client.clientId,
        user: expect.stringMatching(/^key /),
        hub: "node-1",
        pipes: ["cat1.test", "cat2.test"],
      },
    ]);
    // Confirmed means gone: nothing is waited for here.
    expect([hub.hub.routes.locate("cat1.test"), hub.hub.routes.locate("cat2.test")]).toEqual([null, null]);
    expect(hub.hub.statistics).toMatchObject({ clients: 0, routes: 0 });
    expect(await reset).toMatchObject(KICKED);
    expect(await control?.next("forceDisconnectRequest")).toEqual({
      ...{ type: "forceDisconnectRequest", code: "DPX_KICKED", by: "ana", reason: "too loud", until: null },
    });
    expect(await control?.closed).toMatchObject(KICKED);
    expect(control?.closeCode).toBe(4403);
    await poll(() => link?.isOpen === false && client.sessions[0]?.isClosed, 5_000, "link and session to end", 2);
    expect(await comeBack(client)).toMatchObject({ code: "DPX_KICKED" });
    await hub.settled();
  });

  it("leaves the name its owner's: nobody else gets it meanwhile", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await client.up("cat1");
    await hub.hub.kick({ who: client.clientId, ...WHY });
    expect(await hub.client().up("cat1")).toMatchObject({ pipes: [{ code: "DPX_NAME_TAKEN" }] });
    expect(await hub.client({ key: client.key }).up("cat1")).toMatchObject({ pipes: [{ status: "registered" }] });
  });

  it.each([
    [null, MESSAGE, null],
    [Date.UTC(2030, 0, 2, 3, 4, 5), `${MESSAGE}. Banned until 2030-01-02 03:04 UTC`, "2030-01-02T03:04:05.000Z"],
    ["forever" as const, `${MESSAGE}. Banned for ever`, "9999-12-31T23:59:59.999Z"],
  ])("says until when: %s", async (until, message, told) => {
    const hub = await startHub(stage);
    const client = hub.client();
    await upAndLive(client, "cat1");
    const { control } = client;
    await hub.hub.kick({ ...WHY, who: client.clientId, until });
    expect(await control?.next("forceDisconnectRequest")).toMatchObject({ until: told });
    expect(await control?.closed).toMatchObject({ code: "DPX_KICKED", message });
  });

  it("finds clients by id, hostname, label and user; a token's owner has the token's clients too", async () => {
    const { hub, authenticator } = await hubWithPeople("ben", "eva");
    authenticator.add("ci", authenticator.machine("ben", "ci"));
    const ben = hub.client({ token: "ben" });
    const ci = hub.client({ token: "ci" });
    const eva = hub.client({ token: "eva" });
    await ben.up("cat1");
    await ci.up("cat2");
    await eva.up("cat3");
    const found = (who: string) => {
      const { kind, clients } = hub.hub.find(who);
      return [kind, ...clients.map(({ clientId }) => clientId)];
    };
    expect(found(ben.clientId)).toEqual(["client", ben.clientId]);
    expect(found("CAT3.test.")).toEqual(["hostname", eva.clientId]);
    expect(found("cat3")).toEqual(["hostname", eva.clientId]);
    expect(found("ben")).toEqual(["user", ben.clientId, ci.clientId]);
    expect(found("BEN")).toEqual(["user", ben.clientId, ci.clientId]);
    expect(found("user:ben")).toEqual(["user", ben.clientId, ci.clientId]);
    expect(found("ben@ci")).toEqual(["user", ci.clientId]);
    expect(hub.hub.everybody().map(({ user }) => user)).toEqual(["ben", "ben@ci", "eva"]);
    for (const nobody of ["be", "be*", "", "user:", "user:cat1", "cat", "__proto__", "constructor", "test", "@ci"]) {
      expect(found(nobody)).toEqual([null]);
      expect(await hub.hub.kick({ who: nobody, ...WHY })).toEqual([]);
    }
    expect(await hub.hub.kick({ who: "ben", ...WHY })).toHaveLength(2);
    await reach(hub, "cat3.test");
  });

  it("does not guess between a user and another's pipe of that name", async () => {
    const { hub } = await hubWithPeople("cat1", "eva");
    await hub.client({ token: "eva" }).up("cat1");
    const user = hub.client({ token: "cat1" });
    await user.up("dog1");
    expect(() => hub.hub.find("cat1")).toThrow(
      expect.objectContaining({
        code: "DPX_USAGE",
        message: 'Cannot tell who "cat1" is: a user and a pipe of another are called so',
        hint: "Write cat1.test for the pipe, user:cat1 for the user.",
      }),
    );
    expect(await hub.hub.kick({ who: "user:cat1", ...WHY })).toMatchObject([{ clientId: user.clientId }]);
    await reach(hub, "cat1.test");
  });

  it("does not wait for a client that is frozen, and destroys its sockets in bounded time", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await upAndLive(client, "cat1");
    client.control?.socket.pause();
    client.dialerSocket?.pause();
    const kicked = await within(hub.hub.kick({ who: "cat1", ...WHY }), HANG_MS, "the kick of a frozen client");
    expect(kicked).toHaveLength(1);
    expect(hub.openSockets()).toBeGreaterThan(0);
    expect(hub.hub.routes.locate("cat1.test")).toBeNull();
    // Neither close frame is ever answered: the sockets are cut.
    await poll(() => hub.openSockets() === 0, HANG_MS, "its sockets to be destroyed", 10);
  });

  it("ends 200 clients one by one, each within a second, and disturbs no other", async () => {
    const hub = await startHub(stage);
    const keys = Array.from({ length: 20 }, () => newClientKey());
    const clients: HandClient[] = [];
    for (let index = 0; index < 200; index += 20) {
      const some = keys.map((key) => hub.client({ key }));
      clients.push(...some);
      await Promise.all(some.map((client, step) => upAndLive(client, `cat${index + step}`)));
    }
    const resets: string[] = [];
    for (const index of clients.keys()) {
      const hostname = `cat${index}.test`;
      await reach(hub, hostname);
      const onReset = (error: DuplexityError) => resets.push(`${hostname} ${error.code}`);
      const handler = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset };
      hub.hub.routes.open(routeTo(hub, hostname), openRequest(hostname), handler);
    }
    for (const [index, client] of clients.entries()) {
      const kicked = await within(hub.hub.kick({ who: client.clientId, ...WHY }), HANG_MS, "a kick");
      expect(kicked).toMatchObject([{ clientId: client.clientId, pipes: [`cat${index}.test`] }]);
      // Its own stream, in this very turn, and none of anybody else's.
      expect(resets.splice(0)).toEqual([`cat${index}.test DPX_KICKED`]);
      expect(hub.hub.statistics).toMatchObject({ clients: 199 - index, routes: 199 - index });
    }
    for (const client of clients) expect(client.sessions).toHaveLength(1);
    const sample = clients.filter((_client, index) => index % 40 === 0);
    for (const client of sample) expect(await comeBack(client)).toMatchObject({ code: "DPX_KICKED" });
  }, 60_000);

  describe("leaves no way back in", () => {
    it("to a client between two links, nor to its resume", async () => {
      const hub = await startHub(stage);
      const client = hub.client();
      await upAndLive(client, "cat1");
      client.vanish();
      await poll(() => hub.hub.statistics.controls === 0, 5_000, "control to be gone", 2);
      expect(await hub.hub.kick({ who: "cat1", ...WHY })).toHaveLength(1);
      expect(await comeBack(client)).toMatchObject({ code: "DPX_KICKED" });
      expect(client.sessions[0]?.isLive).toBe(false);
      expect(hub.hub.statistics.clients).toBe(0);
    });

    it("to a resume that has its ticket already, or its dialer, or has said what it wants", async () => {
      const { hub, registry } = await hubWithPeople("ben");
      for (const step of ["ticket", "dialer", "dialRequest"]) {
        const client = hub.client({ token: "ben" });
        await upAndLive(client, "cat1");
        client.vanish();
        const { ticket } = await client.discover();
        const dialer = step === "dialer" ? await client.upgrade(ticket) : null;
        if (step === "dialRequest") registry.hold("cat1.test");
        const dial = step === "dialRequest" ? await client.dial(ticket, ["cat1"]) : null;
        if (dial !== null) await registry.held;
        const kicking = hub.hub.kick({ who: client.clientId, ...WHY });
        if (dial !== null) registry.release();
        expect(await within(kicking, 5_000, `the kick at the ${step}`)).toHaveLength(1);
        expect(hub.hub.routes.locate("cat1.test")).toBeNull();
        if (step === "ticket")
          await expect(client.upgrade(ticket)).rejects.toMatchObject({ code: "DPX_TICKET_INVALID" });
        if (dialer !== null) {
          const closed = new Promise((resolve) => {
            dialer.handler = { onText() {}, onBinary() {}, onDrain() {}, onClose: (_code, reason) => resolve(reason) };
          });
          expect(await closed).toContain(MESSAGE);
        }
        if (dial !== null) expect(await dial.closed).toMatchObject(KICKED);
        expect(await client.control?.closed).toMatchObject(KICKED);
        expect(await comeBack(client)).toMatchObject({ code: "DPX_KICKED" });
        expect(hub.hub.statistics).toMatchObject({ clients: 0, routes: 0, dialers: 0 });
      }
    });

    it("at registration: what was registered on the way is undone before it is confirmed", async () => {
      const { hub, registry } = await hubWithPeople("ben", "eva");
      const client = hub.client({ token: "ben" });
      const { ticket } = await client.discover();
      registry.hold("cat2.test");
      const { closed } = await client.dial(ticket, ["cat1", "cat2", "cat3"]);
      await registry.held;
      expect(hub.hub.routes.locate("cat1.test")).not.toBeNull();
      // By a name that it does not even hold yet.
      const kicking = hub.hub.kick({ who: "cat3", ...WHY });
      let isConfirmed = false;
      void kicking.then(() => (isConfirmed = true));
      expect(await closed).toMatchObject(KICKED);
      expect(isConfirmed).toBe(false);
      registry.release();
      expect(await kicking).toMatchObject([{ pipes: ["cat1.test", "cat2.test", "cat3.test"] }]);
      expect(hub.hub.statistics).toMatchObject({ clients: 0, routes: 0 });
      expect(await registry.locate("cat2.test")).toBeNull();
      expect(client.control?.messages.filter(({ type }) => type === "pipesAreRegisteredResponse")).toEqual([]);
    });

    it("of a client that went while it was registering: its names are gone before it is confirmed", async () => {
      const { hub, registry } = await hubWithPeople("ben");
      const client = hub.client({ token: "ben" });
      const { ticket } = await client.discover();
      registry.hold("cat2.test");
      await client.dial(ticket, ["cat1", "cat2"]);
      await registry.held;
      client.vanish();
      await poll(() => hub.hub.statistics.clients === 0, 5_000, "the client to be forgotten", 2);
      expect(hub.hub.routes.locate("cat1.test")).not.toBeNull();
      const kicking = hub.hub.kick({ who: "ben", ...WHY });
      registry.release();
      await kicking;
      expect(hub.hub.statistics).toMatchObject({ clients: 0, routes: 0 });
    });

    it("to a name that goes back to a sister who was kicked as well", async () => {
      const { hub, registry } = await hubWithPeople("ben");
      const sister = hub.client({ token: "ben" });
      await upAndLive(sister, "cat1");
      const client = hub.client({ token: "ben" });
      registry.hold("dog1.test");
      await client.dial((await client.discover()).ticket, ["cat1", "dog1"]);
      await registry.held;
      const kicking = hub.hub.kick({ who: "ben", ...WHY });
      registry.release();
      expect(await kicking).toHaveLength(2);
      expect([hub.hub.routes.locate("cat1.test"), hub.hub.routes.locate("dog1.test")]).toEqual([null, null]);
      expect(hub.hub.statistics.clients).toBe(0);
    });

    it("during a drain, in which all others may resume", async () => {
      const hub = await startHub(stage);
      const client = hub.client();
      const other = hub.client();
      await upAndLive(client, "cat1");
      await upAndLive(other, "cat2");
      hub.hub.drain(5_000);
      await client.control?.next("drainRequest");
      expect(await hub.hub.kick({ who: "cat1", ...WHY })).toHaveLength(1);
      expect(await client.control?.closed).toMatchObject(KICKED);
      expect(await comeBack(client)).toMatchObject({ code: "DPX_KICKED" });
      expect(await other.up("cat2")).toMatchObject({ pipes: [{ status: "registered" }] });
    });

    it("to what runs on after a goodbye", async () => {
      const hub = await startHub(stage);
      const client = hub.client();
      await upAndLive(client, "cat1");
      await reach(hub, "cat1.test");
      const reset = openStream(hub, "cat1.test");
      client.control?.send({ type: "clientDisconnectRequest", clientId: client.clientId, reason: "bye" });
      await poll(() => hub.hub.routes.locate("cat1.test") === null, 5_000, "the goodbye", 2);
      expect(await hub.hub.kick({ who: "cat1", ...WHY })).toHaveLength(1);
      expect(await reset).toMatchObject(KICKED);
      expect(hub.hub.statistics.clients).toBe(0);
    });
  });

  it("is confirmed to a second one only when the first is", async () => {
    const { hub, registry } = await hubWithPeople("ben");
    const client = hub.client({ token: "ben" });
    registry.hold("cat1.test");
    await client.dial((await client.discover()).ticket, ["cat1"]);
    await registry.held;
    const order: string[] = [];
    const first = hub.hub.kick({ who: "ben", ...WHY }).then(() => order.push("first"));
    const second = hub.hub.kick({ who: "ben", ...WHY }).then((kicked) => order.push(`second ${kicked.length}`));
    expect(order).toEqual([]);
    registry.release();
    await Promise.all([first, second]);
    expect(order).toEqual(["first", "second 0"]);
  });
});
