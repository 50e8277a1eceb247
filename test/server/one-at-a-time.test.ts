// Work that is asked for more often than it can run.

import { describe, expect, it, vi } from "vitest";
import { oneAtATime } from "../../src/server/one-at-a-time.ts";
import { deferred } from "../support/wait.ts";

describe("oneAtATime", () => {
  it("runs once more for all who ask while it runs, and anew for who asks afterwards", async () => {
    const runs: ReturnType<typeof deferred<void>>[] = [];
    const ask = oneAtATime(() => {
      const run = deferred<void>();
      runs.push(run);
      return run.promise;
    });
    ask();
    expect(runs).toHaveLength(1);
    for (let count = 0; count < 5; count += 1) ask();
    expect(runs).toHaveLength(1);
    runs[0]?.resolve();
    await vi.waitUntil(() => runs.length === 2);
    runs[1]?.resolve();
    await runs[1]?.promise;
    await new Promise((resolve) => setImmediate(resolve));
    expect(runs).toHaveLength(2);
    ask();
    expect(runs).toHaveLength(3);
  });
});
