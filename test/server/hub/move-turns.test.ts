import { describe, expect, it } from "vitest";
import { MoveTurns } from "../../../src/server/hub/move-turns.ts";

/** How many of `count` clients come in each second after the hub is gone, and at most at any one time. */
function shares(turns: MoveTurns, count: number, others: number): { seconds: number[]; most: number } {
  const seconds: number[] = [];
  const times = new Map<number, number>();
  for (let client = 0; client < count; client += 1) {
    const delayMs = turns.delayOf(turns.take(others));
    times.set(delayMs, (times.get(delayMs) ?? 0) + 1);
    const second = Math.floor((delayMs - 1) / 1_000);
    seconds[second] = (seconds[second] ?? 0) + 1;
  }
  return { seconds, most: Math.max(...times.values()) };
}

describe("MoveTurns", () => {
  it("gives a turn to one client for each hub that is left, 100 in a second", () => {
    expect(shares(new MoveTurns(), 250, 1)).toEqual({ seconds: [100, 100, 50], most: 1 });
    expect(shares(new MoveTurns(), 250, 2)).toEqual({ seconds: [200, 50], most: 2 });
    // Alone, it comes back itself.
    expect(shares(new MoveTurns(), 250, 0)).toEqual({ seconds: [100, 100, 50], most: 1 });
  });

  it("gives more to each where all are full, as many to one as to another", () => {
    expect(shares(new MoveTurns(), 5_000, 1)).toEqual({ seconds: Array(25).fill(200), most: 2 });
  });

  it("says at which time a turn is, never at once: that is what none is told by", () => {
    const turns = new MoveTurns();
    expect([turns.delayOf(turns.take(1)), turns.delayOf(turns.take(1))]).toEqual([10, 20]);
  });

  it("gives a turn again that was given back", () => {
    const turns = new MoveTurns();
    shares(turns, 250, 1);
    turns.give(1);
    expect([turns.take(1), turns.take(1)]).toEqual([1, 250]);
  });
});
