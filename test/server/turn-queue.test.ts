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
});
