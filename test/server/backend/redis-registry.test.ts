// The registry in Redis: the contract, and what is its own, on a real redis-server.

import { beforeAll, describe, expect, it, vi } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { MemoryTopics } from "../../../src/server/backend/memory-topics.ts";
import { RedisKeys } from "../../../src/server/backend/redis-keys.ts";
import { RedisSteps } from "../../../src/server/backend/redis-steps.ts";
import { RedisTopics } from "../../../src/server/backend/redis-topics.ts";
import type { Registry, RegistryRecord } from "../../../src/server/backend/registry.ts";
import type { RedisConnection } from "../../../src/server/redis/redis-connection.ts";
import { barMs } from "../../support/bars.ts";
import { redisCli, startRedis, startRedisServer } from "../../support/redis.ts";
import { useFileStage, useStage } from "../../support/stage.ts";
import { poll } from "../../support/wait.ts";
import { ManualClock } from "../manual-clock.ts";
import { connectTo, freshPrefix, openRegistryOn, registryUnderTest } from "./redis-stage.ts";
import { EVE, register, registration } from "./registration.ts";
import { describeRegistry, GRACE_MS } from "./registry-contract.ts";

/** "Within about one second", on a machine that has other work too. */
const SOON_MS = barMs(2_500);

const stage = useStage();
const fileStage = useFileStage();
let port = 0;
let connection: RedisConnection;

beforeAll(async () => {
  port = await startRedis(fileStage);
  connection = await connectTo(fileStage, port);
});

describeRegistry("RedisRegistry", async () => registryUnderTest(connection));

/** What Redis has done so far: scripts that clients sent, and all commands, those inside scripts too. */
async function doneSoFar(): Promise<{ readonly scripts: number; readonly commands: number }> {
  const info = `${await redisCli(port, ["INFO", "commandstats"])}\n${await redisCli(port, ["INFO", "stats"])}`;
  const count = (pattern: string): number => Number(new RegExp(`${pattern}(\\d+)`).exec(info)?.[1] ?? 0);
  const scripts = count("cmdstat_eval:calls=") + count("cmdstat_evalsha:calls=");
  return { scripts, commands: count("total_commands_processed:") };
}

