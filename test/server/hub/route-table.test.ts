// The table that the proxy asks: synchronous, replaced whole, and a bounded number who wait for a change.

import { afterEach, describe, expect, it } from "vitest";
import { DuplexityError, newSessionId, Session } from "../../../src/protocol/index.ts";
import { MemoryRegistry } from "../../../src/server/backend/index.ts";
import type { Registration, Registry, RegistryRecord } from "../../../src/server/backend/registry.ts";
import { MAX_ASKED } from "../../../src/server/hub/route-lookups.ts";
import { RouteTable } from "../../../src/server/hub/route-table.ts";
import type { Route } from "../../../src/server/routes.ts";

const HANDLER = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset() {} };
const CAT = {
  hostname: "cat1.test",
  protocol: "http" as const,
  clientId: "client-a",
  ownerId: "ben-id",
  ownerName: "ben",
  nodeId: "node-1",
  wantsReports: false,
};
const OPEN = { hostname: "cat1.test", protocol: "http" as const, visitor: "", isTls: false };

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

function make(maxWaiters = 2) {
  const registry = new MemoryRegistry({ tcpPorts: { from: 20_000, to: 20_001 } });
  const changes: [Route | null, Route | null][] = [];
  const session = new Session({ role: "opener", id: newSessionId(), onClose: () => {} });
  const table = new RouteTable({
    registry,
    sessionOf: ({ clientId }) => (clientId === "client-a" ? session : null),
    maxWaiters,
    onChange: (previous, next) => changes.push([previous, next]),
  });
  endings.push(() => {
    table.close();
    session.close("DPX_CANCELLED", "the test is over");
    void registry.close();
  });
  return { registry, table, changes, session };
}

function known(table: RouteTable, hostname: string): Route {
  const route = table.locate(hostname);
  if (route === null || route instanceof Promise) throw new Error(`no route to ${hostname}`);
  return route;
}

async function registered(registry: Registry, registration: Registration): Promise<RegistryRecord> {
  const result = await registry.register(registration);
  if (result.status !== "registered") throw new Error(`${registration.hostname} is taken`);
  return result.record;
}

/** One that has to ask, and a registry whose watch tells nothing. */
function makeAsking({ answeredAt, graceMs }: { readonly answeredAt?: number; readonly graceMs?: number } = {}) {
  const registry = new MemoryRegistry();
  const asked: string[] = [];
  let isDown = false;
  let now = 0;
  const silent: Registry = {
    register: (registration) => registry.register(registration),
    renewAll: (held) => registry.renewAll(held),
    locate: async (hostname) => {
      asked.push(hostname);
      await Promise.resolve();
      if (isDown) throw new DuplexityError("DPX_STORE", "The registry cannot be reached");
      return registry.locate(hostname);
    },
    remove: (...args) => registry.remove(...args),
    list: (ownerId, limit) => registry.list(ownerId, limit),
    countBound: (ownerId) => registry.countBound(ownerId),
    watch: () => () => {},
    close: () => registry.close(),
  };
  const table = new RouteTable({
    ...{ registry: silent, asks: true, maxWaiters: 2, now: () => now },
    ...(answeredAt === undefined ? {} : { answeredAt: () => answeredAt }),
    ...(graceMs === undefined ? {} : { graceMs }),
    sessionOf: () => null,
  });
  endings.push(() => {
    table.close();
    void registry.close();
  });
  return {
    ...{ registry, table, asked },
    /** From now on the registry says this of cat1, whatever is registered. */
    say: (record: RegistryRecord) => {
      silent.locate = async () => record;
    },
    pass: (ms: number) => {
      now += ms;
    },
    goDown: () => {
      isDown = true;
    },
  };
}

