// The registry of a single node: the contract, and what is its own.

import { describe, expect, it } from "vitest";
import { MemoryRegistry } from "../../../src/server/backend/index.ts";
import { ManualClock } from "../manual-clock.ts";
import { describeRegistry, GRACE_MS, LEASE_MS, PORTS } from "./registry-contract.ts";

describeRegistry("MemoryRegistry", async () => {
  const clock = new ManualClock();
  const registry = new MemoryRegistry({ leaseMs: LEASE_MS, graceMs: GRACE_MS, tcpPorts: PORTS, clock });
  return { registry, now: () => clock.now(), advance: async (ms) => clock.advance(ms) };
});

function registration(index: number, ownerId = "ben-id") {
  return {
    hostname: `cat${index}.test`,
    protocol: "http" as const,
    clientId: "client-a",
    ownerId,
    ownerName: "ben",
    nodeId: "node-1",
    wantsReports: false,
  };
}

describe("MemoryRegistry's own", () => {
  it("refuses a name when all are held, and forgets the oldest one in grace before that", async () => {
    const registry = new MemoryRegistry({ maxRecords: 3, clock: new ManualClock() });
    for (const index of [1, 2, 3]) await registry.register(registration(index));
    await expect(registry.register(registration(4))).rejects.toMatchObject({ code: "DPX_CLIENTS_LIMIT" });
    await registry.remove("cat2.test", "client-a", 1, "left");
    await registry.remove("cat1.test", "client-a", 1, "lost");
    await registry.register(registration(4));
    expect(registry.size).toBe(3);
    expect(await registry.locate("cat1.test")).toMatchObject({ state: "away" });
    // Its place in the order of epochs is kept by the floor.
    const result = await registry.register(registration(2, "eve-id"));
    expect(result).toMatchObject({ status: "registered", record: { epoch: 2 } });
    await registry.close();
  });

  it("does not lose a name to a sleep of the whole process", async () => {
    const clock = new ManualClock();
    const registry = new MemoryRegistry({ leaseMs: LEASE_MS, graceMs: GRACE_MS, clock });
    await registry.register(registration(1));
    clock.sleep(10 * LEASE_MS);
    expect(await registry.renewAll([{ hostname: "cat1.test", clientId: "client-a", epoch: 1 }])).toEqual([]);
    await registry.close();
  });

  it("has one alarm for all names, and none when there are none", async () => {
    const clock = new ManualClock();
    const registry = new MemoryRegistry({ leaseMs: LEASE_MS, graceMs: GRACE_MS, clock });
    for (let index = 0; index < 100; index += 1) await registry.register(registration(index));
    expect(clock.pending).toBe(1);
    clock.advance(LEASE_MS + GRACE_MS);
    expect([registry.size, clock.pending]).toEqual([0, 0]);
    await registry.register(registration(1));
    await registry.close();
    expect(clock.pending).toBe(0);
  });

  it("ends a grace that is shorter than a lease in time", async () => {
    const clock = new ManualClock();
    const registry = new MemoryRegistry({ leaseMs: LEASE_MS, graceMs: 10, clock });
    await registry.register(registration(1));
    const gone: string[] = [];
    registry.watch((hostname, record) => {
      if (record === null) gone.push(hostname);
    });
    await registry.remove("cat1.test", "client-a", 1, "lost");
    clock.advance(10);
    expect(gone).toEqual(["cat1.test"]);
    await registry.close();
  });

  it("says what is missing when there are no TCP ports", async () => {
    const registry = new MemoryRegistry({ clock: new ManualClock() });
    await expect(registry.register({ ...registration(1), protocol: "tcp" })).rejects.toMatchObject({
      code: "DPX_TCP_PORTS",
      message: 'Cannot open a port for "cat1.test": this server has no TCP ports',
      hint: "Whoever runs the server has to give it some, on nodes with the roles backend, hub and proxy: duplexity serve --tcp-ports 20000-20099",
    });
    expect(registry.size).toBe(0);
  });

  it("starts looking for a port where the name leads, so that a new process gives the same one", async () => {
    const portOf = async (): Promise<number | undefined> => {
      const registry = new MemoryRegistry({ clock: new ManualClock(), tcpPorts: { from: 20_000, to: 20_999 } });
      const result = await registry.register({ ...registration(7), protocol: "tcp" });
      return result.status === "registered" ? result.record.tcpPort : undefined;
    };
    expect(await portOf()).toBe(await portOf());
  });
});