describe("RedisRegistry on many nodes", () => {
  it("gives a name that 1,000 claim at once to one owner, and says to all others whose it is", async () => {
    const prefix = freshPrefix();
    const registries = await Promise.all(
      [1, 2, 3].map(async () => openRegistryOn(stage, { connection: await connectTo(stage, port), prefix })),
    );
    const claims = Array.from({ length: 1_000 }, (_, index) => {
      const owner = { clientId: `client-${index}`, ownerId: `owner-${index}`, ownerName: `owner ${index}` };
      return registries[index % 3]?.register(registration("cat1.test", { ...owner, nodeId: `node-${index % 3}` }));
    });
    const results = await Promise.all(claims);
    const won = results.flatMap((result) => (result?.status === "registered" ? [result.record] : []));
    expect(won).toHaveLength(1);
    const ownerName = won[0]?.ownerName;
    expect(results.filter((result) => result?.status === "taken" && result.ownerName === ownerName)).toHaveLength(999);
  });

  it.each([0, 400])("renews what it can while a part of Redis does not answer, spread over %i ms", async (spreadMs) => {
    const registry = openRegistryOn(stage, { connection, prefix: freshPrefix() });
    const held = await Promise.all(
      Array.from({ length: 100 }, (_, index) => register(registry, registration(`cat${index}.test`))),
    );
    const run = connection.run.bind(connection);
    const failed = held[0]?.hostname ?? "";
    const spy = vi.spyOn(connection, "run").mockImplementation(async (script, keys, args) => {
      if (keys.some((key) => key.endsWith(`:${failed}`))) throw new DuplexityError("DPX_STORE", "It does not answer");
      return run(script, keys, args);
    });
    stage.defer(() => spy.mockRestore());
    const before = Math.max(...held.map(({ expires }) => expires));
    await poll(() => Date.now() > before - 30_000, 1_000, "a later time", 1);
    await expect(registry.renewAll(held, spreadMs)).rejects.toMatchObject({ code: "DPX_STORE" });
    spy.mockRestore();
    const renewed = await Promise.all(
      held.map(async ({ hostname }) => (await registry.locate(hostname))?.expires ?? 0),
    );
    // A shard of 16 is missing.
    const late = renewed.filter((expires, index) => expires <= (held[index]?.expires ?? 0)).length;
    expect([late > 0, late < 30]).toEqual([true, true]);
    expect(await registry.renewAll(held, spreadMs)).toEqual([]);
  });

  it("counts leases in Redis's own time, and lets a name that nobody renews go away", async () => {
    const registry = openRegistryOn(stage, { connection, prefix: freshPrefix(), leaseMs: 150 });
    const seen: string[] = [];
    registry.watch((_hostname, record) => seen.push(record?.state ?? "gone"));
    const record = await register(registry, registration("cat1.test"));
    const [seconds = "0"] = (await redisCli(port, ["TIME"])).split("\n");
    expect(Math.abs(record.since - Number(seconds) * 1_000)).toBeLessThan(5_000);
    expect(record.expires - record.since).toBe(150);
    await poll(() => seen.includes("away"), 5_000, "the lease's end", 5);
    expect(seen).toEqual(["up", "away"]);
  });

  it("renews 1,000 names of as many clients with a handful of calls, and of commands in them", async () => {
    const registry = openRegistryOn(stage, { connection, prefix: freshPrefix() });
    const held = await Promise.all(
      Array.from({ length: 1_000 }, (_, index) =>
        register(registry, registration(`cat${index}.test`, { clientId: `client-${index}`, ownerId: `o-${index}` })),
      ),
    );
    // The first one looks at each name.
    expect(await registry.renewAll(held)).toEqual([]);
    const before = await doneSoFar();
    expect(await registry.renewAll(held)).toEqual([]);
    const after = await doneSoFar();
    expect(after.scripts - before.scripts).toBe(16);
    // Time, keys, leases, and those anew, besides the script itself; and INFO.
    expect(after.commands - before.commands).toBeLessThanOrEqual(16 * 5 + 4);
  });

  it("gives each node ports of its own, and the old node's back when the name has moved", async () => {
    const topics = new MemoryTopics("node-1");
    const registry = openRegistryOn(stage, {
      ...{ connection, topics, prefix: freshPrefix(), tcpPorts: { from: 20_000, to: 20_000 } },
    });
    const db = { protocol: "tcp" as const };
    expect(await register(registry, registration("a.test", db))).toMatchObject({ tcpPort: 20_000 });
    const other = { ...db, nodeId: "node-2", clientId: "client-b" };
    expect(await register(registry, registration("b.test", other))).toMatchObject({ tcpPort: 20_000 });
    await expect(registry.register(registration("c.test", db))).rejects.toMatchObject({ code: "DPX_TCP_PORTS" });
    // Another node of the backend moves it, and this one hears of it.
    const elsewhere = { ...registration("a.test", { ...db, nodeId: "node-3" }), tcpPort: 20_000, state: "up" as const };
    const record: RegistryRecord = { ...elsewhere, epoch: Number.MAX_SAFE_INTEGER - 1, since: 1, expires: 2 };
    await topics.publish("routes", { hostname: "a.test", epoch: record.epoch, record });
    expect(await register(registry, registration("c.test", db))).toMatchObject({ tcpPort: 20_000 });
  });

  it("renews what was registered over another node of the backend, and follows it from then on", async () => {
    const prefix = freshPrefix();
    const one = openRegistryOn(stage, { connection, prefix });
    const two = openRegistryOn(stage, { connection, prefix });
    const record = await register(one, registration("cat1.test"));
    expect(await two.renewAll([record])).toEqual([]);
    await redisCli(port, ["DEL", new RedisKeys(prefix).name("cat1.test")]);
    expect(await two.renewAll([record])).toEqual([]);
    // One that would not put it back itself.
    const three = openRegistryOn(stage, { connection, prefix });
    expect(await three.locate("cat1.test")).toMatchObject({ epoch: record.epoch, clientId: "client-a" });
  });

  it("does not serve a record that others have tampered with", async () => {
    const prefix = freshPrefix();
    const registry = openRegistryOn(stage, { connection, prefix });
    await register(registry, registration("cat1.test", { gate: { login: true } }));
    for (const [field, value] of [
      ["gate", "{}"],
      ["epoch", "many"],
    ] as const) {
      await redisCli(port, ["HSET", new RedisKeys(prefix).name("cat1.test"), field, value]);
      await expect(registry.locate("cat1.test")).rejects.toMatchObject({
        code: "DPX_STORE",
        message: 'Cannot read "cat1.test" in Redis: it is not as duplexity wrote it',
      });
    }
  });
});

