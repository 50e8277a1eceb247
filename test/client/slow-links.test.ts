// When a client's link counts as slow: beside another one that is not, for some looks, and not because it is busy.

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { type PacedLink, REST_MS, SLOW_BYTES, SLOW_FACTOR, SLOW_MS, SlowLinks } from "../../src/client/slow-links.ts";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

const LOOK_MS = 2_000;

class FakeLink implements PacedLink {
  latencyMs = 20;
  movedBytes = 0;
  probes = 0;
  /** Moved between two looks. */
  pace = 0;

  probe(): void {
    this.probes += 1;
  }
}

function start() {
  const links = { first: new FakeLink(), second: new FakeLink() };
  const slow: string[] = [];
  let hasSecond = true;
  const watch = new SlowLinks({
    first: () => links.first,
    second: () => (hasSecond ? links.second : null),
    onSlow: (which) => slow.push(which),
  });
  const looks = (count: number): void => {
    for (let look = 0; look < count; look += 1) {
      for (const link of [links.first, links.second]) link.movedBytes += link.pace;
      vi.advanceTimersByTime(LOOK_MS);
    }
  };
  const loseSecond = (): void => {
    hasSecond = false;
  };
  return { ...links, slow, looks, loseSecond, watch, links };
}

describe("SlowLinks", () => {
  it.each(["first", "second"] as const)(
    "tells of the %s link after three looks, and not again for a minute",
    (which) => {
      const { links, slow, looks } = start();
      links[which].latencyMs = SLOW_MS;
      looks(2);
      expect(slow).toEqual([]);
      looks(1);
      expect(slow).toEqual([which]);
      looks(REST_MS / LOOK_MS - 1);
      expect(slow).toEqual([which]);
      looks(1);
      expect(slow).toEqual([which, which]);
    },
  );

  it("takes a hiccup for one", () => {
    const { first, slow, looks } = start();
    for (let round = 0; round < 5; round += 1) {
      first.latencyMs = SLOW_MS;
      looks(2);
      first.latencyMs = 20;
      looks(1);
    }
    expect(slow).toEqual([]);
  });

  it.each([
    ["is below what is slow", ({ first }: ReturnType<typeof start>) => (first.latencyMs = SLOW_MS - 1)],
    [
      "has another one beside it that is hardly better",
      ({ first, second }: ReturnType<typeof start>) => {
        first.latencyMs = 4_000;
        second.latencyMs = 4_000 / SLOW_FACTOR + 1;
      },
    ],
    [
      "moves much",
      ({ first }: ReturnType<typeof start>) => {
        first.latencyMs = 10_000;
        first.pace = SLOW_BYTES;
      },
    ],
    [
      "is the only one",
      ({ first, loseSecond }: ReturnType<typeof start>) => {
        first.latencyMs = 10_000;
        loseSecond();
      },
    ],
  ])("tells of none that %s", (_what, make) => {
    const made = start();
    make(made);
    made.looks(20);
    expect(made.slow).toEqual([]);
  });

  it("begins anew with a new link", () => {
    const { links, slow, looks } = start();
    links.first.latencyMs = SLOW_MS;
    looks(2);
    links.first = new FakeLink();
    links.first.latencyMs = SLOW_MS;
    looks(2);
    expect(slow).toEqual([]);
  });

  it("measures while something moves, both links while one seems slow, and nothing else", () => {
    const { first, second, looks, watch } = start();
    looks(10);
    expect([first.probes, second.probes]).toEqual([0, 0]);
    first.pace = 1;
    looks(10);
    expect([first.probes, second.probes]).toEqual([10, 0]);
    first.latencyMs = SLOW_MS;
    looks(1);
    expect(second.probes).toBe(1);
    watch.stop();
    looks(10);
    expect(first.probes).toBe(11);
  });
});
