// One end for an attempt, and nothing of it left on the signal that outlives it.

import { getEventListeners } from "node:events";
import { describe, expect, it } from "vitest";
import { Deadline } from "../../src/protocol/deadline.ts";
import { poll } from "../support/wait.ts";

const late = (): Error => new Error("too late");

describe("Deadline", () => {
  it("ends with its time, or with its parent's end, for that reason", async () => {
    const parent = new AbortController();
    const [short, long] = [new Deadline(1, parent.signal, late), new Deadline(60_000, parent.signal, late)];
    await poll(() => short.signal.aborted, 5_000, "the time", 1);
    expect(short.signal.reason).toEqual(late());
    expect(long.signal.aborted).toBe(false);
    parent.abort("over");
    expect(long.signal.reason).toBe("over");
    expect(new Deadline(60_000, parent.signal, late).signal.reason).toBe("over");
    for (const deadline of [short, long]) deadline.clear();
  });

  it("leaves nothing on its parent once it is cleared", () => {
    const parent = new AbortController();
    const deadlines = [1, 2, 3].map(() => new Deadline(60_000, parent.signal, late));
    expect(getEventListeners(parent.signal, "abort")).toHaveLength(3);
    for (const deadline of deadlines) deadline.clear();
    expect(getEventListeners(parent.signal, "abort")).toEqual([]);
  });
});