describe("RedisRegistry's leases", () => {
  const LOOK_MS = 1_800_000;

  async function renewed() {
    const prefix = freshPrefix();
    const keys = new RedisKeys(prefix);
    const clock = new ManualClock();
    const registry = openRegistryOn(stage, { connection, prefix, clock, leaseMs: 30_000, graceMs: GRACE_MS });
    const record = await register(registry, registration("cat1.test"));
    expect(await registry.renewAll([record])).toEqual([]);
    const [leases = "", name = ""] = keys.forStep(["cat1.test"]);
    return { prefix, keys, clock, registry, record, leases, name };
  }

  it("are of the name again when those of its shard are lost or damaged", async () => {
    const { registry, clock, record, leases, name } = await renewed();
    for (const damage of [
      ["DEL", leases],
      ["HSET", leases, name, "soon"],
    ] as const) {
      await redisCli(port, damage);
      expect(await registry.locate("cat1.test")).toMatchObject({ epoch: record.epoch, state: "up" });
      clock.advance(10);
      expect(await registry.renewAll([record])).toEqual([]);
      const { expires } = (await registry.locate("cat1.test")) ?? record;
      expect(expires).toBe(clock.now() + 30_000);
    }
  });

  it("are of nobody once another node has given the name to another client", async () => {
    const { registry, prefix, clock, record } = await renewed();
    const other = openRegistryOn(stage, { connection, prefix, clock, leaseMs: 30_000, graceMs: GRACE_MS });
    const next = await register(other, registration("cat1.test", { clientId: "client-b", nodeId: "node-2" }));
    expect(await registry.renewAll([record])).toEqual([record]);
    expect(await other.renewAll([next])).toEqual([]);
    await other.remove("cat1.test", "client-b", next.epoch, "left");
    expect(await registry.renewAll([record, next])).toEqual([record, next]);
  });

  it("are followed by a look at the name itself each half an hour, and Redis keeps it for longer", async () => {
    const { registry, clock, record, leases, name } = await renewed();
    for (const key of [leases, name]) await redisCli(port, ["PEXPIRE", key, "60000"]);
    const lifetimes = async () =>
      Promise.all([leases, name].map(async (key) => Number(await redisCli(port, ["PTTL", key]))));
    clock.advance(LOOK_MS - 1);
    expect(await registry.renewAll([record])).toEqual([]);
    expect(Math.max(...(await lifetimes()))).toBeLessThanOrEqual(60_000);
    clock.advance(1);
    expect(await registry.renewAll([record])).toEqual([]);
    expect(Math.min(...(await lifetimes()))).toBeGreaterThan(GRACE_MS + LOOK_MS);
  });

  it("do not stay when the name is free and nobody comes to say so", async () => {
    const { prefix, keys, clock, registry, record, leases } = await renewed();
    const now = () => String(clock.now());
    const steps = new RedisSteps({ connection, keys: new RedisKeys(prefix), leaseMs: 30_000, graceMs: GRACE_MS, now });
    const left = await register(registry, registration("cat2.test"));
    expect(await registry.renewAll([left])).toEqual([]);
    await registry.remove("cat2.test", "client-a", left.epoch, "lost");
    const count = async () => {
      const counts = await Promise.all(keys.allLeases().map((key) => redisCli(port, ["HLEN", key])));
      return counts.reduce((sum, length) => sum + Number(length), 0);
    };
    expect(await count()).toBe(1);
    clock.advance(record.expires + GRACE_MS - clock.now() - 1);
    await steps.sweep();
    expect(await redisCli(port, ["HLEN", leases])).toBe("1");
    clock.advance(1);
    await steps.sweep();
    expect(await count()).toBe(0);
  });
});

