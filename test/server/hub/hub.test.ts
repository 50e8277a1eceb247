// Clients at the hub, over real sockets: how they come up, go, come back and are sent away.

import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it, vi } from "vitest";
import type { WebSocket } from "ws";
import { newClientKey } from "../../../src/client/index.ts";
import { DuplexityError, encodeMessage } from "../../../src/protocol/index.ts";
import { MemoryRegistry } from "../../../src/server/backend/index.ts";
import { type Authenticator, KeyProofAuthenticator } from "../../../src/server/identity/index.ts";
import { DEFAULT_LIMITS } from "../../../src/server/serve-options.ts";
import { useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { NO_PEOPLE } from "./no-people.ts";
import { SlowRegistry } from "./slow-registry.ts";
import { type HandClient, type HubStage, startHub } from "./stage.ts";
import { HANDLER, openRequest, reach, routeTo, upAndLive } from "./steps.ts";

const stage = useStage();
const FAST = { ...DEFAULT_LIMITS, resumeWindowMs: 150 };

/** From here on no time-out of this test's hub ends. */
function stopTimers(): void {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  stage.defer(() => void vi.useRealTimers());
}

describe("Hub", () => {
  it("takes a client up: discovery, ticket, dialer, registration, a stream", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const discovery = await client.discover();
    expect(discovery).toMatchObject({
      dataPlaneUri: `ws://127.0.0.1:${hub.port}/dialer`,
      alternatives: [],
      protocolVersion: 1,
      nodeId: "node-1",
      domain: "test",
      ticketTtlMs: 30_000,
      heartbeat: { idleMs: 10_000, timeoutMs: 5_000 },
      resumeWindowMs: 30_000,
      limits: { maxPipes: 32, maxStreams: 4_096, maxPacketBytes: 524_288 },
    });
    expect(discovery.owner).toMatch(/^key [\w-]{8}$/);
    await client.dial(discovery.ticket, ["cat1", "Dog1.TEST"], { wants: ["requests"] });
    expect((await client.registered()).pipes).toEqual([
      {
        status: "registered",
        name: "cat1",
        protocol: "http",
        hostname: "cat1.test",
        url: "http://cat1.test",
        epoch: 1,
      },
      {
        status: "registered",
        name: "Dog1.TEST",
        protocol: "http",
        hostname: "dog1.test",
        url: "http://dog1.test",
        epoch: 1,
      },
    ]);
    await reach(hub, "cat1.test");
    await poll(() => client.opened[0]?.hostname === "cat1.test", 5_000, "the stream", 2);
    expect(routeTo(hub, "cat1.test")).toMatchObject({ state: "up", wantsReports: true, clientId: client.clientId });
    expect(hub.hub.statistics).toMatchObject({
      ...{ clients: 1, controls: 1, links: 1, streams: 1 },
      ...{ dialers: 0, tickets: 0, routes: 2, waiters: 0 },
    });
    expect(hub.own.unauthenticated).toBe(0);
  });

  it("frees the names at once when the client says goodbye, and lets what runs go on", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await upAndLive(client, "cat1");
    await reach(hub, "cat1.test");
    client.control?.send({ type: "clientDisconnectRequest", clientId: client.clientId, reason: "enough" });
    await poll(() => hub.hub.routes.locate("cat1.test") === null, 5_000, "the route to go", 2);
    expect([client.link?.isOpen, client.sessions[0]?.isLive]).toEqual([true, true]);
    expect(await hub.client().up("cat1")).toMatchObject({ pipes: [{ status: "refused", code: "DPX_NAME_TAKEN" }] });
    client.vanish();
    await poll(
      () => hub.hub.statistics.clients === 0 || hub.hub.statistics.clients === 1,
      5_000,
      "the record to go",
      2,
    );
    expect(hub.log.some((line) => line.includes("leaves: enough"))).toBe(true);
  });

  it("refuses all pipes when one is taken, and leaves none behind", async () => {
    const hub = await startHub(stage);
    await hub.client().up("cat1");
    const late = hub.client();
    const { ticket } = await late.discover();
    const { closed } = await late.dial(ticket, ["dog1", "cat1", "dog2"]);
    const { pipes } = await late.registered();
    expect(pipes).toEqual([
      {
        status: "refused",
        name: "cat1",
        code: "DPX_NAME_TAKEN",
        message: expect.stringMatching(/^Cannot register "cat1": key [\w-]{8} holds it since 20/),
        hint: expect.any(String),
      },
    ]);
    expect(await closed).toMatchObject({ code: "DPX_NAME_TAKEN" });
    expect([hub.hub.routes.locate("dog1.test"), hub.hub.routes.locate("dog2.test")]).toEqual([null, null]);
    expect(hub.hub.statistics.routes).toBe(1);
  });

  it("gives a name back to the sister that lost it to a client that was refused", async () => {
    const hub = await startHub(stage);
    await hub.client().up("taken1");
    const sister = hub.client();
    await upAndLive(sister, "cat1");
    const late = hub.client({ key: sister.key });
    expect(await late.up("cat1", "taken1")).toMatchObject({ pipes: [{ status: "refused", name: "taken1" }] });
    expect(routeTo(hub, "cat1.test")).toMatchObject({ clientId: sister.clientId, state: "up", epoch: 3 });
    await reach(hub, "cat1.test");
    expect(sister.control?.messages).toEqual([]);
    expect(sister.control?.closeCode).toBe(0);
    // The new epoch is the sister's to give up.
    sister.control?.send({ type: "clientDisconnectRequest", clientId: sister.clientId, reason: "" });
    await poll(() => hub.hub.routes.locate("cat1.test") === null, 5_000, "the route to go", 2);
  });

  it.each([
    [["www"], "DPX_NAME_RESERVED"],
    [["-x"], "DPX_NAME_INVALID"],
    [["cat1.elsewhere"], "DPX_NAME_INVALID"],
    [["cat1", "CAT1.test"], "DPX_USAGE"],
    [Array.from({ length: 33 }, (_, index) => `cat${index}`), "DPX_PIPES_LIMIT"],
    [[{ name: "db1", protocol: "tcp" as const }], "DPX_TCP_PORTS"],
  ])("refuses the pipes %j with %s", async (names, code) => {
    const hub = await startHub(stage);
    const { pipes } = await hub.client().up(...names);
    expect(pipes[0]).toMatchObject({ status: "refused", code });
    expect(hub.hub.statistics.routes).toBe(0);
  });

  it("answers a request full of bad names with what fits into a message", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const { ticket } = await client.discover();
    const names = Array.from({ length: 32 }, (_, index) => `${"\u20ac".repeat(200)}${index}`);
    await client.dial(ticket, names);
    const { pipes } = await client.registered();
    expect(pipes).toHaveLength(8);
    expect(pipes[0]).toMatchObject({ status: "refused", code: "DPX_NAME_INVALID" });
  });

  it("keeps a session over a new dialer and closes the older link", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const first = await client.discover();
    const { closed } = await client.dial(first.ticket, ["cat1"]);
    await client.registered();
    await poll(() => client.sessions[0]?.isLive, 5_000, "a live session", 2);
    const { ticket } = await client.discover();
    await client.dial(ticket, ["cat1"]);
    expect((await client.registered()).pipes).toMatchObject([{ status: "registered", epoch: 1 }]);
    expect(await closed).toMatchObject({ code: "DPX_LINK_LOST", message: "A newer dialer took its place" });
    await poll(() => client.sessions[0]?.isLive, 5_000, "the session to resume", 2);
    expect(client.sessions).toHaveLength(1);
    await reach(hub, "cat1.test");
  });

  it("follows a client that comes back with other pipes", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await client.up("cat1", "cat2");
    const { ticket } = await client.discover();
    await client.dial(ticket, ["cat2", "cat3"]);
    await client.registered();
    await poll(() => hub.hub.routes.locate("cat1.test") === null, 5_000, "cat1 to go", 2);
    expect([routeTo(hub, "cat2.test").epoch, routeTo(hub, "cat3.test").epoch]).toEqual([1, 1]);
  });

  it("resumes the session of a client whose both sockets broke", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await upAndLive(client, "cat1");
    client.vanish();
    await poll(() => hub.hub.statistics.controls === 0, 5_000, "control to be gone", 2);
    expect(routeTo(hub, "cat1.test").state).toBe("up");
    expect(() => hub.hub.routes.open(routeTo(hub, "cat1.test"), openRequest("cat1.test"), HANDLER)).toThrow(
      expect.objectContaining({ code: "DPX_CLIENT_AWAY" }),
    );
    await client.up("cat1");
    await poll(() => client.sessions[0]?.isLive, 5_000, "the session to resume", 2);
    expect(client.sessions).toHaveLength(1);
  });

  it("goes on without control, and takes a new control socket in its place", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await upAndLive(client, "cat1");
    client.control?.socket.terminate();
    await poll(() => hub.hub.statistics.controls === 0, 5_000, "control to be gone", 2);
    await reach(hub, "cat1.test");
    const control = await client.openControl();
    await client.discover(control);
    const another = await client.openControl();
    await client.discover(another);
    expect(await control.closed).toMatchObject({ code: "DPX_LINK_LOST" });
    expect(hub.hub.statistics).toMatchObject({ clients: 1, controls: 1, tickets: 1 });
  });

  it("leaves a lost client's name away after the resume window, and forgets the client", async () => {
    const hub = await startHub(stage, { limits: FAST });
    const client = hub.client();
    await upAndLive(client, "cat1");
    client.vanish();
    await poll(() => hub.hub.statistics.clients === 0, 5_000, "the client to be forgotten", 5);
    expect(routeTo(hub, "cat1.test")).toMatchObject({ state: "away" });
    // The same client comes back later: a new session, the same name.
    await upAndLive(client, "cat1");
    expect(client.sessions).toHaveLength(2);
    expect(routeTo(hub, "cat1.test")).toMatchObject({ state: "up" });
    await reach(hub, "cat1.test");
  });

  it("starts a new session for a client that knows the old one no more", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await upAndLive(client, "cat1");
    const [old] = client.sessions.splice(0);
    hub.hub.routes.open(routeTo(hub, "cat1.test"), openRequest("cat1.test"), HANDLER);
    old?.close("DPX_INTERNAL", "the client forgot it");
    await poll(() => hub.hub.routes.locate("cat1.test"), 5_000, "the route", 2);
    await poll(() => routeTo(hub, "cat1.test").state === "away", 5_000, "the route to be away", 2);
    await client.up("cat1");
    await reach(hub, "cat1.test");
  });

  describe("the same owner elsewhere", () => {
    it("takes the name at once; the older client is told and ended, whatever else it held", async () => {
      const hub = await startHub(stage);
      const older = hub.client();
      await upAndLive(older, "cat1", "cat2");
      const olderControl = older.control;
      const newer = hub.client({ key: older.key });
      expect(await newer.up("cat1")).toMatchObject({ pipes: [{ status: "registered", epoch: 2 }] });
      await reach(hub, "cat1.test");
      await poll(() => newer.opened.length > 0, 5_000, "the stream at the newer client", 2);
      expect(await olderControl?.next("forceDisconnectRequest")).toMatchObject({
        code: "DPX_REPLACED",
        by: expect.stringMatching(/^key /),
        reason: "cat1.test was opened by another client of the same owner",
        until: null,
      });
      expect(await olderControl?.closed).toMatchObject({ code: "DPX_REPLACED" });
      expect(olderControl?.closeCode).toBe(4409);
      expect(older.sessions[0]?.isClosed).toBe(true);
      await poll(() => hub.hub.routes.locate("cat2.test") === null, 5_000, "cat2 to go", 2);
    });

    it("does not wait for an older client that is frozen", async () => {
      const hub = await startHub(stage);
      const older = hub.client();
      await upAndLive(older, "cat1");
      older.control?.socket.pause();
      stopTimers();
      const newer = hub.client({ key: older.key });
      await upAndLive(newer, "cat1");
      await reach(hub, "cat1.test");
    });

    it("sends the older client away again when it comes back to fight", async () => {
      const hub = await startHub(stage);
      const older = hub.client();
      await older.up("cat1");
      older.vanish();
      const newer = hub.client({ key: older.key });
      await newer.up("cat1");
      const control = await older.openControl();
      control.send(older.discovery());
      expect(await control.next("forceDisconnectRequest")).toMatchObject({ code: "DPX_REPLACED" });
      expect(await control.closed).toMatchObject({ code: "DPX_REPLACED" });
      expect(routeTo(hub, "cat1.test").clientId).toBe(newer.clientId);
    });

    it("lets one of two win who come at once, and ends the other", async () => {
      const hub = await startHub(stage);
      const key = newClientKey();
      const clients = [hub.client({ key }), hub.client({ key })];
      await Promise.all(clients.map((client) => client.up("cat1")));
      await poll(() => hub.hub.statistics.clients === 1, 5_000, "one client", 2);
      const winner = clients.find(({ clientId }) => clientId === routeTo(hub, "cat1.test").clientId);
      const loser = clients.find((client) => client !== winner);
      expect(await loser?.control?.closed).toMatchObject({ code: "DPX_REPLACED" });
      await reach(hub, "cat1.test");
      await poll(() => (winner?.opened.length ?? 0) > 0, 5_000, "the stream at the winner", 2);
    });
  });

  it("lets one of two owners win who claim a name at once", async () => {
    const hub = await startHub(stage);
    const clients = [hub.client(), hub.client()];
    const results = await Promise.all(clients.map((client) => client.up("cat1")));
    expect(results.map(({ pipes }) => pipes[0]?.status).sort()).toEqual(["refused", "registered"]);
    await reach(hub, "cat1.test");
  });

  describe("a registry that is slow", () => {
    it("registers nothing for a client that is replaced meanwhile", async () => {
      const registry = new SlowRegistry();
      const hub = await startHub(stage, { registry });
      const older = hub.client();
      const { ticket } = await older.discover();
      registry.hold("dog1.test");
      const { closed } = await older.dial(ticket, ["cat1", "dog1"]);
      await registry.held;
      const newer = hub.client({ key: older.key });
      await newer.up("cat1");
      expect(await older.control?.closed).toMatchObject({ code: "DPX_REPLACED" });
      registry.release();
      expect(await closed).toMatchObject({ code: "DPX_REPLACED" });
      await poll(() => hub.hub.routes.locate("dog1.test") === null, 5_000, "dog1 to be free again", 2);
      expect(routeTo(hub, "cat1.test")).toMatchObject({ clientId: newer.clientId, state: "up" });
    });

    it("gives no name back that a third sister has taken meanwhile", async () => {
      const registry = new SlowRegistry();
      const hub = await startHub(stage, { registry });
      const first = hub.client();
      await upAndLive(first, "cat1");
      const second = hub.client({ key: first.key });
      registry.hold("dog1.test");
      const { closed } = await second.dial((await second.discover()).ticket, ["cat1", "dog1"]);
      await registry.held;
      const third = hub.client({ key: first.key });
      await upAndLive(third, "cat1");
      registry.release();
      expect(await closed).toMatchObject({ code: "DPX_REPLACED" });
      // A kick, even of nobody, is over when all that has ended is undone.
      await hub.hub.kick({ who: "nobody", by: "", reason: "", until: null });
      expect(routeTo(hub, "cat1.test")).toMatchObject({ clientId: third.clientId, epoch: 3 });
      await reach(hub, "cat1.test");
    });

    it("registers nothing for a client that leaves meanwhile", async () => {
      const registry = new SlowRegistry();
      const hub = await startHub(stage, { registry });
      const client = hub.client();
      const { ticket } = await client.discover();
      registry.hold("cat1.test");
      await client.dial(ticket, ["cat1"]);
      await registry.held;
      client.vanish();
      await poll(() => hub.hub.statistics.controls === 0, 5_000, "control to be gone", 2);
      registry.release();
      await hub.settled();
      expect(await hub.client().up("cat1")).toMatchObject({ pipes: [{ code: "DPX_NAME_TAKEN" }] });
    });

    it("registers nothing for a client that says goodbye meanwhile", async () => {
      const registry = new SlowRegistry();
      const hub = await startHub(stage, { registry });
      const client = hub.client();
      registry.hold("cat1.test");
      const { closed } = await client.dial((await client.discover()).ticket, ["cat1"]);
      await registry.held;
      client.control?.send({ type: "clientDisconnectRequest", clientId: client.clientId, reason: "enough" });
      await poll(() => hub.log.some((line) => line.includes("leaves: enough")), 5_000, "the goodbye", 2);
      registry.release();
      expect(await closed).toMatchObject({ code: "DPX_LINK_LOST", message: "The client has left" });
      await hub.settled();
      expect([await registry.locate("cat1.test"), client.sessions.length]).toEqual([null, 0]);
    });

    it("lets only the newest of several dialers of a client go on", async () => {
      const registry = new SlowRegistry();
      const hub = await startHub(stage, { registry });
      const client = hub.client();
      registry.hold("cat1.test");
      const dials = [];
      for (let count = 0; count < 3; count += 1)
        dials.push(await client.dial((await client.discover()).ticket, ["cat1"]));
      await registry.held;
      await poll(() => hub.own.unauthenticated === 0, 5_000, "all three dialRequests", 2);
      registry.release();
      expect(await dials[1]?.closed).toMatchObject({ message: "A newer dialer took its place" });
      expect(await dials[0]?.closed).toMatchObject({ message: "A newer dialer took its place" });
      await poll(() => client.sessions[0]?.isLive, 5_000, "a live session", 2);
      expect(dials[2]?.link.isOpen).toBe(true);
      // The one in between was not even registered.
      const answers = client.control?.messages.filter(({ type }) => type === "pipesAreRegisteredResponse");
      expect(answers).toHaveLength(2);
      expect(client.sessions).toHaveLength(1);
    });

    it("answers with the registry's error, and takes the client when it works again", async () => {
      const registry = new SlowRegistry();
      const hub = await startHub(stage, { registry });
      const client = hub.client();
      registry.failNext();
      expect(await client.up("cat1")).toMatchObject({ pipes: [{ status: "refused", code: "DPX_INTERNAL" }] });
      const { ticket } = await client.discover();
      await client.dial(ticket, ["cat1"]);
      expect(await client.registered()).toMatchObject({ pipes: [{ status: "registered" }] });
    });

    it("tells nobody where the registry is that fails", async () => {
      const registry = new SlowRegistry();
      const hub = await startHub(stage, { registry });
      const client = hub.client();
      registry.failNext(new DuplexityError("DPX_STORE", "Cannot use Redis at 10.0.0.9", { hint: "Look at 10.0.0.9." }));
      const answer = await client.up("cat1");
      expect(answer).toMatchObject({ pipes: [{ status: "refused", code: "DPX_STORE" }] });
      expect(JSON.stringify(answer)).not.toContain("10.0.0.9");
    });
  });

  describe("leases", () => {
    it("are renewed as long as the session lives", async () => {
      const registry = new MemoryRegistry({ leaseMs: 1_000 });
      const hub = await startHub(stage, { registry, renewEveryMs: 10 });
      const client = hub.client();
      await upAndLive(client, "cat1");
      const { expires = 0 } = (await registry.locate("cat1.test")) ?? {};
      await poll(
        async () => ((await registry.locate("cat1.test"))?.expires ?? 0) > expires + 1_000,
        5_000,
        "renewals",
        5,
      );
      expect(routeTo(hub, "cat1.test").state).toBe("up");
    });

    it.each([
      ["the owner elsewhere", true, "DPX_REPLACED", 4409],
      ["nobody", false, "DPX_EPOCH_STALE", 4409],
    ])("that the registry has given to %s end the client", async (_whom, isSister, code, closeCode) => {
      const registry = new MemoryRegistry();
      const hub = await startHub(stage, { registry, renewEveryMs: 10 });
      const client = hub.client();
      await upAndLive(client, "cat1");
      const record = await registry.locate("cat1.test");
      if (record === null) throw new Error("no record");
      if (isSister) await registry.register({ ...record, clientId: "client-elsewhere", nodeId: "node-2" });
      else await registry.remove("cat1.test", client.clientId, record.epoch, "left");
      expect(await client.control?.closed).toMatchObject({ code });
      expect(client.control?.closeCode).toBe(closeCode);
      await poll(() => hub.hub.statistics.clients === 0, 5_000, "the client to be gone", 2);
    });
  });

  it("registers what it can of the pipes of a client that wants some without the others, and tells why not the others", async () => {
    const hub = await startHub(stage);
    const other = hub.client();
    await other.up("dog1");
    const client = hub.client();
    const { ticket } = await client.discover();
    await client.dial(ticket, ["dog1", "cat1", { name: "db", protocol: "tcp" }], { wants: ["partial"] });
    expect((await client.registered()).pipes).toMatchObject([
      { status: "registered", name: "cat1", hostname: "cat1.test" },
      { status: "refused", name: "dog1", code: "DPX_NAME_TAKEN" },
      { status: "refused", name: "db", code: "DPX_TCP_PORTS" },
    ]);
    await reach(hub, "cat1.test");
    // One that wants all of them is refused, and keeps what it has.
    const link = client.link;
    const again = await client.discover();
    const refused = await client.dial(again.ticket, ["cat1", { name: "db", protocol: "tcp" }]);
    expect((await client.registered()).pipes).toMatchObject([{ status: "refused", name: "db" }]);
    expect(await refused.closed).toMatchObject({ code: "DPX_TCP_PORTS" });
    expect([link?.isOpen, await hub.registry.locate("cat1.test")]).toMatchObject([true, { clientId: client.clientId }]);
    await reach(hub, "cat1.test");
  });

  it("refuses a client of whose pipes it can register none, whether it wants some or all", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const { ticket } = await client.discover();
    const { closed } = await client.dial(ticket, [{ name: "db", protocol: "tcp" }], { wants: ["partial"] });
    expect((await client.registered()).pipes).toMatchObject([{ status: "refused", code: "DPX_TCP_PORTS" }]);
    expect(await closed).toMatchObject({ code: "DPX_TCP_PORTS" });
  });

  describe("drain", () => {
    it("tells the clients, lets them resume, takes no new ones, and then ends them", async () => {
      const hub = await startHub(stage);
      const client = hub.client();
      await upAndLive(client, "cat1");
      hub.hub.drain(5_000);
      expect(await client.control?.next("drainRequest")).toEqual({
        type: "drainRequest",
        deadlineMs: 5_000,
        dataPlaneUris: [],
      });
      const stranger = hub.client();
      const control = await stranger.openControl();
      control.send(stranger.discovery());
      expect(await control.next("error")).toMatchObject({ code: "DPX_DRAINING" });
      await client.dial((await client.discover()).ticket, ["cat1"]);
      expect(await client.registered()).toMatchObject({ pipes: [{ status: "registered" }] });
      hub.hub.close();
      hub.hub.close();
      expect(await client.control?.closed).toMatchObject({ code: "DPX_DRAINING" });
      expect(client.control?.closeCode).toBe(4503);
    });
  });

  it("has nothing left after 500 clients came and went, in every way", async () => {
    const hub = await startHub(stage, {
      limits: { ...FAST, resumeWindowMs: 20 },
      registry: new MemoryRegistry({ graceMs: 1 }),
    });
    const key = newClientKey();
    const leave = async (index: number): Promise<void> => {
      const client = hub.client({ key });
      await comeAndGo(client, index).catch(() => {});
      client.vanish();
    };
    const comeAndGo = async (client: HandClient, index: number): Promise<void> => {
      const name = `cat${index % 7}`;
      if (index % 5 === 0) await client.openControl();
      else if (index % 5 === 1) await client.discover();
      else await client.up(name, `dog${index}`);
      if (index % 5 === 3) {
        client.control?.send({ type: "clientDisconnectRequest", clientId: client.clientId, reason: "" });
        await poll(() => hub.hub.routes.locate(`dog${index}.test`) === null, 5_000, "the goodbye", 1);
      }
    };
    for (let index = 0; index < 500; index += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, step) => leave(index + step)));
    }
    await hub.settled();
    await poll(() => hub.hub.statistics.routes === 0, 5_000, "the last grace to end", 5);
  }, 60_000);
});

