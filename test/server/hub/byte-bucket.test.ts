// A rate is exact in the long run, shared in turn, and never a burst beyond a quarter of a second.

import { describe, expect, it } from "vitest";
import { ByteBucket } from "../../../src/server/hub/byte-bucket.ts";
import { ManualClock } from "../manual-clock.ts";

function make(bytesPerSecond = 1_000) {
  const clock = new ManualClock();
  return { clock, bucket: new ByteBucket(bytesPerSecond, clock) };
}

/** Takes pieces of `bytes` again and again, each in its turn; answers what has passed so far. */
function pump(bucket: ByteBucket, bytes: number): { passed: number } {
  const total = { passed: 0 };
  const next = (): void => {
    bucket.wait((take) => {
      take(bytes);
      total.passed += bytes;
      next();
    });
  };
  next();
  return total;
}

describe("ByteBucket", () => {
  it.each([1, 7, 100, 250, 1_000, 5_000])(
    "passes the rate and a quarter of a second more, in pieces of %i",
    (bytes) => {
      const { clock, bucket } = make();
      const total = pump(bucket, bytes);
      for (let second = 1; second <= 60; second += 1) {
        clock.advance(1_000);
        // A piece may begin when anything is left, and is paid off before the next one.
        expect(total.passed).toBeLessThanOrEqual(second * 1_000 + 250 + bytes);
        expect(total.passed).toBeGreaterThan(second * 1_000 - bytes - 10);
      }
    },
  );

  it("gives a burst after a pause, and none while somebody waits", () => {
    const { clock, bucket } = make();
    expect(bucket.take(250)).toBe(true);
    expect(bucket.take(1)).toBe(false);
    clock.sleep(100);
    expect(bucket.take(100)).toBe(true);
    clock.sleep(60_000);
    const waiting = pump(bucket, 100);
    // Somebody is before it, although there is enough.
    expect(bucket.take(1)).toBe(false);
    clock.advance(1);
    expect(waiting.passed).toBe(300);
  });

  it("serves those who wait in turn, one piece each", () => {
    const { clock, bucket } = make();
    bucket.take(250);
    const some = [pump(bucket, 10), pump(bucket, 10), pump(bucket, 10)];
    clock.advance(3_000);
    const passed = some.map((one) => one.passed);
    expect(Math.max(...passed) - Math.min(...passed)).toBeLessThanOrEqual(10);
    expect(passed.reduce((sum, one) => sum + one, 0)).toBeGreaterThanOrEqual(2_980);
  });

  it("goes on past those who have nothing to take any more, and keeps no alarm when nobody waits", () => {
    const { clock, bucket } = make();
    bucket.take(250);
    const order: string[] = [];
    bucket.wait(() => order.push("gone"));
    bucket.wait((take) => {
      take(1);
      order.push("here");
    });
    clock.advance(2);
    expect(order).toEqual(["gone", "here"]);
    expect(clock.pending).toBe(0);
    expect(bucket.isFull).toBe(false);
    clock.sleep(300);
    expect(bucket.isFull).toBe(true);
  });

  it("gives nothing for a clock that is set back", () => {
    const { clock, bucket } = make();
    bucket.take(250);
    clock.sleep(-10_000);
    expect(bucket.take(1)).toBe(false);
    clock.sleep(100);
    expect(bucket.take(1)).toBe(true);
  });
});
