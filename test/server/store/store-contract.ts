// What every Store must do, whatever it keeps its entries in. A new implementation calls `describeStore` and passes.

import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  MAX_KEY_CHARS,
  MAX_KEYS_IN_CALL,
  MAX_LISTED,
  MAX_VALUE_BYTES,
  type Store,
  type Value,
} from "../../../src/server/store/index.ts";
import { poll } from "../../support/wait.ts";

export interface StoreUnderTest {
  readonly store: Store;
  /** Lets time pass for the store; resolves when what was due has ended. */
  advance(ms: number): Promise<void>;
}

const REFUSED = { code: "DPX_STORE" };

/** @param make A fresh, empty store; the suite closes it. */
export function describeStore(name: string, make: () => Promise<StoreUnderTest>): void {
  describe(name, () => {
    let store: Store;
    let advance: StoreUnderTest["advance"];

    beforeEach(async () => {
      ({ store, advance } = await make());
    });
    afterEach(() => store.close());

    describe("put and get", () => {
      it.each<[string, Value]>([
        ["an object", { name: "ben", roles: ["admin", null, 1.5, false], nested: { "": "" } }],
        ["text beyond ASCII", 'Grüße, 猫 🐈 \u0000 \u2028 \\ " \n'],
        ["a key of its own kind", JSON.parse('{"__proto__":{"polluted":true},"constructor":1}')],
        ["a number", -1.25e-7],
        ["false", false],
        ["an empty list", []],
        ["the largest value", "x".repeat(MAX_VALUE_BYTES - 2)],
      ])("keeps %s", async (_kind, value) => {
        await store.put("account/u_1", value);
        expect(JSON.stringify(await store.get("account/u_1"))).toBe(JSON.stringify(value));
      });

      it("answers null for what is not there", async () => {
        expect(await store.get("account/u_1")).toBeNull();
      });

      it("keeps a copy, and answers one", async () => {
        const value = { names: ["cat1"] };
        await store.put("a", value);
        value.names.push("dog1");
        const first = await store.get("a");
        expect(first).toEqual({ names: ["cat1"] });
        Object.assign(Object(first), { names: [] });
        expect(await store.get("a")).toEqual({ names: ["cat1"] });
      });

      it("replaces, and deletes by null and by a time to live of 0", async () => {
        await store.put("a", 1);
        await store.put("a", 2);
        expect(await store.get("a")).toBe(2);
        await store.put("a", null);
        expect(await store.list("")).toEqual([]);
        await store.put("a", 1);
        await store.put("a", 2, { ttlMs: 0 });
        expect(await store.list("")).toEqual([]);
      });

      it("keeps the last of many puts that were made at once", async () => {
        await Promise.all(Array.from({ length: 50 }, (_, index) => store.put("a", index)));
        expect(await store.get("a")).toBe(49);
      });
    });

    describe("getAll", () => {
      it("answers what is at each key, in the order of the keys, and null for what is not there", async () => {
        await store.put("a", { name: "ben" });
        await store.put("b", [1]);
        await store.put("c", 1, { ttlMs: 1_000 });
        await advance(1_000);
        expect(await store.getAll(["b", "none", "a", "c", "b"])).toEqual([[1], null, { name: "ben" }, null, [1]]);
        expect(await store.getAll([])).toEqual([]);
      });

      it("takes as many keys as it may, with the largest values, and no more", async () => {
        const value = "x".repeat(MAX_VALUE_BYTES - 2);
        await store.put("a", value);
        const values = await store.getAll(new Array<string>(MAX_KEYS_IN_CALL).fill("a"));
        expect([values.length, values.every((found) => found === value)]).toEqual([MAX_KEYS_IN_CALL, true]);
        const tooMany = new Array<string>(MAX_KEYS_IN_CALL + 1).fill("a");
        await expect(store.getAll(tooMany)).rejects.toMatchObject(REFUSED);
        await expect(store.getAll(["a", ""])).rejects.toMatchObject(REFUSED);
      });
    });

    describe("ttlMs", () => {
      it("ends an entry for every method", async () => {
        for (const key of ["a", "b", "c"]) await store.put(key, 1, { ttlMs: 60_000 });
        await advance(59_000);
        expect(await store.get("a")).toBe(1);
        await advance(1_000);
        expect(await store.get("a")).toBeNull();
        expect(await store.list("")).toEqual([]);
        expect(await store.take("a")).toBeNull();
        expect(await store.delete("b")).toBe(false);
        expect(await store.update("c", (old) => [old])).toEqual([null]);
      });

      it("starts anew with a put, and is over with a put without one", async () => {
        await store.put("a", 1, { ttlMs: 60_000 });
        await store.put("b", 1, { ttlMs: 60_000 });
        await store.put("a", 2, { ttlMs: 120_000 });
        await store.put("b", 2);
        await advance(100_000);
        expect(await store.get("a")).toBe(2);
        await advance(100_000);
        expect(await store.get("a")).toBeNull();
        expect(await store.get("b")).toBe(2);
      });

      it("stays as it was through an update without one, and starts anew with one", async () => {
        await store.put("a", 1, { ttlMs: 60_000 });
        await store.put("b", 1, { ttlMs: 60_000 });
        await advance(30_000);
        await store.update("a", () => 2);
        await store.update("b", () => 1, { ttlMs: 60_000 });
        await advance(40_000);
        expect(await store.get("a")).toBeNull();
        expect(await store.get("b")).toBe(1);
        await advance(20_000);
        expect(await store.get("b")).toBeNull();
      });

      it("may be longer than a timer can be set, and is never no number", async () => {
        await store.put("a", 1, { ttlMs: 400 * 86_400_000 });
        await store.put("b", 1, { ttlMs: Number.POSITIVE_INFINITY });
        await advance(399 * 86_400_000);
        expect(await store.get("a")).toBe(1);
        expect(await store.get("b")).toBe(1);
        await expect(store.put("c", 1, { ttlMs: Number.NaN })).rejects.toMatchObject(REFUSED);
      });
    });

    describe("update", () => {
      it("gives what is there and answers what is kept", async () => {
        expect(await store.update("a", (old) => ({ old }))).toEqual({ old: null });
        expect(await store.update("a", (old) => ({ old }))).toEqual({ old: { old: null } });
        expect(await store.get("a")).toEqual({ old: { old: null } });
      });

      it("deletes by null", async () => {
        await store.put("a", 1);
        expect(await store.update("a", () => null)).toBeNull();
        expect(await store.list("")).toEqual([]);
        expect(await store.update("a", () => null)).toBeNull();
      });

      it("loses none of many that are made at once", async () => {
        const counts = await Promise.all(
          Array.from({ length: 40 }, () => store.update("a", (old) => (typeof old === "number" ? old + 1 : 1))),
        );
        expect(await store.get("a")).toBe(40);
        expect(new Set(counts).size).toBe(40);
      });

      it("changes nothing when the change throws, and throws that on", async () => {
        await store.put("a", 1);
        const failure = new Error("not so");
        const thrown = store.update("a", () => {
          throw failure;
        });
        await expect(thrown).rejects.toBe(failure);
        await expect(store.update("a", () => "x".repeat(MAX_VALUE_BYTES))).rejects.toMatchObject(REFUSED);
        expect(await store.get("a")).toBe(1);
      });
    });

    describe("take and delete", () => {
      it("gives an entry to exactly one of many who take it", async () => {
        await store.put("code", "once");
        const taken = await Promise.all(Array.from({ length: 20 }, () => store.take("code")));
        expect(taken.filter((value) => value !== null)).toEqual(["once"]);
        expect(await store.get("code")).toBeNull();
      });

      it("answers whether there was something to delete", async () => {
        await store.put("a", 1);
        expect(await store.delete("a")).toBe(true);
        expect(await store.delete("a")).toBe(false);
        expect(await store.get("a")).toBeNull();
      });
    });

    describe("list", () => {
      it("answers what begins with the prefix, in the order of the keys", async () => {
        for (const key of ["ban/z", "ban/a", "band/a", "ban", "ban/B", "ba"]) await store.put(key, key);
        expect((await store.list("ban/")).map(({ key, value }) => [key, value])).toEqual([
          ["ban/B", "ban/B"],
          ["ban/a", "ban/a"],
          ["ban/z", "ban/z"],
        ]);
        expect((await store.list("")).map(({ key }) => key)).toEqual([
          "ba",
          "ban",
          "ban/B",
          "ban/a",
          "ban/z",
          "band/a",
        ]);
        expect(await store.list("c")).toEqual([]);
      });

      it("takes every character of a prefix for itself", async () => {
        const keys = ["a*b", "a?b", "a[b]c", "a\\b", "a^b", "a{b}"];
        for (const key of keys) await store.put(key, 1);
        await store.put("axb", 1);
        for (const key of keys) expect(await store.list(key)).toEqual([{ key, value: 1 }]);
        expect(await store.list("a[x")).toEqual([]);
      });

      it(`answers the first ${MAX_LISTED} at most`, async () => {
        const keys = Array.from({ length: MAX_LISTED + 1 }, (_, index) => `k/${String(index).padStart(6, "0")}`);
        for (let at = 0; at < keys.length; at += 500) {
          await Promise.all(keys.slice(at, at + 500).map((key) => store.put(key, 1)));
        }
        const listed = await store.list("k/");
        expect(listed).toHaveLength(MAX_LISTED);
        expect(listed[0]?.key).toBe("k/000000");
        expect(listed.at(-1)?.key).toBe(keys[MAX_LISTED - 1]);
      });
    });

    describe("append and readLog", () => {
      it("answers the newest, oldest first", async () => {
        expect(await store.readLog("audit", 10)).toEqual([]);
        for (const at of [1, 2, 3, 4, 5]) await store.append("audit", { at });
        expect(await store.readLog("audit", 3)).toEqual([{ at: 3 }, { at: 4 }, { at: 5 }]);
        expect(await store.readLog("audit", 10)).toHaveLength(5);
        expect(await store.readLog("audit", 0)).toEqual([]);
        expect(await store.readLog("other", 10)).toEqual([]);
      });

      it("keeps the order of what was appended at once, and is no entry", async () => {
        await Promise.all(Array.from({ length: 100 }, (_, index) => store.append("audit", index)));
        expect(await store.readLog("audit", 100)).toEqual(Array.from({ length: 100 }, (_, index) => index));
        expect(await store.list("")).toEqual([]);
        expect(await store.get("audit")).toBeNull();
      });
    });

    describe("watch", () => {
      it("tells each change below its prefix, and no other", async () => {
        const heard = new Set<string>();
        store.watch("ban/", (key) => heard.add(key));
        await store.put("account/u_1", 1);
        await store.put("ban/put", 1);
        await store.update("ban/update", () => 1);
        await poll(() => heard.has("ban/put") && heard.has("ban/update"), 5_000, "the calls");
        expect([...heard].sort()).toEqual(["ban/put", "ban/update"]);
        heard.clear();
        await store.take("ban/put");
        await store.delete("ban/update");
        await poll(() => heard.has("ban/put") && heard.has("ban/update"), 5_000, "the calls");
        expect([...heard].sort()).toEqual(["ban/put", "ban/update"]);
      });

      it("is over when it was told so", async () => {
        const heard: string[] = [];
        const others: string[] = [];
        const stop = store.watch("", (key) => heard.push(key));
        store.watch("", (key) => others.push(key));
        stop();
        await store.put("a", 1);
        await poll(() => others.includes("a"), 5_000, "the other's call");
        expect(heard).toEqual([]);
      });
    });

    describe("What does not fit", () => {
      it.each(["", "a b", "ä", "a\n", "\u0000", "x".repeat(MAX_KEY_CHARS + 1)])("refuses the key %j", async (key) => {
        await expect(store.put(key, 1)).rejects.toMatchObject(REFUSED);
        await expect(store.get(key)).rejects.toMatchObject(REFUSED);
        await expect(store.update(key, () => 1)).rejects.toMatchObject(REFUSED);
        await expect(store.take(key)).rejects.toMatchObject(REFUSED);
        await expect(store.delete(key)).rejects.toMatchObject(REFUSED);
        await expect(store.append(key, 1)).rejects.toMatchObject(REFUSED);
        await expect(store.readLog(key, 1)).rejects.toMatchObject(REFUSED);
      });

      it("takes the longest key", async () => {
        const key = "~".repeat(MAX_KEY_CHARS);
        await store.put(key, 1);
        expect(await store.list(key)).toEqual([{ key, value: 1 }]);
      });

      it("refuses a value that is too large, counted in bytes", async () => {
        const tooLarge = "ä".repeat(MAX_VALUE_BYTES / 2);
        await expect(store.put("a", tooLarge)).rejects.toMatchObject({
          code: "DPX_STORE",
          message: `Cannot keep "a": its JSON has ${MAX_VALUE_BYTES + 2} bytes, wanted at most ${MAX_VALUE_BYTES}`,
        });
        await expect(store.append("log", tooLarge)).rejects.toMatchObject(REFUSED);
        expect(await store.get("a")).toBeNull();
      });
    });

    it("refuses everything once it is closed, which may be said twice", async () => {
      await store.put("a", 1);
      await store.close();
      await store.close();
      const closed = { code: "DPX_STORE", message: "Cannot use the store: it is closed" };
      await expect(store.get("a")).rejects.toMatchObject(closed);
      await expect(store.put("a", 1)).rejects.toMatchObject(closed);
      await expect(store.update("a", () => 1)).rejects.toMatchObject(closed);
      await expect(store.take("a")).rejects.toMatchObject(closed);
      await expect(store.list("")).rejects.toMatchObject(closed);
      await expect(store.readLog("audit", 1)).rejects.toMatchObject(closed);
      expect(() => store.watch("", () => {})).toThrow("it is closed");
    });

    it("does what a map does, in whatever order it is asked", async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step(), { maxLength: 30 }), async (steps) => {
          for (const { key } of await store.list("")) await store.delete(key);
          const model = new Map<string, Value>();
          for (const { kind, key, value } of steps) {
            const old = model.get(key) ?? null;
            if (kind === "put") {
              await store.put(key, value);
              model.set(key, value);
            } else if (kind === "update") {
              expect(await store.update(key, (there) => [there, value])).toEqual([old, value]);
              model.set(key, [old, value]);
            } else {
              if (kind === "take") expect(await store.take(key)).toEqual(old);
              else expect(await store.delete(key)).toBe(model.has(key));
              model.delete(key);
            }
            expect(await store.get(key)).toEqual(model.get(key) ?? null);
          }
          const expected = [...model].sort(([a], [b]) => (a < b ? -1 : 1)).map(([at, value]) => ({ key: at, value }));
          expect(await store.list("")).toEqual(expected);
        }),
        { numRuns: 30 },
      );
    });
  });
}

function step() {
  return fc.record({
    kind: fc.constantFrom("put", "update", "take", "delete"),
    key: fc.constantFrom("a", "a/b", "a/c", "b"),
    value: fc.constantFrom<Value>(0, "text", { field: [1] }),
  });
}