describe("RouteTable that asks", () => {
  it("asks once for a name that many want, and answers it at once from then on", async () => {
    const { registry, table, asked } = makeAsking();
    await registry.register(CAT);
    const located = await Promise.all(Array.from({ length: 100 }, () => table.locate("cat1.test")));
    expect(new Set(located)).toEqual(new Set([expect.objectContaining({ clientId: "client-a" })]));
    expect(table.locate("cat1.test")).toBe(located[0]);
    expect(asked).toEqual(["cat1.test"]);
  });

  it("does not ask for a name that nobody holds again within a second, however often it is wanted", async () => {
    const { table, asked, pass } = makeAsking();
    for (let index = 0; index < 1_000; index += 1) expect(await table.locate("dog1.test")).toBeNull();
    expect(asked).toHaveLength(1);
    pass(1_000);
    expect(await table.locate("dog1.test")).toBeNull();
    expect(asked).toHaveLength(2);
  });

  it("says that it cannot look when too many names are asked for, and not that nobody has it", async () => {
    const { registry, table, asked } = makeAsking();
    await registry.register(CAT);
    const crowd = Array.from({ length: MAX_ASKED }, (_, index) => table.locate(`stranger${index}.test`));
    await expect(table.locate("cat1.test")).rejects.toMatchObject({
      ...{ code: "DPX_STORE", message: 'Cannot look up "cat1.test": 1000 names are being looked up already' },
      retryAfterMs: 1_000,
    });
    expect(asked).toHaveLength(MAX_ASKED);
    await Promise.all(crowd);
    expect(await table.locate("cat1.test")).toMatchObject({ clientId: "client-a" });
  });

  it("asks again after 10 s and answers what it knows meanwhile", async () => {
    const { registry, table, asked, pass } = makeAsking();
    await registry.register(CAT);
    const route = await table.locate("cat1.test");
    await registry.remove("cat1.test", "client-a", 1, "left");
    pass(9_999);
    expect(table.locate("cat1.test")).toBe(route);
    expect(asked).toHaveLength(1);
    pass(1);
    expect(table.locate("cat1.test")).toBe(route);
    await new Promise(setImmediate);
    expect([asked.length, table.size, table.locate("cat1.test")]).toEqual([2, 0, null]);
  });

  it("never goes back to an older epoch, as long as its holder could put the newer one back", async () => {
    const { registry, table, pass, say } = makeAsking();
    const old = await registered(registry, CAT);
    await registered(registry, { ...CAT, clientId: "client-b" });
    expect(await table.locate("cat1.test")).toMatchObject({ clientId: "client-b", epoch: 2 });
    say(old);
    for (let ms = 10_000; ms < 120_000; ms += 10_000) {
      pass(10_000);
      expect(table.locate("cat1.test")).toMatchObject({ clientId: "client-b", epoch: 2 });
      await new Promise(setImmediate);
    }
    expect(table.locate("cat1.test")).toMatchObject({ clientId: "client-b", epoch: 2 });
    pass(10_000);
    expect(await table.locate("cat1.test")).toMatchObject({ clientId: "client-a", epoch: 1 });
  });

  it("does without a registry that cannot be reached for two minutes, and then says so", async () => {
    const { registry, table, pass, goDown } = makeAsking();
    await registry.register(CAT);
    const route = await table.locate("cat1.test");
    goDown();
    pass(119_999);
    expect(table.locate("cat1.test")).toBe(route);
    await new Promise(setImmediate);
    pass(1);
    await expect(table.locate("cat1.test")).rejects.toMatchObject({ code: "DPX_STORE" });
  });

  it("does so also for a name that nobody wanted for longer, from the registry's last answer on", async () => {
    const { registry, table, asked, pass, goDown } = makeAsking({ answeredAt: 1_000_000 });
    await registry.register(CAT);
    const route = await table.locate("cat1.test");
    goDown();
    pass(1_100_000);
    expect(await table.locate("cat1.test")).toBe(route);
    expect(table.locate("cat1.test")).toBe(route);
    await new Promise(setImmediate);
    expect(asked.length).toBeGreaterThan(1);
    pass(19_999);
    expect(table.locate("cat1.test")).toBe(route);
    await new Promise(setImmediate);
    pass(1);
    await expect(table.locate("cat1.test")).rejects.toMatchObject({ code: "DPX_STORE" });
  });

  it("does without it no longer than the name is its owner's for sure", async () => {
    const { registry, table, pass, goDown } = makeAsking({ graceMs: 5_000 });
    await registry.register(CAT);
    const route = await table.locate("cat1.test");
    goDown();
    pass(19_999);
    expect(table.locate("cat1.test")).toBe(route);
    await new Promise(setImmediate);
    pass(1);
    await expect(table.locate("cat1.test")).rejects.toMatchObject({ code: "DPX_STORE" });
  });
});

