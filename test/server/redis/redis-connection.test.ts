// The connection to Redis: no call hangs, none is made twice, nothing is told of the password.

import { inspect } from "node:util";
import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { MAX_CALLS, RedisConnection, scriptOf } from "../../../src/server/redis/redis-connection.ts";
import { parseRedisUrl } from "../../../src/server/redis/redis-url.ts";
import { redisCli, startRedis, startRedisServer } from "../../support/redis.ts";
import { freePort } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { within } from "../../support/wait.ts";
import { connectTo } from "../backend/redis-stage.ts";

const stage = useStage();

async function failureOf(work: Promise<unknown>): Promise<DuplexityError> {
  const error = await work.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error instanceof DuplexityError) return error;
  throw new Error(`No DuplexityError: ${inspect(error)}`);
}

describe("RedisConnection", () => {
  it("runs a script also on a Redis that has forgotten it", async () => {
    const port = await startRedis(stage);
    const connection = await connectTo(stage, port);
    const script = scriptOf('return {KEYS[1], ARGV[1], redis.call("INCR", KEYS[1])}');
    expect(await connection.run(script, ["key"], ["x"])).toEqual(["key", "x", 1]);
    await redisCli(port, ["SCRIPT", "FLUSH"]);
    expect(await connection.run(script, ["key"], ["x"])).toEqual(["key", "x", 2]);
  });

  it("gives a call up that is not answered, and does not make it again", async () => {
    const redis = await startRedisServer(stage);
    const connection = await connectTo(stage, redis.port);
    redis.signal("SIGSTOP");
    expect(await failureOf(connection.call("incr", ["key"]))).toMatchObject({
      code: "DPX_STORE",
      message: `Cannot use Redis at "redis://127.0.0.1:${redis.port}/0": no answer within 600 ms, so whether it is done is unknown`,
    });
    redis.signal("SIGCONT");
    expect(await within(connection.call("get", ["key"]), 5_000, "Redis")).toBe("1");
  });

  it("lets a call wait for a connection that comes in time", async () => {
    const redis = await startRedisServer(stage);
    const connection = await connectTo(stage, redis.port);
    await redisCli(redis.port, ["CLIENT", "KILL", "TYPE", "normal"]);
    expect(await connection.call("ping")).toBe("PONG");
    await redis.end();
    expect(await failureOf(connection.call("ping"))).toMatchObject({ code: "DPX_STORE" });
  });

  it("has a bound on calls that wait", async () => {
    const redis = await startRedisServer(stage);
    const connection = await connectTo(stage, redis.port);
    redis.signal("SIGSTOP");
    const calls = Array.from({ length: MAX_CALLS }, () => connection.call("ping"));
    const settled = Promise.allSettled(calls);
    expect(await failureOf(connection.call("ping"))).toMatchObject({
      code: "DPX_STORE",
      message: expect.stringContaining(`${MAX_CALLS} calls wait for it already`),
    });
    expect((await settled).every(({ status }) => status === "rejected")).toBe(true);
  });

  it("answers what Redis refuses as DPX_STORE", async () => {
    const connection = await connectTo(stage, await startRedis(stage));
    await connection.call("set", ["key", "text"]);
    expect(await failureOf(connection.call("incr", ["key"]))).toMatchObject({
      code: "DPX_STORE",
      message: expect.stringContaining("not an integer"),
      hint: expect.stringContaining("Look whether Redis runs there"),
    });
  });

  it("is not opened where nothing listens, nor on several hosts that are no Redis Cluster", async () => {
    const open = (text: string) => RedisConnection.open(parseRedisUrl(text));
    const nowhere = `127.0.0.1:${await freePort()}`;
    expect(await failureOf(within(open(`redis://${nowhere}`), 10_000, "the refusal"))).toMatchObject({
      code: "DPX_STORE",
    });
    const port = await startRedis(stage);
    expect(await failureOf(open(`redis://127.0.0.1:${port},127.0.0.1:${port}`))).toMatchObject({
      code: "DPX_USAGE",
      message: expect.stringContaining("several hosts are for a Redis Cluster, and this Redis is none"),
    });
  });

  it("is not opened for a database that Redis does not have: it would go on in another one", async () => {
    const port = await startRedis(stage);
    const url = `redis://127.0.0.1:${port}`;
    const refused = RedisConnection.open(parseRedisUrl(`${url}/16`));
    expect(await failureOf(refused)).toMatchObject({
      code: "DPX_USAGE",
      message: `Cannot use database 16 of Redis at "${url}/16": ERR DB index is out of range`,
    });
    const connection = await RedisConnection.open(parseRedisUrl(`${url}/15`));
    stage.defer(() => connection.close());
    await connection.call("set", ["key", "text"]);
    expect(await redisCli(port, ["-n", "15", "GET", "key"])).toBe("text");
  });

  it("shows the password in no error, right or wrong", async () => {
    const password = "open-sesame";
    const redis = await startRedisServer(stage, { args: ["--requirepass", password], password });
    const open = (secret: string) =>
      RedisConnection.open(parseRedisUrl(`redis://:${secret}@127.0.0.1:${redis.port}/1`));
    const connection = await open(password);
    stage.defer(() => connection.close());
    await connection.call("set", ["key", "text"]);
    const failures = [
      await failureOf(connection.call("incr", ["key"])),
      await failureOf(within(open("wrong-secret"), 10_000, "the refusal")),
    ];
    // Only what trying again may mend is the store's.
    expect(failures.map(({ code }) => code)).toEqual(["DPX_STORE", "DPX_USAGE"]);
    for (const failure of failures) {
      expect(inspect(failure, { depth: 10 })).not.toMatch(/open-sesame|wrong-secret/);
    }
  });
});
