import { describe, expect, it } from "vitest";
import { MoveTurns } from "../../../src/server/hub/move-turns.ts";

/** How many of `count` clients get each turn. */
function shares(turns: MoveTurns, count: number, others: number): number[] {
  const counts: number[] = [];
  for (let client = 0; client < count; client += 1) {
    const turn = turns.take(others);
    counts[turn] = (counts[turn] ?? 0) + 1;
  }
  return counts;
}

describe("MoveTurns", () => {
  it("gives a second to as many as the hubs that are left can take in it", () => {
    expect(shares(new MoveTurns(), 250, 1)).toEqual([100, 100, 50]);
    expect(shares(new MoveTurns(), 250, 2)).toEqual([200, 50]);
    // Alone, it comes back itself.
    expect(shares(new MoveTurns(), 250, 0)).toEqual([100, 100, 50]);
  });

  it("gives more to each where all are full, as many to one as to another", () => {
    expect(shares(new MoveTurns(), 5_000, 1)).toEqual(Array(25).fill(200));
  });

  it("gives a turn again that was given back", () => {
    const turns = new MoveTurns();
    shares(turns, 250, 1);
    turns.give(1);
    expect([turns.take(1), turns.take(1)]).toEqual([1, 2]);
  });
});
