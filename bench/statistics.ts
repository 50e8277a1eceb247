// Medians and in-round ratios: machines drift, so values are compared inside a round and only ratios across rounds.

import type { Sample } from "./endpoint.ts";

/** Endpoint to its samples, one a round, the same order for all. */
export type Rounds = ReadonlyMap<string, readonly Sample[]>;

/** The middle value; the mean of the two middle ones of an even number; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** Values of one metric of one endpoint, those rounds that have it. */
export function valuesOf(rounds: Rounds, endpoint: string, metric: string): number[] {
  return (rounds.get(endpoint) ?? []).map((sample) => sample[metric]).filter((value) => value !== undefined);
}

/** `endpoint`'s value divided by `against`'s in the same round, each round; the value itself when `against` is null. */
export function ratios(rounds: Rounds, endpoint: string, against: string | null, metric: string): number[] {
  const values = valuesOf(rounds, endpoint, metric);
  if (against === null) return values;
  const others = valuesOf(rounds, against, metric);
  return values.map((value, round) => value / (others[round] ?? Number.NaN)).filter((ratio) => !Number.isNaN(ratio));
}
