// Work that takes turns: how much runs at once, in which order, and what becomes of whoever waits too long.

import { describe, expect, it } from "vitest";
import { WorkQueue } from "../../src/server/work-queue.ts";
import { deferred } from "../support/wait.ts";

const FULL = "too much";

function queueOf(options: { readonly maxRunning: number; readonly maxWaiting: number }): WorkQueue {
  return new WorkQueue({ ...options, refusal: () => new Error(FULL) });
}

describe("WorkQueue", () => {
  it("runs as many at once as it may, the others in their order, also after a failure", async () => {
    const queue = queueOf({ maxRunning: 2, maxWaiting: 10 });
    const order: number[] = [];
    let [running, most] = [0, 0];
    const work = async (number: number) => {
      running += 1;
      most = Math.max(most, running);
      order.push(number);
      await Promise.resolve();
      running -= 1;
      if (number % 2 === 0) throw new Error("even");
    };
    await Promise.allSettled(Array.from({ length: 8 }, (_, number) => queue.run(() => work(number))));
    expect([most, order]).toEqual([2, [0, 1, 2, 3, 4, 5, 6, 7]]);
  });

  it("refuses at once whoever comes when as many wait as may", async () => {
    const queue = queueOf({ maxRunning: 1, maxWaiting: 1 });
    const gate = deferred<void>();
    const [first, second] = [queue.run(() => gate.promise), queue.run(async () => "second")];
    await expect(queue.run(async () => "third")).rejects.toThrow(FULL);
    gate.resolve();
    await first;
    expect(await second).toBe("second");
  });

  it("lets whoever waits too long go, and never runs their work; those behind keep their places", async () => {
    const queue = queueOf({ maxRunning: 1, maxWaiting: 3 });
    const gate = deferred<void>();
    const order: string[] = [];
    const note = async (name: string) => void order.push(name);
    const first = queue.run(() => gate.promise);
    const patient = [queue.run(() => note("one")), queue.run(() => note("two"))];
    await expect(queue.run(() => note("late"), 1)).rejects.toThrow(FULL);
    gate.resolve();
    await Promise.all([first, ...patient]);
    await queue.run(() => note("three"), 60_000);
    expect(order).toEqual(["one", "two", "three"]);
  });

  it("tells all who wait that they are dismissed, and lets what runs go on", async () => {
    const queue = queueOf({ maxRunning: 1, maxWaiting: 3 });
    const gate = deferred<string>();
    const first = queue.run(() => gate.promise);
    const waiting = [queue.run(async () => "never"), queue.run(async () => "never", 60_000)];
    queue.dismiss(new Error("closed"));
    for (const one of waiting) await expect(one).rejects.toThrow("closed");
    gate.resolve("done");
    expect([await first, await queue.run(async () => "next")]).toEqual(["done", "next"]);
  });
});