describe("A control socket", () => {
  async function refusedWith(hub: HubStage, send: (socket: WebSocket, client: HandClient) => void) {
    const client = hub.client();
    const control = await client.openControl();
    send(control.socket, client);
    const error = await control.closed;
    return { code: error.code, message: error.message, closeCode: control.closeCode };
  }

  it.each([
    ["not JSON", (socket: WebSocket) => socket.send("{"), "DPX_MESSAGE_INVALID", 4400],
    ["an unknown type", (socket: WebSocket) => socket.send('{"type":"dance"}'), "DPX_MESSAGE_INVALID", 4400],
    ["binary", (socket: WebSocket) => socket.send(Buffer.from([1, 2])), "DPX_PROTOCOL", 4400],
    [
      "a message that the hub sends",
      (socket: WebSocket) => socket.send(encodeMessage({ type: "drainRequest", deadlineMs: 1, dataPlaneUris: [] })),
      "DPX_PROTOCOL",
      4400,
    ],
    [
      "a goodbye for another client",
      (socket: WebSocket) =>
        socket.send(encodeMessage({ type: "clientDisconnectRequest", clientId: "client-other", reason: "" })),
      "DPX_CLIENT_ID",
      4400,
    ],
    [
      "a token before it is known whose it is",
      (socket: WebSocket) => socket.send(encodeMessage({ type: "tokenRefresh", token: "x" })),
      "DPX_PROTOCOL",
      4400,
    ],
    [
      "another protocol version only",
      (socket: WebSocket, client: HandClient) =>
        socket.send(JSON.stringify({ ...client.discovery(), protocolVersions: [7] })),
      "DPX_PROTOCOL_VERSION",
      4426,
    ],
    [
      "two clientIds",
      (socket: WebSocket, client: HandClient) => {
        socket.send(encodeMessage(client.discovery()));
        socket.send(encodeMessage(client.discovery("client-other")));
      },
      "DPX_CLIENT_ID",
      4400,
    ],
    [
      "messages without end",
      (socket: WebSocket) => {
        for (let count = 0; count < 100; count += 1) socket.send('{"type":"later","optional":true}');
      },
      "DPX_CONTROL_RATE",
      4429,
    ],
  ])("is closed for %s", async (_what, send, code, closeCode) => {
    const hub = await startHub(stage);
    expect(await refusedWith(hub, send)).toMatchObject({ code, closeCode });
    await hub.settled();
  });

  it("is closed by ws itself for a message over 64 KiB, with the reason", async () => {
    const hub = await startHub(stage);
    const refused = await refusedWith(hub, (socket) => socket.send("x".repeat(65_537)));
    expect(refused).toEqual({
      code: "DPX_MESSAGE_TOO_LARGE",
      message: "A message has at most 65536 bytes",
      closeCode: 1009,
    });
    await hub.settled();
  });

  it("says in an error message first why it closes, and which side to upgrade", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const control = await client.openControl();
    control.send({ ...client.discovery(), protocolVersions: [2, 3] });
    expect(await control.next("error")).toEqual({
      type: "error",
      code: "DPX_PROTOCOL_VERSION",
      message: "Cannot talk: the client speaks versions 2, 3, this server 1",
      hint: "Upgrade the server.",
    });
  });

  it("ignores an unknown message that is marked optional", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const control = await client.openControl();
    control.socket.send('{"type":"later","optional":true}');
    await client.discover(control);
  });

  it("is refused a clientId that is another owner's", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    await client.up("cat1");
    const thief = hub.client({ clientId: client.clientId });
    const control = await thief.openControl();
    control.send(thief.discovery());
    expect(await control.closed).toMatchObject({ code: "DPX_CLIENT_ID" });
    expect(client.control?.closeCode).toBe(0);
  });

  it("is refused when the server has all the clients that it takes", async () => {
    const hub = await startHub(stage, { limits: { ...DEFAULT_LIMITS, maxClients: 2 } });
    await hub.client().discover();
    await hub.client().discover();
    const third = hub.client();
    const control = await third.openControl();
    control.send(third.discovery());
    expect(await control.closed).toMatchObject({ code: "DPX_CLIENTS_LIMIT" });
  });

  it("is probed when it is silent, and dropped when no answer comes", async () => {
    const limits = { ...DEFAULT_LIMITS, heartbeatIdleMs: 40, heartbeatTimeoutMs: 1_000 };
    const hub = await startHub(stage, { limits });
    const client = hub.client();
    await client.discover();
    // ws answers pings by itself: it lives on through many of them.
    let pings = 0;
    client.control?.socket.on("ping", () => (pings += 1));
    await poll(() => pings >= 3, 5_000, "pings", 5);
    expect(hub.hub.statistics.controls).toBe(1);
    client.control?.socket.pause();
    await poll(() => hub.hub.statistics.controls === 0, 5_000, "the drop", 5);
  });
});