describe("RedisRegistry's index", () => {
  async function hostnamesOf(registry: Registry): Promise<readonly string[]> {
    const lists = [await registry.list("ben-id", 10), await registry.list(null, 10)];
    expect(lists[0]).toEqual(lists[1]);
    return (lists[0] ?? []).map(({ hostname }) => hostname);
  }

  it("is whole again after its keys were lost", async () => {
    const prefix = freshPrefix();
    const registry = openRegistryOn(stage, { connection, prefix });
    await register(registry, registration("cat1.test"));
    const keys = (await redisCli(port, ["KEYS", `${prefix}:names:*`])).split("\n");
    expect(keys).toHaveLength(2);
    await redisCli(port, ["DEL", ...keys]);
    expect(await hostnamesOf(registry)).toEqual([]);
    await registry.heal();
    expect(await hostnamesOf(registry)).toEqual(["cat1.test"]);
  });

  it("is not told of a name that only moves: it has it, and is told by its new node with all others", async () => {
    const prefix = freshPrefix();
    const one = openRegistryOn(stage, { connection, prefix });
    const two = openRegistryOn(stage, { connection, prefix });
    await register(one, registration("cat1.test"));
    const before = await doneSoFar();
    await register(two, registration("cat1.test", { nodeId: "node-2" }));
    expect((await doneSoFar()).scripts - before.scripts).toBe(1);
    expect(await hostnamesOf(two)).toEqual(["cat1.test"]);
    const keys = (await redisCli(port, ["KEYS", `${prefix}:names:*`])).split("\n");
    await redisCli(port, ["DEL", ...keys]);
    await two.heal();
    expect(await hostnamesOf(two)).toEqual(["cat1.test"]);
  });

  it("loses names that are nobody's or another's when it is read", async () => {
    const prefix = freshPrefix();
    const registry = openRegistryOn(stage, { connection, prefix });
    await register(registry, registration("cat1.test"));
    const [key = ""] = (await redisCli(port, ["KEYS", `${prefix}:names:{owner-*`])).split("\n");
    await redisCli(port, ["ZADD", key, "9999999999999", "dog1.test"]);
    expect(await hostnamesOf(registry)).toEqual(["cat1.test"]);
    expect(await redisCli(port, ["ZRANGE", key, "0", "-1"])).toBe("cat1.test");
  });
});

