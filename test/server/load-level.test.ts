// What a node's figures come to: a word that comes late, and stays until it is clearly over.

import { describe, expect, it } from "vitest";
import { type Load, LoadLevel, type LoadSample } from "../../src/server/load-level.ts";

const IDLE: LoadSample = { utilization: 0.05, delayMs: 0, clients: 0.1, unauthenticated: 0 };

/** The words after each of `count` samples of the same. */
function feed(level: LoadLevel, sample: Partial<LoadSample>, count: number): Load[] {
  return Array.from({ length: count }, () => level.add({ ...IDLE, ...sample }));
}

describe("LoadLevel", () => {
  it("is normal at first, and while a node idles", () => {
    const level = new LoadLevel();
    expect(level.load).toBe("normal");
    expect(new Set(feed(level, {}, 20))).toEqual(new Set(["normal"]));
  });

  it("is busy when the event loop was never idle for some seconds, and normal when it is again for some", () => {
    const level = new LoadLevel();
    expect(feed(level, { utilization: 1 }, 5)).not.toContain("busy");
    expect(feed(level, { utilization: 1 }, 10).at(-1)).toBe("busy");
    expect(feed(level, { utilization: 0.8 }, 20).at(-1)).toBe("busy");
    expect(feed(level, { utilization: 0.3 }, 10).at(-1)).toBe("normal");
    expect(feed(level, { utilization: 0.8 }, 20).at(-1)).toBe("normal");
  });

  it("is busy with nine in ten of its clients, until it has clearly fewer", () => {
    const level = new LoadLevel();
    expect(feed(level, { clients: 0.89 }, 1)).toEqual(["normal"]);
    expect(feed(level, { clients: 0.9 }, 1)).toEqual(["busy"]);
    expect(feed(level, { clients: 0.86 }, 1)).toEqual(["busy"]);
    expect(feed(level, { clients: 0.84 }, 1)).toEqual(["normal"]);
  });

  it("is busy when many sockets have not said who they are, and not because of one moment", () => {
    const level = new LoadLevel();
    expect(feed(level, { unauthenticated: 1 }, 1)).toEqual(["normal"]);
    expect(feed(level, { unauthenticated: 1 }, 5).at(-1)).toBe("busy");
    expect(feed(level, {}, 10).at(-1)).toBe("normal");
  });

  it("is overloaded when everything comes late, and not because the process was stopped once", () => {
    const level = new LoadLevel();
    expect(feed(level, { delayMs: 3_600_000 }, 1)).toEqual(["normal"]);
    expect(feed(level, {}, 20)).not.toContain("overloaded");
    expect(feed(level, { delayMs: 800 }, 10).at(-1)).toBe("overloaded");
    expect(feed(level, { delayMs: 300 }, 20).at(-1)).toBe("overloaded");
    expect(feed(level, { delayMs: 10 }, 10).at(-1)).toBe("normal");
    expect(feed(level, { delayMs: 300 }, 20).at(-1)).toBe("normal");
  });

  it("changes no more than twice for a load that swings around each threshold", () => {
    const level = new LoadLevel();
    const loads = Array.from({ length: 200 }, (_, index) =>
      level.add({ ...IDLE, utilization: index % 2 === 0 ? 1 : 0.75, delayMs: index % 2 === 0 ? 500 : 200 }),
    );
    const changes = loads.filter((load, index) => index > 0 && load !== loads[index - 1]);
    expect(changes.length).toBeLessThanOrEqual(2);
  });
});
