import { describe, expect, it } from "vitest";
import { SharedTime } from "../../src/server/shared-time.ts";

describe("SharedTime", () => {
  it("is this machine's until it is told, and then what it was told and what has passed since", () => {
    let steady = 100;
    const time = new SharedTime(() => steady);
    expect(Math.abs(time.now() - Date.now())).toBeLessThan(1_000);
    time.told(5_000, 60);
    expect(time.now()).toBe(5_020);
    steady += 1_000;
    expect(time.now()).toBe(6_020);
  });

  it("takes no time from an answer that was long on its way", () => {
    let steady = 0;
    const time = new SharedTime(() => steady);
    time.told(5_000, 0);
    steady = 2_000;
    time.told(1, 500);
    expect(time.now()).toBe(7_000);
  });
});