describe("A dialer", () => {
  async function refusal(run: Promise<unknown>): Promise<{ status: number; code: string; body: unknown }> {
    return run.then(
      () => {
        throw new Error("it was accepted");
      },
      (error) => error,
    );
  }

  it("is refused without a ticket, with a made-up one, and with a used one", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const { ticket } = await client.discover();
    await client.dial(ticket, ["cat1"]);
    for (const bad of ["", "x".repeat(32), ticket]) {
      const answer = await refusal(client.upgrade(bad));
      expect(answer).toMatchObject({
        status: 401,
        code: "DPX_TICKET_INVALID",
        body: { error: { code: "DPX_TICKET_INVALID", hint: "Send another discoveryRequest." } },
      });
    }
  });

  it("is refused with a ticket that is late", async () => {
    const hub = await startHub(stage, { ticketTtlMs: 1 });
    const client = hub.client();
    const { ticket } = await client.discover();
    const ends = performance.now() + 1;
    await poll(() => performance.now() > ends, 5_000, "the ticket's end", 1);
    expect(await refusal(client.upgrade(ticket))).toMatchObject({ code: "DPX_TICKET_INVALID" });
  });

  it("is refused with the ticket before the last, and with one whose control socket is gone", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const first = await client.discover();
    const second = await client.discover();
    expect(await refusal(client.upgrade(first.ticket))).toMatchObject({ code: "DPX_TICKET_INVALID" });
    client.control?.socket.terminate();
    await poll(() => hub.hub.statistics.controls === 0, 5_000, "control to be gone", 2);
    expect(await refusal(client.upgrade(second.ticket))).toMatchObject({ code: "DPX_TICKET_INVALID" });
  });

  it("is refused with another identity's ticket, and with another client's", async () => {
    const hub = await startHub(stage);
    const client = hub.client();
    const thief = hub.client();
    const { ticket } = await client.discover();
    expect(await refusal(thief.upgrade(ticket))).toMatchObject({ status: 401, code: "DPX_TICKET_INVALID" });
    const sister = hub.client({ key: client.key });
    await sister.discover();
    const next = await client.discover();
    const { closed } = await client.dial(next.ticket, ["cat1"], { clientId: sister.clientId });
    expect(await closed).toMatchObject({
      code: "DPX_TICKET_INVALID",
      message: "Cannot take the dialer: its ticket is another client's",
    });
    expect(hub.hub.statistics.routes).toBe(0);
  });

  it.each([
    [
      "a packet first",
      (connection: { sendBinary(parts: Buffer[], bytes: number): void }) =>
        connection.sendBinary([Buffer.alloc(40)], 26),
      "DPX_PROTOCOL",
    ],
    [
      "another message",
      (connection: { sendText(text: string): void }) => connection.sendText('{"type":"tokenRefresh","token":"x"}'),
      "DPX_PROTOCOL",
    ],
    [
      "nonsense",
      (connection: { sendText(text: string): void }) => connection.sendText("nonsense"),
      "DPX_MESSAGE_INVALID",
    ],
  ])("is closed for %s", async (_what, send, code) => {
    const hub = await startHub(stage);
    const client = hub.client();
    const connection = await client.upgrade((await client.discover()).ticket);
    const closed = new Promise<string>((resolve) => {
      connection.handler = { onText() {}, onBinary() {}, onDrain() {}, onClose: (_code, reason) => resolve(reason) };
    });
    send(connection);
    expect(await closed).toContain(code);
    client.vanish();
    await hub.settled();
  });
});

