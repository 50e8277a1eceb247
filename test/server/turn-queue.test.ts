import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { TurnQueue } from "../../src/server/turn-queue.ts";

describe("TurnQueue", () => {
  it("does one piece of work in each turn, in the order in which they came", async () => {
    const queue = new TurnQueue();
    const done: number[] = [];
    for (const number of [1, 2, 3]) queue.run(() => done.push(number));
    expect(done).toEqual([]);
    const seen: number[][] = [];
    for (let count = 0; count < 3; count += 1) {
      await turn();
      seen.push([...done]);
    }
    expect(seen).toEqual([[1], [1, 2], [1, 2, 3]]);
  });

  it("does what is given to it by its own work, and later", async () => {
    const queue = new TurnQueue();
    const done: string[] = [];
    queue.run(() => {
      done.push("outer");
      queue.run(() => done.push("inner"));
    });
    await turn();
    expect(done).toEqual(["outer"]);
    await turn();
    queue.run(() => done.push("later"));
    await turn();
    expect(done).toEqual(["outer", "inner", "later"]);
  });

  it("keeps no turn for work that was given up", async () => {
    const queue = new TurnQueue();
    const done: string[] = [];
    const giveUp = queue.run(() => done.push("given up"));
    queue.run(() => done.push("kept"));
    giveUp();
    await turn();
    expect(done).toEqual(["kept"]);
    queue.run(() => done.push("also given up"))();
    queue.run(() => done.push("later"));
    await turn();
    expect(done).toEqual(["kept", "later"]);
  });

  it("leaves turns in which connections come to those that may be behind them, for so many in a row", async () => {
    const queue = new TurnQueue();
    const done: string[] = [];
    queue.run(() => done.push("first"));
    void queue.wait().then(() => done.push("second"));
    let turns = 0;
    for (; done.length === 0; turns += 1) {
      queue.arrived();
      await turn();
    }
    expect(turns).toBe(33);
    for (turns = 0; turns < 20; turns += 1) {
      queue.arrived();
      await turn();
    }
    expect(done).toEqual(["first"]);
    await turn();
    expect(done).toEqual(["first", "second"]);
  });

  it("goes on after work that throws", async () => {
    const queue = new TurnQueue();
    const done: string[] = [];
    const failure = new Error("the work's own");
    const thrown = new Promise((resolve) => process.prependOnceListener("uncaughtException", resolve));
    const others = process.listeners("uncaughtException").slice(1);
    for (const listener of others) process.off("uncaughtException", listener);
    queue.run(() => {
      throw failure;
    });
    queue.run(() => done.push("next"));
    expect(await thrown).toBe(failure);
    await turn();
    for (const listener of others) process.on("uncaughtException", listener);
    expect(done).toEqual(["next"]);
    queue.run(() => done.push("later"));
    await turn();
    expect(done).toEqual(["next", "later"]);
  });
});
