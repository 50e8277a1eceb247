// What watchers were told of a name, and when to look again.

import { describe, expect, it } from "vitest";
import { FollowedNames } from "../../../src/server/backend/followed-names.ts";
import type { RegistryRecord } from "../../../src/server/backend/registry.ts";
import { ManualClock } from "../manual-clock.ts";
import { registration } from "./registration.ts";

function record(hostname: string, state: "up" | "away" = "up"): RegistryRecord {
  return { ...registration(hostname), epoch: 1, state, since: 1, expires: 2 };
}

function followed() {
  const clock = new ManualClock();
  const due: string[] = [];
  const names = new FollowedNames({ clock, onDue: (hostnames) => due.push(...hostnames) });
  return { clock, due, names };
}

describe("FollowedNames", () => {
  it("tells a name when its time is over, by one alarm for all", () => {
    const { clock, due, names } = followed();
    names.putOwn(record("a.test"), 100);
    names.putOwn(record("b.test"), 200);
    names.putOwn(record("c.test", "away"), 150);
    expect(clock.pending).toBe(1);
    clock.advance(99);
    expect(due).toEqual([]);
    clock.advance(1);
    expect(due).toEqual(["a.test"]);
    clock.advance(100);
    expect(due).toEqual(["a.test", "c.test", "b.test"]);
  });

  it("tells it again in a while when there is no news, and not when there is", () => {
    const { clock, due, names } = followed();
    names.putOwn(record("a.test"), 100);
    names.putOwn(record("b.test"), 100);
    clock.advance(100);
    names.putOwn(record("b.test"), 60_000);
    due.length = 0;
    clock.advance(4_000);
    expect(due).toEqual(["a.test", "a.test"]);
    names.delete("a.test");
    clock.advance(4_000);
    expect(due).toHaveLength(2);
  });

  it("forgets the name that was only seen and was touched longest ago, when there are too many", () => {
    const { names } = followed();
    for (let index = 0; index < 10_000; index += 1) names.putSeen(record(`${index}.test`));
    names.putSeen(record("0.test"));
    names.putSeen(record("x.test"));
    expect(names.get("0.test")).not.toBeNull();
    expect(names.get("1.test")).toBeNull();
    expect(names.hostnames()).toHaveLength(10_000);
  });

  it("has no alarm and no name any more when it is cleared", () => {
    const { clock, names } = followed();
    names.putOwn(record("a.test"), 100);
    names.putSeen(record("b.test"));
    names.clear();
    expect([clock.pending, names.hostnames()]).toEqual([0, []]);
  });
});