describe("RedisRegistry's count of an owner's names", () => {
  it("has a name with its next renewal that could not be added when it was registered", async () => {
    const prefix = freshPrefix();
    const registry = openRegistryOn(stage, { connection, prefix });
    await register(registry, registration("cat1.test"));
    const [key = ""] = (await redisCli(port, ["KEYS", `${prefix}:names:{owner-*`])).split("\n");
    // No index: nothing can be added to it.
    await redisCli(port, ["RENAME", key, `${key}:kept`]);
    await redisCli(port, ["SET", key, "broken"]);
    const record = await register(registry, registration("cat2.test"));
    await redisCli(port, ["RENAME", `${key}:kept`, key]);
    expect(await registry.countBound("ben-id")).toBe(1);
    expect(await registry.renewAll([record])).toEqual([]);
    expect(await registry.countBound("ben-id")).toBe(2);
    expect(await registry.list("ben-id", 10)).toHaveLength(2);
  });

  it("is told nothing more than the names that could not be added, for as long as they cannot be", async () => {
    const prefix = freshPrefix();
    const registry = openRegistryOn(stage, { connection, prefix });
    const record = await register(registry, registration("cat1.test"));
    const [key = ""] = (await redisCli(port, ["KEYS", `${prefix}:names:{owner-*`])).split("\n");
    for (let index = 0; index < 100; index += 1) {
      await register(
        registry,
        registration(`dog${index}.test`, { clientId: `client-${index}`, ownerId: `o-${index}` }),
      );
    }
    await redisCli(port, ["SET", key, "broken"]);
    await register(registry, registration("cat1.test"));
    for (let round = 0; round < 3; round += 1) {
      const before = await doneSoFar();
      expect(await registry.renewAll([record])).toEqual([]);
      const after = await doneSoFar();
      // Its shard's leases, its owner's names, and those of its kind.
      expect(after.scripts - before.scripts).toBeLessThanOrEqual(3);
    }
    await redisCli(port, ["DEL", key]);
    expect(await registry.renewAll([record])).toEqual([]);
    expect(await registry.countBound("ben-id")).toBe(1);
  });

  it("does not have a name again that is gone before it could be added", async () => {
    const prefix = freshPrefix();
    const registry = openRegistryOn(stage, { connection, prefix, graceMs: 0 });
    const kept = await register(registry, registration("cat1.test"));
    const [key = ""] = (await redisCli(port, ["KEYS", `${prefix}:names:{owner-*`])).split("\n");
    await redisCli(port, ["RENAME", key, `${key}:kept`]);
    await redisCli(port, ["SET", key, "broken"]);
    const { hostname, clientId, epoch } = await register(registry, registration("cat2.test"));
    await redisCli(port, ["RENAME", `${key}:kept`, key]);
    expect(await registry.remove(hostname, clientId, epoch, "left")).toBe(true);
    expect(await registry.renewAll([kept])).toEqual([]);
    expect(await registry.countBound("ben-id")).toBe(1);
  });

  it("keeps those that are renewed while lease and grace are shorter than the time between two looks", async () => {
    const clock = new ManualClock();
    const [leaseMs, prefix] = [30_000, freshPrefix()];
    const registry = openRegistryOn(stage, { ...{ connection, prefix, clock, leaseMs }, graceMs: 0 });
    const record = await register(registry, registration("cat1.test"));
    for (let passed = 0; passed < 300_000; passed += leaseMs / 3) {
      clock.advance(leaseMs / 3);
      expect(await registry.renewAll([record])).toEqual([]);
    }
    await register(registry, registration("cat2.test"));
    expect(await registry.countBound("ben-id")).toBe(2);
  });
});

