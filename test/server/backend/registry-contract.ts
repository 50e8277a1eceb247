// What every Registry must do, whatever it keeps its records in. A new implementation calls `describeRegistry` and passes.

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Registration, Registry, RegistryRecord } from "../../../src/server/backend/registry.ts";
import { poll } from "../../support/wait.ts";

export const LEASE_MS = 30_000;
export const GRACE_MS = 3_600_000;
export const PORTS = { from: 20_000, to: 20_002 };

export interface RegistryUnderTest {
  readonly registry: Registry;
  /** Lets time pass for the registry; resolves when what was due has happened. */
  advance(ms: number): Promise<void>;
  /** Time as the registry has it, in ms since the epoch. */
  now(): number;
}

/** @param make A fresh registry with `LEASE_MS`, `GRACE_MS` and `PORTS`. */
export function describeRegistry(name: string, make: () => Promise<RegistryUnderTest>): void {
  describe(name, () => {
    let registry: Registry;
    let advance: RegistryUnderTest["advance"];
    let now: RegistryUnderTest["now"];

    beforeEach(async () => {
      ({ registry, advance, now } = await make());
    });
    afterEach(() => registry.close());

    async function registered(registration: Registration): Promise<RegistryRecord> {
      const result = await registry.register(registration);
      if (result.status !== "registered") throw new Error(`${registration.hostname} is taken by ${result.ownerName}`);
      return result.record;
    }

    describe("register", () => {
      it("answers a record with a lease, an epoch above 0 and all that was registered", async () => {
        const result = await registry.register(cat());
        expect(result).toEqual({
          status: "registered",
          record: { ...cat(), epoch: expect.any(Number), state: "up", since: now(), expires: now() + LEASE_MS },
          replaced: null,
        });
        const record = await registry.locate("cat1.test");
        expect(record?.epoch).toBeGreaterThan(0);
        expect(result).toMatchObject({ record });
      });

      it("keeps a gate as it was given", async () => {
        const gate = { allowCidr: ["192.0.2.0/24"], login: true } as const;
        expect(await registered(cat({ gate }))).toMatchObject({ gate });
        expect(await registry.locate("cat1.test")).toMatchObject({ gate });
        expect(await registered(cat())).not.toHaveProperty("gate");
      });

      it("is a renewal for the same client: epoch and since stay", async () => {
        const first = await registered(cat());
        await advance(LEASE_MS / 2);
        const again = await registry.register(cat({ wantsReports: true }));
        expect(again).toEqual({
          status: "registered",
          record: { ...first, wantsReports: true, expires: now() + LEASE_MS },
          replaced: null,
        });
      });

      it("tells the same client that the name was away", async () => {
        const first = await registered(cat());
        await registry.remove("cat1.test", "client-a", first.epoch, "lost");
        const again = await registry.register(cat());
        const { epoch } = first;
        expect(again).toMatchObject({ record: { epoch, state: "up" }, replaced: { epoch, state: "away" } });
      });

      it("keeps who may come in, until the client says otherwise", async () => {
        const gate = { allowCidr: ["192.0.2.0/24"], login: true as const };
        expect(await registered(cat({ gate }))).toMatchObject({ gate });
        const { epoch } = await registered(cat({ gate }));
        await registry.remove("cat1.test", "client-a", epoch, "lost");
        expect(await registry.locate("cat1.test")).toMatchObject({ state: "away", gate });
        expect(await registered(cat())).not.toHaveProperty("gate");
        expect(await registry.locate("cat1.test")).not.toHaveProperty("gate");
      });

      it("refuses another owner, and says who holds the name since when", async () => {
        const { since } = await registered(cat());
        expect(await registry.register(cat(EVE))).toEqual({ status: "taken", ownerName: "ben", since, graceOf: null });
        expect(await registry.locate("cat1.test")).toMatchObject({ ownerId: "ben-id", clientId: "client-a" });
      });

      it("lets the same owner's other client retake the name at once, at the next epoch, and names the one before", async () => {
        const first = await registered(cat());
        const result = await registry.register(cat({ clientId: "client-b" }));
        expect(result).toMatchObject({ status: "registered", replaced: first });
        expect((await registry.locate("cat1.test"))?.epoch).toBeGreaterThan(first.epoch);
      });

      it("raises the epoch when the same client comes over another node, and says over which it was", async () => {
        const first = await registered(cat());
        const result = await registry.register(cat({ nodeId: "node-2" }));
        expect(result).toMatchObject({ record: { since: first.since }, replaced: first });
        expect((await registry.locate("cat1.test"))?.epoch).toBeGreaterThan(first.epoch);
      });

      it("keeps names apart", async () => {
        await registered(cat());
        const dog = await registered(cat({ hostname: "dog1.test", ...EVE }));
        expect(dog.ownerName).toBe("eve");
      });

      it("lets one of two owners win who claim a name at once", async () => {
        const results = await Promise.all([registry.register(cat()), registry.register(cat(EVE))]);
        expect(results.map(({ status }) => status).sort()).toEqual(["registered", "taken"]);
      });

      it("lets the last of many clients of one owner win, each at an epoch of its own", async () => {
        const clients = Array.from({ length: 10 }, (_, index) => `client-${index}`);
        const results = await Promise.all(clients.map((clientId) => registry.register(cat({ clientId }))));
        const epochs = results.map((result) => (result.status === "registered" ? result.record.epoch : -1));
        expect(new Set(epochs).size).toBe(10);
        expect((await registry.locate("cat1.test"))?.epoch).toBe(Math.max(...epochs));
      });
    });

    describe("a lease", () => {
      it("leaves the name away when it ends, not gone", async () => {
        const record = await registered(cat());
        await advance(LEASE_MS - 1);
        expect(await registry.locate("cat1.test")).toMatchObject({ state: "up" });
        await advance(1);
        expect(await registry.locate("cat1.test")).toEqual({ ...record, state: "away", expires: now() + GRACE_MS });
      });

      it("is extended by renew, for all names of a client at once", async () => {
        const held = [await registered(cat()), await registered(cat({ hostname: "cat2.test" }))];
        await advance(LEASE_MS - 1);
        expect(await registry.renewAll(held)).toEqual([]);
        await advance(LEASE_MS - 1);
        expect(await registry.locate("cat1.test")).toMatchObject({ state: "up" });
        expect(await registry.locate("cat2.test")).toMatchObject({ state: "up" });
      });

      it("can be renewed after its end while nobody else took the name", async () => {
        const record = await registered(cat());
        await advance(LEASE_MS + 1);
        expect(await registry.renewAll([record])).toEqual([]);
        expect(await registry.locate("cat1.test")).toEqual({ ...record, expires: now() + LEASE_MS });
      });
    });

    describe("renewAll", () => {
      it("answers the names that are not their client's any more, and renews the others", async () => {
        const one = await registered(cat());
        const two = await registered(cat({ hostname: "cat2.test" }));
        const three = await registered(cat({ hostname: "cat3.test" }));
        expect(await registry.renewAll([one, two, three])).toEqual([]);
        await registered(cat({ clientId: "client-b" }));
        await registry.remove("cat2.test", "client-a", two.epoch, "left");
        await advance(10);
        const four = { ...three, hostname: "cat4.test" };
        const five = { ...three, epoch: three.epoch + 1 };
        const six = { ...three, clientId: "client-b" };
        expect(await registry.renewAll([one, two, three, four, five, six])).toEqual([one, two, four, five, six]);
        expect(await registry.locate("cat3.test")).toMatchObject({ expires: now() + LEASE_MS });
      });

      it("renews names of many clients and owners in one call", async () => {
        const held: RegistryRecord[] = [];
        for (let index = 0; index < 600; index += 1) {
          const owner = { clientId: `client-${index}`, ownerId: `owner-${index}` };
          held.push(await registered(cat({ hostname: `cat${index}.test`, ...owner })));
        }
        await advance(LEASE_MS - 1);
        expect(await registry.renewAll(held)).toEqual([]);
        await advance(LEASE_MS - 1);
        for (const { hostname } of [held[0] ?? cat(), held[599] ?? cat()]) {
          expect(await registry.locate(hostname)).toMatchObject({ state: "up" });
        }
      });
    });

    describe("remove", () => {
      it("ends the route at once when the client left", async () => {
        const { epoch } = await registered(cat());
        expect(await registry.remove("cat1.test", "client-a", epoch, "left")).toBe(true);
        expect(await registry.locate("cat1.test")).toBeNull();
        expect(await registry.list(null, 10)).toEqual([]);
      });

      it("leaves the route away when the client was lost", async () => {
        const { epoch } = await registered(cat());
        expect(await registry.remove("cat1.test", "client-a", epoch, "lost")).toBe(true);
        expect(await registry.locate("cat1.test")).toMatchObject({ state: "away", epoch, expires: now() + GRACE_MS });
      });

      it.each(["left", "lost"] as const)("keeps the name its owner's for the grace after %s", async (reason) => {
        const { epoch, since } = await registered(cat());
        await registry.remove("cat1.test", "client-a", epoch, reason);
        await advance(GRACE_MS - 1);
        const graceOf = "ben-id";
        expect(await registry.register(cat(EVE))).toEqual({ status: "taken", ownerName: "ben", since, graceOf });
        await advance(1);
        expect(await registry.register(cat(EVE))).toMatchObject({ status: "registered", replaced: null });
      });

      it.each(["left", "lost"] as const)(
        "gives the name to anybody after %s once its owner is no more",
        async (reason) => {
          const goneOwnerId = "ben-id";
          // Ids of clients are their own: another owner's may have the same.
          const eves = cat({ ...EVE, clientId: "client-a", nodeId: "node-2" });
          const { epoch, since } = await registered(cat());
          const held = { status: "taken", ownerName: "ben", since, graceOf: null };
          expect(await registry.register({ ...eves, goneOwnerId })).toEqual(held);
          await registry.remove("cat1.test", "client-a", epoch, reason);
          expect(await registry.register({ ...eves, goneOwnerId: "tim-id" })).toMatchObject({ status: "taken" });
          await advance(1);
          const result = await registry.register({ ...eves, goneOwnerId });
          const expires = now() + LEASE_MS;
          const record = { ...eves, epoch: expect.any(Number), state: "up", since: now(), expires };
          expect(result).toEqual({ status: "registered", record, replaced: null });
          const found = await registry.locate("cat1.test");
          expect(found).toMatchObject({ ownerId: "eve-id", nodeId: "node-2" });
          expect(found?.epoch).toBeGreaterThan(epoch);
          expect(await registry.renewAll([{ hostname: "cat1.test", clientId: "client-a", epoch }])).toHaveLength(1);
          expect(await registry.register({ ...cat(), goneOwnerId: "eve-id" })).toMatchObject({ status: "taken" });
        },
      );

      it("gives the name to anybody when its owner is no more and the lease has ended", async () => {
        const { epoch } = await registered(cat());
        await advance(LEASE_MS);
        const result = await registry.register({ ...cat(EVE), goneOwnerId: "ben-id" });
        expect(result).toMatchObject({ status: "registered", replaced: null, record: { ownerId: "eve-id" } });
        expect((await registry.locate("cat1.test"))?.epoch).toBeGreaterThan(epoch);
      });

      it("lets the owner take the name back within the grace", async () => {
        const { epoch } = await registered(cat());
        await registry.remove("cat1.test", "client-a", epoch, "left");
        const result = await registry.register(cat({ clientId: "client-b" }));
        expect(result).toMatchObject({ status: "registered", record: { state: "up" }, replaced: null });
        expect((await registry.locate("cat1.test"))?.epoch).toBeGreaterThan(epoch);
      });

      it("gives the same client a new epoch after it left, so that a late remove cannot touch it", async () => {
        const { epoch } = await registered(cat());
        await registry.remove("cat1.test", "client-a", epoch, "left");
        const next = await registered(cat());
        expect(next.epoch).toBeGreaterThan(epoch);
        expect(await registry.remove("cat1.test", "client-a", epoch, "left")).toBe(false);
        expect(await registry.locate("cat1.test")).toEqual(next);
      });

      it.each([
        ["an older epoch", "cat1.test", "client-a", -1],
        ["another client", "cat1.test", "client-b", 0],
        ["another name", "cat9.test", "client-a", 0],
      ])("changes nothing for %s", async (_what, hostname, clientId, offset) => {
        const record = await registered(cat());
        expect(await registry.remove(hostname, clientId, record.epoch + offset, "left")).toBe(false);
        expect(await registry.locate("cat1.test")).toEqual(record);
      });
    });

    it("never lets an epoch go back, also after the grace", async () => {
      let highest = 0;
      for (const clientId of ["client-a", "client-b", "client-c"]) {
        const { epoch } = await registered(cat({ clientId }));
        expect(epoch).toBeGreaterThan(highest);
        highest = epoch;
      }
      await advance(LEASE_MS + GRACE_MS);
      expect(await registry.locate("cat1.test")).toBeNull();
      expect((await registered(cat(EVE))).epoch).toBeGreaterThan(highest);
    });

    describe("TCP ports", () => {
      const db = (hostname: string, more: Partial<Registration> = {}): Registration =>
        cat({ hostname, protocol: "tcp", ...more });

      it("gives each TCP name a port of its own, and HTTP names none", async () => {
        const ports = [];
        for (const hostname of ["a.test", "b.test", "c.test"]) ports.push((await registered(db(hostname))).tcpPort);
        expect(ports.sort()).toEqual([20_000, 20_001, 20_002]);
        expect((await registered(cat())).tcpPort).toBeUndefined();
        await expect(registry.register(db("d.test"))).rejects.toMatchObject({ code: "DPX_TCP_PORTS" });
        expect(await registry.locate("d.test")).toBeNull();
      });

      it("keeps the port while the name changes hands, is renewed, or is away", async () => {
        const { tcpPort } = await registered(db("a.test"));
        expect((await registered(db("a.test"))).tcpPort).toBe(tcpPort);
        const next = await registered(db("a.test", { clientId: "client-b" }));
        expect(next.tcpPort).toBe(tcpPort);
        await registry.remove("a.test", "client-b", next.epoch, "lost");
        expect(await registry.locate("a.test")).toMatchObject({ tcpPort });
        expect((await registered(db("a.test", { clientId: "client-c" }))).tcpPort).toBe(tcpPort);
      });

      it("gives another port instead of one that is to be avoided, also to the same client", async () => {
        const first = await registered(db("a.test"));
        const second = await registered(db("a.test", { avoidPorts: [first.tcpPort ?? 0] }));
        expect(second.tcpPort).not.toBe(first.tcpPort);
        expect(second.epoch).toBe(first.epoch);
        const all = [20_000, 20_001, 20_002];
        await expect(registry.register(db("a.test", { avoidPorts: all }))).rejects.toMatchObject({
          code: "DPX_TCP_PORTS",
        });
        expect((await registry.locate("a.test"))?.tcpPort).toBe(second.tcpPort);
        for (const hostname of ["b.test", "c.test"]) await registered(db(hostname));
      });

      it("gives a name that left its old port back as long as it is free", async () => {
        const first = await registered(db("a.test"));
        await registry.remove("a.test", "client-a", first.epoch, "left");
        await registered(db("b.test"));
        await registered(db("c.test"));
        expect((await registered(db("a.test"))).tcpPort).toBe(first.tcpPort);
      });

      it("gives a remembered port away when it is the last one", async () => {
        const first = await registered(db("a.test"));
        await registry.remove("a.test", "client-a", first.epoch, "left");
        for (const hostname of ["b.test", "c.test", "d.test"]) await registered(db(hostname));
        await expect(registry.register(db("a.test"))).rejects.toMatchObject({ code: "DPX_TCP_PORTS" });
      });

      it("frees the port when the name becomes an HTTP one, and when its grace ends", async () => {
        await registered(db("a.test"));
        await registered(cat({ hostname: "a.test" }));
        for (const hostname of ["b.test", "c.test", "d.test"]) await registered(db(hostname));
        await advance(LEASE_MS + GRACE_MS);
        for (const hostname of ["e.test", "f.test", "g.test"]) await registered(db(hostname));
      });
    });

    describe("list", () => {
      it("answers one owner's records, or all, and no more than asked for", async () => {
        await registered(cat());
        await registered(cat({ hostname: "cat2.test" }));
        await registered(cat({ hostname: "dog1.test", ...EVE }));
        const hostnames = async (ownerId: string | null, limit: number): Promise<string[]> =>
          (await registry.list(ownerId, limit)).map(({ hostname }) => hostname).sort();
        expect(await hostnames("ben-id", 10)).toEqual(["cat1.test", "cat2.test"]);
        expect(await hostnames(null, 10)).toEqual(["cat1.test", "cat2.test", "dog1.test"]);
        expect(await hostnames(null, 2)).toHaveLength(2);
        expect(await hostnames("nobody", 10)).toEqual([]);
      });
    });

    describe("countBound", () => {
      it("is no less than what an owner has, and grows with it", async () => {
        await registered(cat());
        expect(await registry.countBound("ben-id")).toBe(1);
        await registered(cat());
        await registered(cat({ hostname: "cat2.test" }));
        expect(await registry.countBound("ben-id")).toBe(2);
      });
    });

    describe("watch", () => {
      it("tells each change before the call that made it resolves, and none after it was stopped", async () => {
        const seen: string[] = [];
        const stop = registry.watch((hostname, record) =>
          seen.push(record === null ? `${hostname} gone` : `${hostname} ${record.state} ${record.epoch}`),
        );
        const { epoch } = await registered(cat());
        expect(seen.splice(0)).toEqual([`cat1.test up ${epoch}`]);
        await registry.remove("cat1.test", "client-a", epoch, "lost");
        expect(seen.splice(0)).toEqual([`cat1.test away ${epoch}`]);
        await registry.renewAll([{ hostname: "cat1.test", clientId: "client-a", epoch }]);
        expect(seen.splice(0)).toEqual([`cat1.test up ${epoch}`]);
        await registry.renewAll([{ hostname: "cat1.test", clientId: "client-a", epoch }]);
        expect(seen.splice(0)).toEqual([]);
        // Time passes without a call: what it changes is told a little later.
        await advance(LEASE_MS);
        await poll(() => seen.length > 0, 5_000, "the lease's end", 2);
        expect(seen.splice(0)).toEqual([`cat1.test away ${epoch}`]);
        await advance(GRACE_MS);
        await poll(() => seen.length > 0, 5_000, "the grace's end", 2);
        expect(seen.splice(0)).toEqual(["cat1.test gone"]);
        const next = await registered(cat());
        await registry.remove("cat1.test", "client-a", next.epoch, "left");
        expect(seen.splice(0)).toEqual([`cat1.test up ${next.epoch}`, "cat1.test gone"]);
        stop();
        await registered(cat());
        expect(seen).toEqual([]);
      });
    });

    it("never has two owners for a name and never lowers an epoch, whatever happens", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step(), { maxLength: 40 }), async (steps) => {
          const { registry: fresh, advance: pass } = await make();
          const highest = new Map<string, number>();
          const stop = fresh.watch((hostname, record) => {
            if (record === null) return;
            expect(record.epoch).toBeGreaterThanOrEqual(highest.get(hostname) ?? 0);
            highest.set(hostname, record.epoch);
          });
          for (const { kind, hostname, owner, client, reason, ms } of steps) {
            const clientId = `client-${owner}${client}`;
            const before = await fresh.locate(hostname);
            if (kind === "register") {
              const ownerId = `${owner}-id`;
              const result = await fresh.register(cat({ hostname, clientId, ownerId, ownerName: owner }));
              if (before !== null && before.ownerId !== ownerId) expect(result.status).toBe("taken");
            } else if (kind === "remove") {
              const removed = await fresh.remove(hostname, clientId, before?.epoch ?? 1, reason);
              if (removed) expect(before?.clientId).toBe(clientId);
            } else if (kind === "renew") {
              const holding = { hostname, clientId, epoch: before?.epoch ?? 1 };
              expect(await fresh.renewAll([holding])).toEqual(before?.clientId === clientId ? [] : [holding]);
            } else {
              await pass(ms);
            }
          }
          stop();
          await fresh.close();
        }),
        { numRuns: 100 },
      );
    });
  });
}

const EVE: Partial<Registration> = { clientId: "client-e", ownerId: "eve-id", ownerName: "eve" };

function cat(more: Partial<Registration> = {}): Registration {
  return {
    hostname: "cat1.test",
    protocol: "http",
    clientId: "client-a",
    ownerId: "ben-id",
    ownerName: "ben",
    nodeId: "node-1",
    wantsReports: false,
    ...more,
  };
}

function step() {
  return fc.record({
    kind: fc.constantFrom("register", "remove", "renew", "wait"),
    hostname: fc.constantFrom("cat1.test", "cat2.test"),
    owner: fc.constantFrom("ben", "eve"),
    client: fc.constantFrom("1", "2"),
    reason: fc.constantFrom("left" as const, "lost" as const),
    ms: fc.constantFrom(1, LEASE_MS / 2, LEASE_MS, GRACE_MS),
  });
}
