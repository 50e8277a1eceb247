import { describe, expect, it } from "vitest";
import { MOVE_SPREAD_MS, untilMove } from "../../src/client/waits.ts";

const early = () => 0;
const late = () => 0.999;

describe("untilMove", () => {
  it("is what is left until the client's turn, which is as long as those before it and after it", () => {
    expect(untilMove(MOVE_SPREAD_MS, 5_000, 1_200.4, early)).toBe(3_800);
    expect(untilMove(MOVE_SPREAD_MS, 5_000, 1_200.4, late)).toBe(3_810);
    expect(untilMove(MOVE_SPREAD_MS, 5_000, 60_000, late)).toBe(10);
  });

  it("is any time where the client was told of no turn", () => {
    expect(untilMove(MOVE_SPREAD_MS, 0, 100, early)).toBe(0);
    expect(untilMove(MOVE_SPREAD_MS, 0, 100, late)).toBe(MOVE_SPREAD_MS - 1);
  });
});