describe("RedisRegistry when Redis has lost what it knew", () => {
  const LEASE_MS = 1_000;

  async function flushed() {
    const ownPort = await startRedis(stage);
    const [one, two] = await Promise.all(
      ["node-1", "node-2"].map(async () => {
        const registry = openRegistryOn(stage, { connection: await connectTo(stage, ownPort), leaseMs: LEASE_MS });
        await registry.check();
        return registry;
      }),
    );
    if (one === undefined || two === undefined) throw new Error("There are no registries");
    const record = await register(one, registration("cat1.test"));
    const flush = (): Promise<string> => redisCli(ownPort, ["FLUSHALL"]);
    return { port: ownPort, one, two, record, flush };
  }

  it("puts a name back at its epoch when it is renewed", async () => {
    const { one, two, record, flush } = await flushed();
    await flush();
    expect(await one.renewAll([record])).toEqual([]);
    expect(await two.locate("cat1.test")).toMatchObject({ epoch: record.epoch, clientId: "client-a", state: "up" });
    expect(await two.list("ben-id", 10)).toHaveLength(0);
    await one.heal();
    expect(await two.list("ben-id", 10)).toHaveLength(1);
  });

  it("does so by itself when it looks", async () => {
    const { one, two, record, flush } = await flushed();
    await flush();
    await one.check();
    expect(await two.locate("cat1.test")).toMatchObject({ epoch: record.epoch, state: "up" });
  });

  it("gives the name to nobody else before all had the time to say what they hold", async () => {
    const { two, one, flush } = await flushed();
    await flush();
    await expect(two.register(registration("cat1.test", EVE))).rejects.toMatchObject({
      code: "DPX_STORE",
      message: expect.stringMatching(/^Cannot register "cat1.test": Redis may have lost records, and until 20/),
    });
    await one.check();
    expect(await two.register(registration("cat1.test", EVE))).toMatchObject({ status: "taken", ownerName: "ben" });
    const isTaken = async (): Promise<boolean> => {
      const result = await two.register(registration("dog1.test", EVE)).catch(() => null);
      return result?.status === "registered";
    };
    expect(await isTaken()).toBe(false);
    await poll(isTaken, 10_000, "names to be given out again", 50);
  });

  it.each(["left", "lost"] as const)("puts back the grace of a name whose client has %s", async (reason) => {
    const { one, two, record, flush } = await flushed();
    await one.remove("cat1.test", "client-a", record.epoch, reason);
    const before = await two.locate("cat1.test");
    await flush();
    await one.check();
    expect(await two.register(registration("cat1.test", EVE))).toMatchObject({ status: "taken", ownerName: "ben" });
    const after = await two.locate("cat1.test");
    expect(after).toEqual(before === null ? null : { ...before, expires: expect.any(Number) });
    expect(Math.abs((after?.expires ?? 0) - (before?.expires ?? 0))).toBeLessThan(GRACE_MS / 2);
    const next = await register(two, registration("cat1.test", { clientId: "client-b", nodeId: "node-2" }));
    expect(next.epoch).toBeGreaterThan(record.epoch);
  });

  it("puts no grace back over a client that came back meanwhile", async () => {
    const { one, two, record, flush } = await flushed();
    await one.remove("cat1.test", "client-a", record.epoch, "lost");
    const again = await register(two, registration("cat1.test"));
    await flush();
    expect(await two.renewAll([again])).toEqual([]);
    await one.check();
    expect(await two.locate("cat1.test")).toMatchObject({ state: "up", epoch: again.epoch });
  });

  it("sees a loss that a registration has come upon first", async () => {
    const { one, two, record, flush } = await flushed();
    await flush();
    await expect(one.register(registration("dog1.test", EVE))).rejects.toMatchObject({ code: "DPX_STORE" });
    await one.check();
    expect(await two.locate("cat1.test")).toMatchObject({ epoch: record.epoch, state: "up" });
  });

  it("gives names out again when two thirds of a lease have passed", async () => {
    const { port: ownPort, one, flush } = await flushed();
    await flush();
    await one.check();
    const [mark = ""] = (await redisCli(ownPort, ["KEYS", "duplexity:birth:*"])).split("\n");
    const closed = Number(await redisCli(ownPort, ["HGET", mark, "closed"]));
    const [seconds = "0", micros = "0"] = (await redisCli(ownPort, ["TIME"])).split("\n");
    const leftMs = closed - Number(seconds) * 1_000 - Number(micros) / 1_000;
    expect(leftMs).toBeLessThanOrEqual((LEASE_MS * 2) / 3);
  });

  it("gives the name to its owner at a higher epoch, over the node that held it", async () => {
    const { one, record, flush } = await flushed();
    await flush();
    const next = await register(one, registration("cat1.test", { clientId: "client-b" }));
    expect(next.epoch).toBeGreaterThan(record.epoch);
    expect(await one.renewAll([record])).toEqual([record]);
  });

  it.each(["older", "newer"])("lets the newer of two holders have it, when the %s one comes first", async (first) => {
    const { one, two, record, flush } = await flushed();
    const newer = await register(two, registration("cat1.test", { clientId: "client-b", nodeId: "node-2" }));
    await flush();
    const renewOlder = () => one.renewAll([record]);
    const renewNewer = () => two.renewAll([newer]);
    if (first === "older") await renewOlder();
    expect(await renewNewer()).toEqual([]);
    expect(await renewOlder()).toEqual([record]);
    expect(await one.locate("cat1.test")).toMatchObject({ epoch: newer.epoch, clientId: "client-b" });
  });

  it("never goes back to an epoch that a node has seen, also when Redis's clock was set back", async () => {
    const { port: ownPort, one, two, record } = await flushed();
    const ahead = record.epoch + 86_400_000;
    await redisCli(ownPort, ["HSET", new RedisKeys("duplexity").name("cat1.test"), "epoch", String(ahead)]);
    await two.locate("cat1.test");
    await redisCli(ownPort, ["DEL", new RedisKeys("duplexity").name("cat1.test")]);
    const next = await register(two, registration("cat1.test", { clientId: "client-b", nodeId: "node-2" }));
    expect(next.epoch).toBeGreaterThan(ahead);
    expect(await one.renewAll([record])).toEqual([record]);
  });

  it("puts nothing back over a newer record, also when it had seemed to be lost", async () => {
    const { port: ownPort, two, record } = await flushed();
    const newer = await register(two, registration("cat1.test", { clientId: "client-b", nodeId: "node-2" }));
    const own = await connectTo(stage, ownPort);
    const keys = new RedisKeys("duplexity");
    const steps = new RedisSteps({ connection: own, keys, leaseMs: LEASE_MS, graceMs: GRACE_MS, now: () => "" });
    expect(await steps.revive(record)).toBeNull();
    expect(await steps.revive(newer)).toMatchObject({ record: { epoch: newer.epoch, clientId: "client-b" } });
    await two.remove("cat1.test", "client-b", newer.epoch, "left");
    expect((await steps.renew([newer])).words).toEqual(["lost"]);
    expect(await steps.revive(newer)).toBeNull();
  });

  it("tells watchers no older record than the one they know", async () => {
    const topics = new MemoryTopics("node-1");
    const registry = openRegistryOn(stage, { connection, topics, prefix: freshPrefix() });
    const record = await register(registry, registration("cat1.test"));
    const seen: number[] = [];
    registry.watch((_hostname, now) => seen.push(now?.epoch ?? 0));
    const newer = { ...record, epoch: record.epoch + 5, nodeId: "node-2" };
    await topics.publish("routes", { hostname: "cat1.test", epoch: newer.epoch, record: newer });
    await topics.publish("routes", { hostname: "cat1.test", epoch: record.epoch, record });
    // A failover has lost the newer one: its holder will put it back.
    await registry.locate("cat1.test");
    expect(seen).toEqual([newer.epoch]);
  });

  it("undoes a claim that came too early, so that the holder's older epoch is not in its way", async () => {
    const { port: ownPort, one, record, flush } = await flushed();
    const own = await connectTo(stage, ownPort);
    const keys = new RedisKeys("duplexity");
    const steps = new RedisSteps({ connection: own, keys, leaseMs: LEASE_MS, graceMs: GRACE_MS, now: () => "" });
    await flush();
    const early = await steps.claim(registration("cat1.test", EVE), { tcpPort: null, floor: 0, mayBeNew: true });
    if (early.status !== "registered") throw new Error(`The claim is ${early.status}`);
    await steps.remove(early.record, "undo");
    expect(await one.renewAll([record])).toEqual([]);
    expect(await one.locate("cat1.test")).toMatchObject({ epoch: record.epoch, ownerId: "ben-id" });
  });

  it("does not say that a route is gone which was there a moment ago", async () => {
    const { one, two, flush } = await flushed();
    expect(await two.locate("cat1.test")).toMatchObject({ state: "up" });
    await flush();
    await expect(two.locate("cat1.test")).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(await one.locate("cat1.test")).toMatchObject({ state: "up" });
    expect(await two.locate("cat1.test")).toMatchObject({ state: "up" });
    await flush();
    expect(await two.locate("cat9.test")).toBeNull();
  });

  it("tells no watcher that it is gone, when it looks at all that it follows", async () => {
    const { one, two, flush } = await flushed();
    await two.locate("cat1.test");
    const told: (RegistryRecord | null)[] = [];
    two.watch((_hostname, record) => told.push(record));
    await flush();
    await two.heal();
    expect(told).toEqual([]);
    await one.heal();
    expect(await two.locate("cat1.test")).toMatchObject({ state: "up" });
  });
});

