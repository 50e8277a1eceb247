import { describe, expect, it } from "vitest";
import { Graces } from "../../../src/server/backend/redis-graces.ts";
import type { Grace } from "../../../src/server/backend/redis-steps.ts";
import type { RegistryRecord } from "../../../src/server/backend/registry.ts";
import { ManualClock } from "../manual-clock.ts";
import { registration } from "./registration.ts";

const GRACE_MS = 10_000;

function make() {
  const clock = new ManualClock();
  const graces = new Graces({ graceMs: GRACE_MS, clock });
  const put = (hostname: string, hasLeft = false): void => {
    const record: RegistryRecord = { ...registration(hostname), epoch: 1, state: "up", since: 1, expires: 2 };
    graces.put(record, hasLeft);
  };
  const all = async (): Promise<readonly [string, boolean, number][]> => {
    const found: Grace[] = [];
    await graces.putBack(async (grace) => void found.push(grace));
    return found.map(({ record, hasLeft, graceMs }) => [record.hostname, hasLeft, graceMs]);
  };
  return { clock, graces, put, all };
}

describe("Graces", () => {
  it("puts each back with what is left of it, and none that has ended or was taken up again", async () => {
    const { clock, graces, put, all } = make();
    put("cat1.test");
    clock.advance(4_000);
    put("cat2.test", true);
    put("cat3.test");
    graces.delete("cat3.test");
    expect(await all()).toEqual([
      ["cat1.test", false, 6_000],
      ["cat2.test", true, GRACE_MS],
    ]);
    clock.advance(6_000);
    expect(await all()).toEqual([["cat2.test", true, 4_000]]);
  });

  it("forgets the one that was given up longest ago when there are too many", async () => {
    const { put, all } = make();
    for (let index = 0; index <= 100_000; index += 1) put(`cat${index}.test`);
    const kept = await all();
    expect(kept).toHaveLength(100_000);
    expect(kept[0]?.[0]).toBe("cat1.test");
  });
});
