// Where Redis is, as an operator writes it.

import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { slotOf } from "../../../src/server/redis/redis-slot.ts";
import { parseRedisUrl } from "../../../src/server/redis/redis-url.ts";

describe("parseRedisUrl", () => {
  it.each([
    ["redis://redis", [{ host: "redis", port: 6379 }], null, 0, "redis://redis/0"],
    ["redis://127.0.0.1:7000/3", [{ host: "127.0.0.1", port: 7000 }], null, 3, "redis://127.0.0.1:7000/3"],
    ["rediss://[::1]:7000/", [{ host: "::1", port: 7000 }], null, 0, "rediss://[::1]:7000/0"],
    [
      "redis://one:7000,two",
      [
        { host: "one", port: 7000 },
        { host: "two", port: 6379 },
      ],
      null,
      0,
      "redis://one:7000,two/0",
    ],
    [
      "redis+sentinel://one,two:7001/main%20one/2",
      [
        { host: "one", port: 26_379 },
        { host: "two", port: 7001 },
      ],
      "main one",
      2,
      "redis+sentinel://one,two:7001/main one/2",
    ],
  ])("reads %s", (text, hosts, sentinelName, database, shown) => {
    expect(parseRedisUrl(text)).toEqual({
      ...{ hosts, sentinelName, database, shown, username: undefined, password: undefined },
      isTls: text.startsWith("rediss"),
    });
  });

  it("reads user and password, and shows neither", () => {
    const address = parseRedisUrl("redis://us%40er:p%2F%3Aw@redis/1");
    expect(address).toMatchObject({ username: "us@er", password: "p/:w", shown: "redis://redis/1" });
    expect(parseRedisUrl("redis://:secret@redis")).toMatchObject({ username: undefined, password: "secret" });
  });

  it.each([
    "",
    "redis",
    "http://redis",
    "redis://",
    "redis://redis/x",
    "redis://redis:0",
    "redis://redis:70000",
    "redis://redis/1/2",
    "redis://redis?x=1",
    "redis://a b",
    "redis://secret@redis",
    "redis://u:%ZZ@redis",
    "redis+sentinel://one,two",
    "redis+sentinel://one,/main",
    `redis://${"x,".repeat(64)}x`,
  ])("refuses %j, and repeats nothing of it", (text) => {
    const refused = expect.objectContaining({
      code: "DPX_USAGE",
      message: expect.stringMatching(/^Cannot read the R/),
    });
    expect(() => parseRedisUrl(text)).toThrow(refused);
    try {
      parseRedisUrl(text);
    } catch (error) {
      expect(inspect(error)).not.toContain("secret");
    }
  });
});

describe("slotOf", () => {
  it.each([
    ["123456789", 0x31c3],
    ["{user1000}.following", slotOf("user1000")],
    ["foo{}{bar}", 8363],
    ["foo{{bar}}zap", slotOf("{bar")],
    ["foo{bar}{zap}", slotOf("bar")],
    ["", 0],
  ])("puts %j where a Redis Cluster does", (key, slot) => {
    expect(slotOf(key)).toBe(slot);
  });
});
