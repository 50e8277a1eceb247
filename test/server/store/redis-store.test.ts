// The store in Redis: the contract, and what is its own, on a real redis-server.

import { inspect } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { CALL_TIMEOUT_MS, MAX_CALLS } from "../../../src/server/redis/index.ts";
import { RedisStore } from "../../../src/server/store/redis-store.ts";
import { MAX_LOG_ENTRIES, type Store } from "../../../src/server/store/store.ts";
import { barMs } from "../../support/bars.ts";
import { type RedisOptions, type RunningRedis, redisCli, startRedis, startRedisServer } from "../../support/redis.ts";
import { freePort } from "../../support/sockets.ts";
import { useFileStage, useStage } from "../../support/stage.ts";
import { poll, within } from "../../support/wait.ts";
import { letTimePass } from "./redis-time.ts";
import { describeStore } from "./store-contract.ts";

/** "Within about one second", on a machine that has other work too. */
const SOON_MS = barMs(2_500);

const stage = useStage();
const fileStage = useFileStage();
let port = 0;

beforeAll(async () => {
  port = await startRedis(fileStage);
});

/** `count` stores on the file's redis-server, which is empty. */
async function openStores(count: number): Promise<Store[]> {
  await redisCli(port, ["FLUSHALL"]);
  const stores: Store[] = [];
  for (let index = 0; index < count; index++) stores.push(await openOn(port));
  return stores;
}

async function openOn(redisPort: number, warn: (message: string) => void = () => {}): Promise<Store> {
  const store = await RedisStore.open({ url: `redis://127.0.0.1:${redisPort}`, warn });
  stage.defer(() => store.close());
  return store;
}

/** A redis-server of the test's own, to be stopped and killed. */
async function startOwn(options: RedisOptions = {}): Promise<RunningRedis> {
  return startRedisServer(stage, options);
}

describeStore("RedisStore", async () => {
  await redisCli(port, ["FLUSHALL"]);
  return { store: await openOn(port), advance: (ms) => letTimePass(port, ms) };
});

describe("Two stores on one Redis", () => {
  it("see each other's entries, and tell each other's changes once", async () => {
    const [one, two] = await openStores(2);
    if (one === undefined || two === undefined) throw new Error("No stores");
    const heard: string[] = [];
    one.watch("ban/", (key) => heard.push(key));
    await one.put("ban/own", 1);
    await two.put("account/a", 1);
    await two.put("ban/other", 1);
    expect(await one.get("ban/other")).toBe(1);
    await poll(() => heard.includes("ban/other"), 5_000, "the other's change");
    expect(heard).toEqual(["ban/own", "ban/other"]);
  });

  it("lose no update, and give what is taken to one of them", async () => {
    const stores = await openStores(3);
    const increment = (store: Store) => store.update("count", (old) => (typeof old === "number" ? old + 1 : 1));
    await Promise.all(stores.flatMap((store) => Array.from({ length: 20 }, () => increment(store))));
    await stores[0]?.put("code", "once");
    const taken = await Promise.all(stores.flatMap((store) => [store.take("code"), store.take("code")]));
    expect(taken.filter((value) => value !== null)).toEqual(["once"]);
    expect(await stores[1]?.get("count")).toBe(60);
  });
});

describe("RedisStore's keys", () => {
  it("begin with duplexity: and share one hash tag", async () => {
    const [store] = await openStores(1);
    await store?.put("a{b}", 1, { ttlMs: 60_000 });
    await store?.append("audit", 1);
    const keys = (await redisCli(port, ["KEYS", "*"])).split("\n");
    expect(keys).toHaveLength(4);
    expect(keys.every((key) => key.startsWith("duplexity:{store}:"))).toBe(true);
  });

  it("leave the index some changes after their entries have ended", async () => {
    const [store] = await openStores(1);
    for (let index = 0; index < 25; index++) await store?.put(`t/${index}`, 1, { ttlMs: 1_000 });
    await store?.put("kept", 1, { ttlMs: 3_600_000 });
    await letTimePass(port, 2_000);
    for (let index = 0; index < 3; index++) await store?.put("other", index);
    expect(await redisCli(port, ["ZRANGE", "duplexity:{store}:index", "0", "-1"])).toBe("kept\nother");
    expect(await redisCli(port, ["ZRANGE", "duplexity:{store}:ends", "0", "-1"])).toBe("kept");
  });

  it("hold no more entries of a log than they may", async () => {
    const [store] = await openStores(1);
    const fill = `for i = 1, ${MAX_LOG_ENTRIES} do redis.call("XADD", KEYS[1], "*", "json", i) end`;
    await redisCli(port, ["EVAL", fill, "1", "duplexity:{store}:log:audit"]);
    await store?.append("audit", "newest");
    expect(await redisCli(port, ["XLEN", "duplexity:{store}:log:audit"])).toBe(String(MAX_LOG_ENTRIES));
    expect(await store?.readLog("audit", 600)).toHaveLength(600);
    expect((await store?.readLog("audit", 600))?.slice(-2)).toEqual([MAX_LOG_ENTRIES, "newest"]);
  });
});