describe("Sockets that do not say who they are", () => {
  it("are closed when nothing comes: bare, after the upgrade to control, and to the dialer", async () => {
    const hub = await startHub(stage, { idleSocketMs: 700 });
    const bare = connect(hub.port, "127.0.0.1");
    await once(bare, "close");
    const client = hub.client();
    const control = await client.openControl();
    expect(await control.closed).toMatchObject({ code: "DPX_IDLE_SOCKET" });
    expect(control.closeCode).toBe(4408);
    await client.openControl();
    const connection = await client.upgrade((await client.discover()).ticket);
    const closed = new Promise<string>((resolve) => {
      connection.handler = { onText() {}, onBinary() {}, onDrain() {}, onClose: (_code, reason) => resolve(reason) };
    });
    expect(await closed).toContain("DPX_IDLE_SOCKET");
    // The control socket that said who it is stays.
    expect(hub.hub.statistics.controls).toBe(1);
  });

  it("are not closed while the server itself takes longer for its answer", async () => {
    const keys = new KeyProofAuthenticator();
    const authenticator: Authenticator = {
      challenge: keys.challenge,
      current: (identity) => keys.current(identity),
      authenticateToken: () => keys.authenticateToken(),
      authenticate: async (claim) => ({
        ...(await keys.authenticate(claim)),
        isAdmin: true,
        proof: { kind: "admin-token" },
      }),
    };
    const lookUpByName = () => delay(3_000, null);
    const people = { ...NO_PEOPLE, accounts: { ...NO_PEOPLE.accounts, lookUpByName } };
    const hub = await startHub(stage, { idleSocketMs: 1_500, authenticator, people });
    const authorization = await hub.client().authorization("/api/users/invite", "POST");
    const headers = { authorization, "content-type": "application/json" };
    const answer = await fetch(`${hub.url}/api/users/invite`, { method: "POST", body: '{"name":"ben"}', headers });
    expect(answer.status).toBe(404);
    await hub.settled();
  });

  it.each([
    ["Sec-WebSocket-Key", { "Sec-WebSocket-Key": "short" }],
    ["Sec-WebSocket-Protocol", { "Sec-WebSocket-Protocol": "duplexity.v1, duplexity.v1" }],
  ])("get our code for a malformed %s", async (_name, malformed) => {
    const hub = await startHub(stage);
    const { port } = hub;
    const headers = {
      Authorization: await hub.client().authorization("/control"),
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Version": "13",
      "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
      "Sec-WebSocket-Protocol": "duplexity.v1",
      ...malformed,
    };
    const answer = await new Promise<IncomingMessage>((resolve, reject) => {
      get({ host: "127.0.0.1", port, path: "/control", headers }, resolve).on("error", reject);
    });
    expect([answer.statusCode, answer.headers["duplexity-error"]]).toEqual([400, "DPX_PROTOCOL"]);
    answer.resume();
    await poll(() => hub.own.unauthenticated === 0, 5_000, "an empty lobby", 2);
  });

  it("leave with their refusal, although they stay for a moment", async () => {
    const hub = await startHub(stage, { maxUnauthenticated: 2 });
    // It may linger for a while: without that while's end it does so for ever.
    stopTimers();
    // Half open, so that the server's end does not close it.
    const refused = connect({ port: hub.port, host: "127.0.0.1", allowHalfOpen: true });
    stage.defer(() => refused.destroy());
    refused.write("GET /control HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    let answer = "";
    refused.setEncoding("latin1").on("data", (text: string) => (answer += text));
    await once(refused, "end");
    expect(answer).toMatch(/^HTTP\/1\.1 401 /);
    await poll(() => hub.own.unauthenticated === 0, 5_000, "an empty lobby", 2);
    expect(refused.destroyed).toBe(false);
  });

  it("are capped: one more gets 503, until one leaves or says who it is", async () => {
    const hub = await startHub(stage, { maxUnauthenticated: 2 });
    const client = hub.client();
    await client.openControl();
    const bare = connect(hub.port, "127.0.0.1");
    await poll(() => hub.own.unauthenticated === 2, 5_000, "two in the lobby", 2);
    const third = connect(hub.port, "127.0.0.1");
    let answer = "";
    third.setEncoding("latin1").on("data", (text: string) => (answer += text));
    await once(third, "close");
    expect(answer).toMatch(
      /^HTTP\/1\.1 503 [\s\S]*Duplexity-Error: DPX_UNAUTHENTICATED_LIMIT\r\n[\s\S]*Retry-After: 2\r\n/,
    );
    await client.discover();
    expect(hub.own.unauthenticated).toBe(1);
    bare.destroy();
    await poll(() => hub.own.unauthenticated === 0, 5_000, "an empty lobby", 2);
    await hub.client().discover();
  });
});
