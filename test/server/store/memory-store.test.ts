// The store that keeps nothing: the contract, and what is its own.

import { describe, expect, it } from "vitest";
import { MemoryStore, openStore } from "../../../src/server/store/index.ts";
import { LogTail, MAX_LOG_CHARS } from "../../../src/server/store/log-tail.ts";
import { MAX_LOG_ENTRIES } from "../../../src/server/store/store.ts";
import { MAX_WATCHES } from "../../../src/server/store/watches.ts";
import { ManualClock } from "../manual-clock.ts";
import { describeStore } from "./store-contract.ts";

describeStore("MemoryStore", async () => {
  const clock = new ManualClock();
  return { store: new MemoryStore({ clock }), advance: async (ms) => clock.advance(ms) };
});

describe("MemoryStore's own", () => {
  it("refuses an entry too many, and takes one when another's time has ended or it was deleted", async () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock, maxEntries: 2 });
    await store.put("a", 1);
    await store.put("b", 1, { ttlMs: 1_000 });
    await expect(store.put("c", 1)).rejects.toMatchObject({
      code: "DPX_STORE",
      message: 'Cannot keep "c": the store is full, it has 2 entries',
    });
    await store.put("a", 2);
    clock.sleep(60_000);
    await store.put("c", 1);
    await expect(store.put("d", 1)).rejects.toMatchObject({ code: "DPX_STORE" });
    await store.delete("a");
    await store.put("d", 1);
    await store.close();
  });

  it("refuses characters too many, and lets what is there shrink", async () => {
    const store = new MemoryStore({ maxChars: 20 });
    await store.put("a", "x".repeat(17));
    await expect(store.put("b", 1)).rejects.toMatchObject({ message: expect.stringContaining("it has 20 characters") });
    await expect(store.update("a", () => "x".repeat(18))).rejects.toMatchObject({ code: "DPX_STORE" });
    await store.put("a", "x");
    await store.put("b", 1);
    await store.close();
  });

  it("sweeps with one timer, and with none when nothing has an end", async () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    await store.put("a", 1);
    expect(clock.pending).toBe(0);
    for (let index = 0; index < 100; index++) await store.put(`t/${index}`, 1, { ttlMs: 1_000 + index });
    expect(clock.pending).toBe(1);
    clock.advance(120_000);
    expect(clock.pending).toBe(0);
    await store.put("b", 1, { ttlMs: 1_000 });
    await store.close();
    expect(clock.pending).toBe(0);
  });

  it("lets no listener's failure reach the store or another listener", async () => {
    const store = await openStore({ kind: "memory" });
    const heard: string[] = [];
    const failure = new Error("the listener's own");
    const thrown = new Promise((resolve) => process.prependOnceListener("uncaughtException", resolve));
    const others = process.listeners("uncaughtException").slice(1);
    for (const listener of others) process.off("uncaughtException", listener);
    store.watch("", () => {
      throw failure;
    });
    store.watch("", (key) => heard.push(key));
    await store.put("a", 1);
    expect(heard).toEqual(["a"]);
    expect(await thrown).toBe(failure);
    for (const listener of others) process.on("uncaughtException", listener);
    await store.close();
  });

  it("bounds its watches", async () => {
    const store = new MemoryStore();
    const stop = store.watch("", () => {});
    for (let index = 1; index < MAX_WATCHES; index++) store.watch("", () => {});
    expect(() => store.watch("", () => {})).toThrow(`the store has ${MAX_WATCHES} watches already`);
    stop();
    store.watch("", () => {});
    await store.close();
  });

  it("bounds its logs' number", async () => {
    const store = new MemoryStore();
    for (let index = 0; index < 16; index++) await store.append(`log${index}`, 1);
    await expect(store.append("log16", 1)).rejects.toMatchObject({
      message: expect.stringContaining("it has 16 logs"),
    });
    await store.append("log0", 2);
    await store.close();
  });
});

describe("LogTail", () => {
  it("keeps its newest entries", () => {
    const tail = new LogTail();
    for (let index = 0; index < MAX_LOG_ENTRIES * 2 + 5; index++) tail.append(String(index));
    expect(tail.length).toBe(MAX_LOG_ENTRIES);
    expect(tail.newest(2)).toEqual([String(MAX_LOG_ENTRIES * 2 + 3), String(MAX_LOG_ENTRIES * 2 + 4)]);
    expect(tail.newest(MAX_LOG_ENTRIES * 2)).toHaveLength(MAX_LOG_ENTRIES);
  });

  it("keeps no more characters than it may", () => {
    const tail = new LogTail();
    const large = "x".repeat(MAX_LOG_CHARS / 8);
    for (let index = 0; index < 100; index++) tail.append(large);
    expect(tail.length).toBe(8);
  });
});
