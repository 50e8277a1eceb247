// The checker is believed when it says that nothing was wrong: so it is shown each wrong that it is for.

import { describe, expect, it } from "vitest";
import { type ClaimNote, FaultChecker } from "./fault-checker.ts";

/** ben has cat1 from 10 on, eve from 20 on. */
function handedOver() {
  const checker = new FaultChecker();
  const ben = checker.claim("ben", "cat1");
  const eve = checker.claim("eve", "cat1");
  ben.confirmedAt = 10;
  eve.confirmedAt = 20;
  return { checker, ben, eve };
}

describe("FaultChecker", () => {
  it("finds an answer of the old owner after the new one had the name, and none before", () => {
    const { checker, ben, eve } = handedOver();
    checker.answered({ name: "cat1", path: 1, claim: ben, sentAt: 19, at: 21 });
    checker.answered({ name: "cat1", path: 1, claim: eve, sentAt: 21, at: 22 });
    expect(checker.violations).toEqual([]);
    checker.answered({ name: "cat1", path: 1, claim: ben, sentAt: 21, at: 22 });
    expect(checker.violations).toEqual([
      "cat1 was answered by ben/0 (since 10) to a request of 21, after eve/1 (since 20) had it",
    ]);
  });

  it("lets the old owner come back when the new one has left", () => {
    const { checker, ben, eve } = handedOver();
    eve.leftAt = 30;
    checker.answered({ name: "cat1", path: 1, claim: ben, sentAt: 31, at: 32 });
    expect(checker.violations).toEqual([]);
    expect(checker.holderOf("cat1")).toBe(ben);
  });

  it("finds an older claim of the same owner that answers after the newer one, on the same path", () => {
    const { checker, ben } = handedOver();
    const again = checker.claim("ben", "cat1");
    again.confirmedAt = 5_000;
    ben.leftAt = null;
    const answered = (claim: ClaimNote, path: number, sentAt: number): void =>
      checker.answered({ name: "cat1", path, claim, sentAt, at: sentAt + 1 });
    answered(again, 1, 5_001);
    answered(ben, 2, 5_010);
    expect(checker.older).toEqual([]);
    answered(ben, 1, 5_010);
    expect(checker.older).toEqual([
      "cat1 was answered at 1 by ben/0 (since 10) to a request of 5010, after ben/2 (since 5000) had answered there",
    ]);
    ben.resumedAt = 5_100;
    expect(checker.older).toEqual([]);
  });

  it("lets the older claim answer again when the newer one was ended by it", () => {
    const checker = new FaultChecker();
    const [old, newer] = [checker.claim("ben", "cat1"), checker.claim("ben", "cat1")];
    [old.confirmedAt, newer.confirmedAt] = [10, 5_000];
    checker.answered({ name: "cat1", path: 1, claim: newer, sentAt: 5_001, at: 5_002 });
    checker.answered({ name: "cat1", path: 1, claim: old, sentAt: 5_003, at: 5_004 });
    expect(checker.older).toHaveLength(1);
    newer.leftAt = 5_100;
    expect(checker.older).toEqual([]);
  });

  it("finds a POST that comes twice, and an answer under another name", () => {
    const { checker, ben } = handedOver();
    checker.reached("/1");
    checker.reached("/2");
    expect(checker.violations).toEqual([]);
    checker.reached("/1");
    checker.answered({ name: "cat2", path: 1, claim: ben, sentAt: 11, at: 12 });
    expect(checker.violations).toEqual([
      "POST /1 reached its target twice",
      "cat2 was answered by ben/0 (since 10), who has cat1",
    ]);
  });
});
