// Turns rounds into what a person reads: a table of medians, and each bar with met or missed.

import type { Bar, Scenario } from "./scenario.ts";
import { median, type Rounds, ratios, valuesOf } from "./statistics.ts";

export interface Verdict {
  readonly scenario: string;
  readonly endpoint: string;
  readonly what: string;
  readonly value: number;
  readonly must: number;
  readonly aim: number;
  readonly unit: string;
  readonly result: "aim met" | "met" | "MISSED";
}

/** Medians, one line an endpoint. */
export function renderTable(scenario: Scenario, rounds: Rounds): string {
  const metrics = [...new Set([...rounds.values()].flat().flatMap((sample) => Object.keys(sample)))];
  const rows = [...rounds.keys()].map((name) => [
    name,
    ...metrics.map((metric) => {
      const values = valuesOf(rounds, name, metric);
      return values.length === 0 ? "-" : format(median(values));
    }),
  ]);
  const lines = columns([["", ...metrics], ...rows]);
  return [scenario.title, ...lines.map((line) => `  ${line}`)].join("\n");
}

/** Each bar of a scenario for each tunnel in its rounds. */
export function judge(scenario: Scenario, rounds: Rounds): Verdict[] {
  const tunnels = [...rounds.keys()].filter((name) => name.startsWith("tunnel"));
  return tunnels.flatMap((endpoint) =>
    scenario.bars.map((bar): Verdict => {
      const value = median(ratios(rounds, endpoint, bar.against, bar.metric));
      const { what, must, aim, unit } = bar;
      return { scenario: scenario.name, endpoint, what, value, must, aim, unit, result: resultOf(value, bar) };
    }),
  );
}

/** All verdicts, aligned. */
export function renderVerdicts(verdicts: readonly Verdict[]): string {
  const header = ["what", "", "measured", "must", "aim", "", ""];
  const rows = verdicts.map(({ what, endpoint, value, must, aim, unit, result }) => [
    what,
    endpoint,
    format(value),
    String(must),
    String(aim),
    unit,
    result,
  ]);
  return columns([header, ...rows]).join("\n");
}

function resultOf(value: number, { direction, must, aim }: Bar): Verdict["result"] {
  const reaches = (bar: number) => (direction === "atMost" ? value <= bar : value >= bar);
  if (reaches(aim)) return "aim met";
  return reaches(must) ? "met" : "MISSED";
}

/** Three significant digits, without an exponent. */
function format(value: number): string {
  if (Number.isNaN(value)) return "?";
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString("en") : String(Number(value.toPrecision(3)));
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ")
      .trimEnd(),
  );
}