describe("RedisRegistry when Redis does not answer", () => {
  it("fails within about a second, whatever is asked, and goes on when it answers again", async () => {
    const redis = await startRedisServer(stage);
    const frozen = await connectTo(stage, redis.port);
    const topics = await RedisTopics.open({ connection: frozen, nodeId: "node-1" });
    stage.defer(() => topics.close());
    const registry = openRegistryOn(stage, { connection: frozen, topics });
    const record = await register(registry, registration("cat1.test"));
    redis.signal("SIGSTOP");
    const began = performance.now();
    const calls = [
      registry.register(registration("cat2.test")),
      registry.renewAll([record]),
      registry.locate("cat1.test"),
      registry.remove("cat1.test", "client-a", record.epoch, "left"),
      registry.list(null, 10),
      registry.check(),
      topics.publish("websockets", { type: "judge" }),
      topics.request("websockets", { type: "judge" }, { timeoutMs: 60_000, nodes: ["node-2"] }),
    ];
    for (const result of await Promise.allSettled(calls)) {
      expect(result).toMatchObject({ status: "rejected", reason: { code: "DPX_STORE" } });
    }
    expect(performance.now() - began).toBeLessThan(SOON_MS);
    redis.signal("SIGCONT");
    // It may have been removed meanwhile: nobody knows, and it does not matter.
    const again = await poll(() => register(registry, registration("cat1.test")).catch(() => null), 10_000, "Redis");
    expect(await registry.renewAll([again])).toEqual([]);
  });

  it("puts back what it holds when Redis was killed and comes back empty", async () => {
    const redis = await startRedisServer(stage);
    const registry = openRegistryOn(stage, { connection: await connectTo(stage, redis.port) });
    await registry.check();
    const record = await register(registry, registration("cat1.test"));
    await redis.end();
    const began = performance.now();
    await expect(registry.locate("cat1.test")).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(performance.now() - began).toBeLessThan(SOON_MS);
    await startRedisServer(stage, { port: redis.port });
    const other = openRegistryOn(stage, { connection: await connectTo(stage, redis.port) });
    const found = await poll(() => other.locate("cat1.test"), 10_000, "the name to be back");
    expect(found).toMatchObject({ epoch: record.epoch, state: "up" });
  });
});

