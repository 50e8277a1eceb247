// The benchmark's own arithmetic: a wrong ratio would make every figure of the project wrong.

import { describe, expect, it } from "vitest";
import { judge, renderTable } from "../../bench/report.ts";
import type { Scenario } from "../../bench/scenario.ts";
import { median, type Rounds, ratios } from "../../bench/statistics.ts";

const rounds: Rounds = new Map([
  ["haproxy", [{ cpu: 10 }, { cpu: 20 }, { cpu: 40 }]],
  ["tunnel", [{ cpu: 20 }, { cpu: 30 }, { cpu: 160 }]],
]);

const scenario: Scenario = {
  name: "keepalive",
  title: "keep-alive",
  endpoints: ["haproxy", "tunnel"],
  bars: [{ what: "CPU", metric: "cpu", against: "haproxy", direction: "atMost", must: 2.2, aim: 1.6, unit: "×" }],
  run: () => Promise.resolve({}),
};

describe("median", () => {
  it("takes the middle value, whatever the order", () => {
    expect(median([9, 1, 5])).toBe(5);
  });

  it("takes the mean of the two middle ones", () => {
    expect(median([4, 1, 2, 9])).toBe(3);
  });

  it("is not a number for no values", () => {
    expect(median([])).toBeNaN();
  });
});

describe("ratios", () => {
  it("divides inside a round, so that a slow round weighs on both", () => {
    expect(ratios(rounds, "tunnel", "haproxy", "cpu")).toEqual([2, 1.5, 4]);
  });

  it("leaves the values alone when there is nothing to compare with", () => {
    expect(ratios(rounds, "tunnel", null, "cpu")).toEqual([20, 30, 160]);
  });
});

describe("judge", () => {
  it("holds the median ratio against the bar", () => {
    expect(judge(scenario, rounds)).toMatchObject([{ endpoint: "tunnel", value: 2, result: "met" }]);
  });

  it.each([
    [1.6, "aim met"],
    [2.2, "met"],
    [2.21, "MISSED"],
    [Number.NaN, "MISSED"],
  ])("calls %d %s", (cpu, result) => {
    const one: Rounds = new Map([
      ["haproxy", [{ cpu: 1 }]],
      ["tunnel", [{ cpu }]],
    ]);
    expect(judge(scenario, one)).toMatchObject([{ result }]);
  });

  it("turns the bar round for what should be large", () => {
    const bar = {
      what: "req/s",
      metric: "rps",
      against: "haproxy",
      direction: "atLeast",
      must: 0.5,
      aim: 0.7,
      unit: "×",
    };
    const one: Rounds = new Map([
      ["haproxy", [{ rps: 100 }]],
      ["tunnel", [{ rps: 60 }]],
    ]);
    expect(judge({ ...scenario, bars: [{ ...bar, direction: "atLeast" }] }, one)).toMatchObject([{ result: "met" }]);
  });
});

describe("renderTable", () => {
  it("shows a dash where an endpoint has no such figure", () => {
    const mixed: Rounds = new Map([
      ["direct", [{ rps: 12_345.6 }]],
      ["tunnel", [{ rps: 99.44, cpu: 0.01234 }]],
    ]);
    expect(renderTable(scenario, mixed).split("\n")).toEqual([
      "keep-alive",
      "             rps     cpu",
      "  direct  12,346       -",
      "  tunnel    99.4  0.0123",
    ]);
  });
});
