// What a client does that has lost its hub, and when: the plan alone, by a clock that stands still.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { MovePlan } from "../../src/client/move-plan.ts";
import { DuplexityError, type ErrorCode } from "../../src/protocol/index.ts";

let time = 0;
beforeEach(() => {
  time = 5_000;
  vi.spyOn(performance, "now").mockImplementation(() => time);
  vi.spyOn(Math, "random").mockReturnValue(0);
});
afterEach(() => {
  vi.restoreAllMocks();
});

const HUB = {
  ...{ hasControl: false, hasLink: false, isInCluster: true, isFree: false },
  ...{ canBeAsked: true, moveDelayMs: 4_000 },
};

function error(code: ErrorCode = "DPX_LINK_LOST"): DuplexityError {
  return new DuplexityError(code, "The test says so");
}

describe("MovePlan", () => {
  it("looks first whether a hub with many clients is there, moves then, and needs no turn afterwards", () => {
    const plan = new MovePlan();
    const steps = Array.from({ length: 4 }, () => plan.next(error(), HUB));
    expect([steps, plan.hasMoved]).toEqual([["look", "move", "retry", "retry"], true]);
  });

  it.each([
    ["there is a control socket", { hasControl: true }, "retry"],
    ["there is no other hub", { isInCluster: false, hasLink: true }, "retry"],
    ["it need not wait", { isFree: true }, "retry"],
    ["the link lives", { hasLink: true }, "ask"],
    ["the hub has few clients", { moveDelayMs: 999 }, "move"],
    ["others are behind its address", { canBeAsked: false }, "move"],
  ])("does not look where %s", (_what, known, step) => {
    const plan = new MovePlan();
    expect([plan.next(error(), { ...HUB, ...known }), plan.hasMoved]).toEqual([step, step === "move"]);
  });

  it("comes back three times in a row to a hub that has said when, and has its turn afterwards as before", () => {
    const plan = new MovePlan();
    const full = error("DPX_UNAUTHENTICATED_LIMIT");
    const steps = Array.from({ length: 5 }, () => plan.next(full, HUB));
    expect(steps).toEqual(["return", "return", "return", "look", "return"]);
    expect([plan.hasMoved, plan.next(error(), HUB)]).toEqual([false, "move"]);
  });

  it("asks for a control socket as long as the link lives, at once or so, and then as after any failure; it has its turn yet", () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const plan = new MovePlan();
    const asks = Array.from({ length: 3 }, () => {
      const step = plan.next(error(), { ...HUB, hasLink: true });
      return [step, plan.waitMs(step, 4_000)];
    });
    expect(asks).toEqual([
      ["ask", 900],
      ["ask", null],
      ["ask", null],
    ]);
    plan.gone();
    expect([plan.next(error(), HUB), plan.next(error(), HUB), plan.waitMs("move", 4_000)]).toEqual([
      "look",
      "move",
      4_010,
    ]);
  });

  it("begins anew with a hub that is there again, as far as it has not moved", () => {
    const plan = new MovePlan();
    plan.gone();
    expect(plan.next(error(), HUB)).toBe("look");
    time += 20_000;
    expect(plan.next(error(), { ...HUB, hasControl: true })).toBe("retry");
    plan.gone();
    expect([plan.next(error(), HUB), plan.next(error(), HUB), plan.waitMs("move", 4_000)]).toEqual([
      "look",
      "move",
      4_000,
    ]);
  });

  it("counts a turn from when nothing of the hub is left, without the time for which nobody answered", () => {
    const plan = new MovePlan();
    plan.gone();
    time += 1_000;
    plan.gone();
    expect([plan.waitMs("move", 4_000), plan.linkedMs(4_000)]).toEqual([3_000, 7_000]);
    time += 2_000;
    plan.lookFailed(2_000);
    expect([plan.waitMs("move", 4_000), plan.linkedMs(4_000)]).toEqual([3_000, 7_000]);
    // More than it can have been, if the hub was lost meanwhile.
    plan.lookFailed(60_000);
    expect([plan.waitMs("move", 4_000), plan.linkedMs(4_000)]).toEqual([4_000, 8_000]);
    time += 60_000;
    expect([plan.waitMs("move", 4_000), plan.linkedMs(4_000)]).toEqual([0, 0]);
  });

  it("looks at any time within 0.9 s, and waits for no turn where it has none", () => {
    vi.spyOn(Math, "random").mockReturnValue(1);
    const plan = new MovePlan();
    expect([plan.waitMs("look", 4_000), plan.waitMs("retry", 4_000), plan.waitMs("return", 4_000)]).toEqual([
      900,
      null,
      null,
    ]);
  });
});