describe("A Redis that does not answer", () => {
  const everyCall = (store: Store): Promise<unknown>[] => [
    store.get("a"),
    store.put("a", 2),
    store.update("a", () => 2),
    store.take("a"),
    store.delete("a"),
    store.list(""),
    store.append("audit", 1),
    store.readLog("audit", 1),
  ];

  async function expectRefused(store: Store, message: RegExp): Promise<void> {
    const calls = everyCall(store).map((call) =>
      expect(call).rejects.toMatchObject({ code: "DPX_STORE", message: expect.stringMatching(message) }),
    );
    await within(Promise.all(calls), SOON_MS, "the refusals");
  }

  it("is told within about a second when it hangs, and used again when it goes on", async () => {
    const redis = await startOwn();
    const store = await openOn(redis.port);
    redis.signal("SIGSTOP");
    await expectRefused(
      store,
      new RegExp(`^Cannot use Redis at "redis://127\\.0\\.0\\.1:\\d+/0": no answer within ${CALL_TIMEOUT_MS} ms`),
    );
    redis.signal("SIGCONT");
    await poll(
      () =>
        store
          .put("b", 3)
          .then(() => true)
          .catch(() => false),
      10_000,
      "the store",
    );
    expect(await store.get("b")).toBe(3);
  });

  it("holds no more calls than it may", async () => {
    const redis = await startOwn();
    const store = await openOn(redis.port);
    redis.signal("SIGSTOP");
    const calls = Array.from({ length: MAX_CALLS }, () => store.get("a").catch(() => null));
    await expect(store.get("a")).rejects.toMatchObject({
      code: "DPX_STORE",
      message: expect.stringContaining(`${MAX_CALLS} calls wait for it already`),
    });
    await Promise.all(calls);
    redis.signal("SIGCONT");
  });

  it("is told within about a second when it is gone; nothing that was refused happens later", async () => {
    const redis = await startOwn();
    const warnings: string[] = [];
    const store = await openOn(redis.port, (message) => warnings.push(message));
    const heard: string[] = [];
    store.watch("", (key) => heard.push(key));
    await redis.end();
    await expectRefused(store, /Cannot use Redis at/);
    await startOwn({ port: redis.port });
    await poll(
      () =>
        store
          .get("a")
          .then(() => true)
          .catch(() => false),
      10_000,
      "the store",
    );
    expect(await redisCli(redis.port, ["KEYS", "*"])).toBe("");
    expect(warnings.length).toBe(2);
    expect(warnings[0]).toContain(`the store is out of reach: Cannot use Redis at "redis://127.0.0.1:${redis.port}/0"`);
    expect(warnings[1]).toBe(`the store at "redis://127.0.0.1:${redis.port}/0" answers again`);
    // The watch is on the new connection too, sooner or later.
    const other = await openOn(redis.port);
    const isHeard = async (): Promise<boolean> => {
      await other.put("from/other", 1);
      return heard.includes("from/other");
    };
    await poll(isHeard, 10_000, "the watch");
  });

  it("is told when it was never there", async () => {
    const opening = RedisStore.open({ url: `redis://127.0.0.1:${await freePort()}` });
    await expect(within(opening, SOON_MS, "the refusal")).rejects.toMatchObject({
      code: "DPX_STORE",
      message: expect.stringMatching(/^Cannot use Redis at "redis:\/\/127\.0\.0\.1:\d+\/0": .*ECONNREFUSED/),
    });
  });
});

describe("A password", () => {
  const PASSWORD = "p@ss/wörd:1 %";
  const urlOf = (redisPort: number, password = PASSWORD) =>
    `redis://default:${encodeURIComponent(password)}@127.0.0.1:${redisPort}/3`;

  it("lets in, with whatever characters it has", async () => {
    const redis = await startOwn({ args: ["--requirepass", PASSWORD], password: PASSWORD });
    const store = await RedisStore.open({ url: urlOf(redis.port) });
    stage.defer(() => store.close());
    await store.put("a", 1);
    expect(await store.get("a")).toBe(1);
  });

  it("is in no error and no warning", async () => {
    const redis = await startOwn({ args: ["--requirepass", PASSWORD], password: PASSWORD });
    const errors: unknown[] = [];
    const told = (error: unknown): void => {
      errors.push(error);
    };
    await RedisStore.open({ url: urlOf(redis.port, "wrong-password"), warn: told }).catch(told);
    const store = await RedisStore.open({ url: urlOf(redis.port), warn: told });
    stage.defer(() => store.close());
    await redis.end();
    await store.get("a").catch(told);
    await poll(() => errors.some((error) => typeof error === "string"), 5_000, "the warning");
    await RedisStore.open({ url: urlOf(redis.port), warn: told }).catch(told);
    for (const url of [`http://:${PASSWORD}@x`, `redis://:%zz${PASSWORD}@x`, `redis://:${PASSWORD}@x:99999999/0`]) {
      await RedisStore.open({ url }).catch(told);
    }
    expect(errors.length).toBeGreaterThanOrEqual(7);
    expect(errors[0]).toMatchObject({ code: "DPX_USAGE", message: expect.stringContaining("WRONGPASS") });
    const shown = errors.map((error) => inspect(error, { depth: 10, showHidden: true })).join("\n");
    for (const secret of [PASSWORD, encodeURIComponent(PASSWORD), "wrong-password"])
      expect(shown).not.toContain(secret);
  });

  it.each(["", "redis://", "http://127.0.0.1", "redis://127.0.0.1/x", "redis://127.0.0.1?db=1", "127.0.0.1:6379"])(
    "refuses the URL %j",
    async (url) => {
      await expect(RedisStore.open({ url })).rejects.toMatchObject({
        code: "DPX_USAGE",
        message: expect.stringContaining("wanted redis://[user:password@]host[:port][/database]"),
      });
    },
  );
});