describe("RouteTable", () => {
  it("replaces a route when its gate changes, and not when the same one comes again", async () => {
    const { registry, table, changes } = make();
    const gate = { allowCidr: ["192.0.2.0/24"] };
    await registry.register({ ...CAT, gate });
    const first = table.locate("cat1.test");
    expect(first).toMatchObject({ gate });
    await registry.register({ ...CAT, gate: structuredClone(gate) });
    expect(table.locate("cat1.test")).toBe(first);
    await registry.register({ ...CAT, gate: { ...gate, login: true } });
    expect(table.locate("cat1.test")).toMatchObject({ gate: { login: true } });
    await registry.register(CAT);
    expect(table.locate("cat1.test")).not.toHaveProperty("gate");
    expect(changes).toHaveLength(3);
  });

  it("answers at once what the registry has, and null for the rest", async () => {
    const { registry, table } = make();
    expect(table.locate("cat1.test")).toBeNull();
    await registry.register({ ...CAT, wantsReports: true });
    expect(table.locate("cat1.test")).toEqual({
      hostname: "cat1.test",
      protocol: "http",
      clientId: "client-a",
      epoch: 1,
      state: "up",
      wantsReports: true,
    });
    await registry.remove("cat1.test", "client-a", 1, "lost");
    expect(table.locate("cat1.test")).toMatchObject({ state: "away" });
    await registry.remove("cat1.test", "client-a", 1, "left");
    expect([table.locate("cat1.test"), table.size]).toEqual([null, 0]);
  });

  it("gives a route a new identity when it changes, and keeps it when a client only registers again", async () => {
    const { registry, table, changes } = make();
    await registry.register(CAT);
    const first = table.locate("cat1.test");
    await registry.register(CAT);
    expect(table.locate("cat1.test")).toBe(first);
    await registry.register({ ...CAT, clientId: "client-b" });
    expect(table.locate("cat1.test")).not.toBe(first);
    expect(changes).toEqual([
      [null, first],
      [first, table.locate("cat1.test")],
    ]);
  });

  it("tells the port that a route had when it ends", async () => {
    const { registry, table, changes } = make();
    await registry.register({ ...CAT, protocol: "tcp" });
    const { tcpPort } = known(table, "cat1.test");
    expect(tcpPort).toBeGreaterThanOrEqual(20_000);
    await registry.remove("cat1.test", "client-a", 1, "left");
    expect(changes.at(-1)).toEqual([expect.objectContaining({ tcpPort }), null]);
  });

  it("opens nothing while there is no route, no session or no link", async () => {
    const { registry, table, session } = make();
    await registry.register(CAT);
    const route = known(table, "cat1.test");
    const away = expect.objectContaining({
      code: "DPX_CLIENT_AWAY",
      message: 'The client of "cat1.test" is not connected at the moment',
    });
    expect(session.isLive).toBe(false);
    expect(() => table.open(route, OPEN, HANDLER)).toThrow(away);
    await registry.register({ ...CAT, clientId: "client-b" });
    expect(() => table.open(route, OPEN, HANDLER)).toThrow(away);
    await registry.remove("cat1.test", "client-b", 2, "left");
    expect(() => table.open(route, OPEN, HANDLER)).toThrow(away);
  });

  it("wakes those who wait for a name when it is registered, removed or live, and no others", async () => {
    const { registry, table } = make();
    const { signal } = new AbortController();
    let isDogAwake = false;
    void table.changed("dog1.test", signal).then(() => {
      isDogAwake = true;
    });
    const registered = table.changed("cat1.test", signal);
    await registry.register(CAT);
    await registered;
    const live = table.changed("cat1.test", signal);
    table.wake("cat1.test");
    await live;
    const removed = table.changed("cat1.test", signal);
    await registry.remove("cat1.test", "client-a", 1, "left");
    await removed;
    expect([isDogAwake, table.waiterCount]).toEqual([false, 1]);
    table.close();
    expect(table.waiterCount).toBe(0);
  });

  it("rejects with the signal's reason, at once if it was aborted before", async () => {
    const { table } = make();
    const abort = new AbortController();
    const waiting = table.changed("cat1.test", abort.signal);
    const reason = new Error("the visitor left");
    abort.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await expect(table.changed("cat1.test", abort.signal)).rejects.toBe(reason);
    expect(table.waiterCount).toBe(0);
  });

  it("lets no more wait than its bound", async () => {
    const { table } = make(2);
    const abort = new AbortController();
    const waiting = [table.changed("a.test", abort.signal), table.changed("b.test", abort.signal)];
    await expect(table.changed("c.test", abort.signal)).rejects.toMatchObject({ code: "DPX_HOLD_LIMIT" });
    abort.abort(new Error("over"));
    await Promise.allSettled(waiting);
  });
});
