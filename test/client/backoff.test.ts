import { describe, expect, it } from "vitest";
import { BACKOFF_MAX_MS, BACKOFF_REFUSED_MAX_MS, Backoff } from "../../src/client/backoff.ts";

describe("Backoff", () => {
  it("doubles the upper end of its waits from 0.5 s to 30 s", () => {
    const backoff = new Backoff(() => 1);
    const waits = Array.from({ length: 9 }, () => backoff.next(BACKOFF_MAX_MS));
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  it("waits at most 2 s for a server that refuses: it restarts", () => {
    const backoff = new Backoff(() => 1);
    expect(Array.from({ length: 5 }, () => backoff.next(BACKOFF_REFUSED_MAX_MS))).toEqual([
      500, 1_000, 2_000, 2_000, 2_000,
    ]);
  });

  it("takes any wait from 0 on: full jitter", () => {
    expect(new Backoff(() => 0).next(BACKOFF_MAX_MS)).toBe(0);
    expect(new Backoff(() => 0.5).next(BACKOFF_MAX_MS)).toBe(250);
  });

  it("starts again after a reset, and never overflows", () => {
    const backoff = new Backoff(() => 1);
    for (let count = 0; count < 5_000; count += 1) backoff.next(BACKOFF_MAX_MS);
    expect(backoff.next(BACKOFF_MAX_MS)).toBe(30_000);
    backoff.reset();
    expect(backoff.next(BACKOFF_MAX_MS)).toBe(500);
  });
});