describe("RedisRegistry's watch", () => {
  async function twoNodes() {
    const prefix = freshPrefix();
    const open = async (nodeId: string) => {
      const own = await connectTo(stage, port);
      const topics = await RedisTopics.open({ connection: own, nodeId, prefix });
      stage.defer(() => topics.close());
      const registry = openRegistryOn(stage, { connection: own, topics, prefix });
      const seen: string[] = [];
      registry.watch((hostname, record) => seen.push(`${hostname} ${record?.state ?? "gone"}`));
      return { registry, seen };
    };
    return { prefix, one: await open("node-1"), two: await open("node-2") };
  }

  it("tells what other nodes do, and what this one does once", async () => {
    const { one, two } = await twoNodes();
    const { epoch } = await register(one.registry, registration("cat1.test"));
    await poll(() => two.seen.length === 1, 5_000, "the registration", 2);
    await one.registry.remove("cat1.test", "client-a", epoch, "lost");
    await poll(() => two.seen.length === 2, 5_000, "the loss", 2);
    await register(two.registry, registration("cat1.test", { nodeId: "node-2" }));
    await poll(() => one.seen.length === 3, 5_000, "the return", 2);
    for (const { seen } of [one, two]) expect(seen).toEqual(["cat1.test up", "cat1.test away", "cat1.test up"]);
  });

  it("looks again at what is followed when messages may have been missed", async () => {
    const { prefix, one, two } = await twoNodes();
    await register(one.registry, registration("cat1.test"));
    await poll(() => two.seen.length === 1, 5_000, "the registration", 2);
    await two.registry.locate("cat1.test");
    await one.registry.close();
    // Nobody tells of it.
    await redisCli(port, ["HSET", new RedisKeys(prefix).name("cat1.test"), "left", "1"]);
    await redisCli(port, ["CLIENT", "KILL", "TYPE", "pubsub"]);
    await poll(() => two.seen.includes("cat1.test gone"), 10_000, "the second look", 10);
  });
});
