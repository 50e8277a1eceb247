// The judgement of the soak: it has to find a leak, and only a leak.

import { describe, expect, it } from "vitest";
import { GrowthWatch } from "./growth.ts";
import { seededRandom } from "./seeded.ts";

/** A sample each 10 s for half an hour. */
function watched(valueAt: (index: number) => number) {
  const watch = new GrowthWatch();
  for (let index = 0; index < 180; index += 1) watch.add("node 0", index * 10_000, { descriptors: valueAt(index) });
  return watch.growths(60_000)[0];
}

describe("GrowthWatch", () => {
  it("finds one descriptor that is lost a minute beneath noise of ten", () => {
    const random = seededRandom(1);
    const growth = watched((index) => 40 + index / 6 + random() * 10);
    expect(growth?.what).toBe("descriptors of node 0");
    expect(growth?.grown).toBeGreaterThan(25);
    expect(growth?.grown).toBeLessThan(32);
  });

  it("takes neither noise nor a high last sample for growth", () => {
    const random = seededRandom(2);
    expect(Math.abs(watched(() => 40 + random() * 10)?.grown ?? 99)).toBeLessThan(1);
    expect(watched((index) => (index === 179 ? 400 : 40))?.grown).toBe(0);
  });

  it("leaves the warming up out", () => {
    expect(watched((index) => (index < 6 ? index * 100 : 600))).toMatchObject({ first: 600, last: 600, grown: 0 });
  });
});
