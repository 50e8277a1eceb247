// The copy in memory: what it shows when answers overtake each other, and when words are lost.

import { afterEach, describe, expect, it, vi } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { Mirror, RELOAD_EVERY_MS } from "../../../src/server/accounts/mirror.ts";
import {
  MAX_KEYS_IN_CALL,
  MemoryStore,
  type Store,
  type StoredEntry,
  type Value,
} from "../../../src/server/store/index.ts";
import { useStage } from "../../support/stage.ts";
import { deferred } from "../../support/wait.ts";

const stage = useStage();
afterEach(() => {
  vi.useRealTimers();
});

interface Delayed {
  readonly store: Store;
  /** Answers that were read and wait to be handed over, oldest first. */
  readonly waiting: (() => void)[];
  isHeld: boolean;
  isFailing: boolean;
  watches: number;
}

/** A store that says nothing of changes, and whose answers come when a test lets them. */
function delayed(inner: Store): Delayed {
  const waiting: (() => void)[] = [];
  const later = async <T>(read: Promise<T>): Promise<T> => {
    if (state.isFailing) throw new DuplexityError("DPX_STORE", "Cannot read the store: it is away");
    const answer = await read;
    if (state.isHeld) await new Promise<void>((resolve) => waiting.push(resolve));
    return answer;
  };
  const store: Store = {
    get: (key): Promise<Value | null> => later(inner.get(key)),
    getAll: (keys): Promise<readonly (Value | null)[]> => later(inner.getAll(keys)),
    list: (prefix): Promise<readonly StoredEntry[]> => later(inner.list(prefix)),
    watch: () => {
      state.watches += 1;
      return () => {
        state.watches -= 1;
      };
    },
    put: (...args) => inner.put(...args),
    update: (...args) => inner.update(...args),
    take: (key) => inner.take(key),
    delete: (key) => inner.delete(key),
    append: (...args) => inner.append(...args),
    readLog: (...args) => inner.readLog(...args),
    close: () => inner.close(),
  };
  const state: Delayed = { store, waiting, isHeld: false, isFailing: false, watches: 0 };
  return state;
}

function readText(value: Value): string | null {
  return typeof value === "string" ? value : null;
}

async function openMirror(store: Store, log?: (level: "warn", message: string) => void): Promise<Mirror<string>> {
  const indexes = (value: string) => [`first/${value.slice(0, 1)}`];
  const mirror = await Mirror.open({
    store,
    prefix: "x/",
    read: readText,
    indexes,
    ...(log === undefined ? {} : { log }),
  });
  stage.defer(() => mirror.close());
  return mirror;
}

describe("Mirror", () => {
  it("shows what there is, by key and by index, and leaves out what is not whole", async () => {
    const store = new MemoryStore();
    await store.put("x/1", "ant");
    await store.put("x/2", 7);
    await store.put("y/1", "bee");
    const mirror = await openMirror(store);
    expect([mirror.values(), mirror.get("x/1"), mirror.find("first/a"), mirror.find("first/b")]).toEqual([
      ...[["ant"], "ant", "ant", null],
    ]);
    await store.put("x/1", "bee");
    await expect.poll(() => mirror.get("x/1")).toBe("bee");
    expect([mirror.find("first/a"), mirror.find("first/b")]).toEqual([null, "bee"]);
    await store.delete("x/1");
    await expect.poll(() => mirror.size).toBe(0);
    expect(mirror.find("first/b")).toBeNull();
  });

  it("drops an older answer that comes after a newer one", async () => {
    const inner = new MemoryStore();
    const slow = delayed(inner);
    const mirror = await openMirror(slow.store);
    slow.isHeld = true;
    await inner.put("x/1", "old");
    const first = mirror.refresh("x/1");
    await vi.waitUntil(() => slow.waiting.length === 1);
    await inner.put("x/1", "new");
    const second = mirror.refresh("x/1");
    await vi.waitUntil(() => slow.waiting.length === 2);
    slow.waiting[1]?.();
    await second;
    slow.waiting[0]?.();
    await first;
    expect(mirror.get("x/1")).toBe("new");
  });

  it("does not let a slow list undo what was seen since it was read, nor an answer from before it", async () => {
    const inner = new MemoryStore();
    const slow = delayed(inner);
    await inner.put("x/1", "one");
    await inner.put("x/2", "two");
    const mirror = await openMirror(slow.store);
    slow.isHeld = true;
    const stale = mirror.refresh("x/2");
    await vi.waitUntil(() => slow.waiting.length === 1);
    await inner.delete("x/2");
    const reload = mirror.reload();
    await vi.waitUntil(() => slow.waiting.length === 2);
    await inner.delete("x/1");
    await inner.put("x/3", "three");
    slow.isHeld = false;
    await mirror.refresh("x/1");
    await mirror.refresh("x/3");
    slow.waiting[1]?.();
    await reload;
    slow.waiting[0]?.();
    await stale;
    expect(mirror.values()).toEqual(["three"]);
  });

  it("sees what it was not told of within ten seconds, and lives through an outage with one warning", async () => {
    vi.useFakeTimers();
    const inner = new MemoryStore();
    const quiet = delayed(inner);
    const warnings: string[] = [];
    const mirror = await openMirror(quiet.store, (_level, message) => warnings.push(message));
    await inner.put("x/1", "one");
    await vi.advanceTimersByTimeAsync(RELOAD_EVERY_MS);
    expect([mirror.values(), RELOAD_EVERY_MS]).toEqual([["one"], 10_000]);
    quiet.isFailing = true;
    await inner.put("x/1", "two");
    await vi.advanceTimersByTimeAsync(5 * RELOAD_EVERY_MS);
    expect([mirror.values(), warnings]).toEqual([
      ["one"],
      ['"x/" was not read from the store: Cannot read the store: it is away'],
    ]);
    quiet.isFailing = false;
    await vi.advanceTimersByTimeAsync(RELOAD_EVERY_MS);
    expect(mirror.values()).toEqual(["two"]);
    mirror.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it("looks together at all that has changed during a look, and at no more than a store answers at once", async () => {
    const inner = new MemoryStore();
    const slow = delayed(inner);
    const mirror = await openMirror({ ...slow.store, watch: (...args) => inner.watch(...args) });
    slow.isHeld = true;
    await inner.put("x/0", "zero");
    await vi.waitUntil(() => slow.waiting.length === 1);
    const getAll = vi.spyOn(inner, "getAll");
    const count = MAX_KEYS_IN_CALL + 50;
    for (let at = 0; at < count; at += 1) await inner.put(`x/${at}`, `new ${at}`);
    expect(slow.waiting).toHaveLength(1);
    slow.isHeld = false;
    slow.waiting[0]?.();
    await vi.waitUntil(() => mirror.size === count);
    expect([mirror.get("x/0"), mirror.get(`x/${count - 1}`)]).toEqual(["new 0", `new ${count - 1}`]);
    expect(getAll.mock.calls.map(([keys]) => keys.length)).toEqual([MAX_KEYS_IN_CALL, 50]);
  });

  it("sees all that has changed although whoever hears of it fails at one of them", async () => {
    const inner = new MemoryStore();
    const warnings: string[] = [];
    const heard: string[] = [];
    const mirror = await Mirror.open({
      ...{ store: inner, prefix: "x/", read: readText },
      onChanged: (value) => {
        heard.push(value);
        if (value === "two") throw new Error("deaf to two");
      },
      log: (_level, message) => warnings.push(message),
    });
    stage.defer(() => mirror.close());
    const read = inner.getAll.bind(inner);
    const gate = deferred<void>();
    vi.spyOn(inner, "getAll").mockImplementationOnce((keys) => gate.promise.then(() => read(keys)));
    for (const value of ["zero", "one", "two", "three"]) await inner.put(`x/${value}`, value);
    gate.resolve();
    await vi.waitUntil(() => heard.length === 4);
    expect([mirror.size, warnings.length]).toEqual([4, 1]);
  });

  it("keeps the newer list when an older one comes after it", async () => {
    const inner = new MemoryStore();
    const slow = delayed(inner);
    await inner.put("x/1", "old");
    const mirror = await openMirror(slow.store);
    slow.isHeld = true;
    const older = mirror.reload();
    await vi.waitUntil(() => slow.waiting.length === 1);
    await inner.put("x/1", "new");
    slow.isHeld = false;
    await mirror.refreshAll();
    slow.waiting[0]?.();
    await older;
    expect(mirror.values()).toEqual(["new"]);
  });

  it("tells once for each look that entries are gone, when they are", async () => {
    const inner = new MemoryStore();
    const sizes: number[] = [];
    const mirror = await Mirror.open({
      ...{ store: inner, prefix: "x/", read: readText },
      onGone: () => sizes.push(mirror.size),
    });
    stage.defer(() => mirror.close());
    for (const value of ["zero", "one", "two"]) await inner.put(`x/${value}`, value);
    await vi.waitUntil(() => mirror.size === 3);
    const read = inner.getAll.bind(inner);
    const gate = deferred<void>();
    vi.spyOn(inner, "getAll").mockImplementationOnce((keys) => gate.promise.then(() => read(keys)));
    await inner.put("x/zero", "null");
    for (const value of ["one", "two"]) await inner.delete(`x/${value}`);
    gate.resolve();
    await vi.waitUntil(() => sizes.length > 0);
    expect(sizes).toEqual([1]);
  });

  it("keeps what was laid over an entry until the entry changes", async () => {
    const store = new MemoryStore();
    await store.put("x/1", "ant");
    const mirror = await openMirror(store);
    mirror.overlay("x/1", "ape");
    mirror.overlay("x/2", "owl");
    await mirror.reload();
    expect(mirror.values()).toEqual(["ape"]);
    await store.put("x/1", "bee");
    await mirror.refresh("x/1");
    expect(mirror.values()).toEqual(["bee"]);
  });

  it("fails to open, and leaves no watch, when the store cannot be read", async () => {
    const broken = delayed(new MemoryStore());
    broken.isFailing = true;
    await expect(openMirror(broken.store)).rejects.toMatchObject({ code: "DPX_STORE" });
    expect(broken.watches).toBe(0);
  });
});
