// What is done to a cluster in one schedule, and when: the same for the same seed. Does nothing itself.

import { seededRandom } from "./seeded.ts";

/** Faults of nodes and wires take a node's number as their target, those of clients and owners a name's. */
export const FAULT_KINDS = [
  "kill node",
  "freeze node",
  "cut clients",
  "swallow clients",
  "cut peers",
  "swallow peers",
  "part node from store",
  "freeze Redis",
  "kill Redis",
  "flush Redis",
  "clock ahead",
  "clock behind",
  "freeze client",
  "kill client",
  "claim",
  "take over",
  "hand over",
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly kind: FaultKind;
  readonly target: number;
  /** After the schedule's begin. */
  readonly atMs: number;
  /** Until it is undone. */
  readonly forMs: number;
}

/** Faults begin within this time. */
const SCHEDULE_MS = 4_000;
const MIN_FAULTS = 4;
const MAX_FAULTS = 8;
const MIN_FAULT_MS = 200;
const MAX_FAULT_MS = 3_500;

/** The faults of one schedule, in the order in which they begin. */
export function planFaults(seed: number, size: { readonly nodes: number; readonly names: number }): readonly Fault[] {
  const random = seededRandom(seed);
  const below = (limit: number): number => Math.floor(random() * limit);
  const faults: Fault[] = [];
  const count = MIN_FAULTS + below(MAX_FAULTS - MIN_FAULTS + 1);
  for (let index = 0; index < count; index += 1) {
    const kind = FAULT_KINDS[below(FAULT_KINDS.length)] ?? "claim";
    faults.push({
      kind,
      target: below(isOfName(kind) ? size.names : size.nodes),
      atMs: below(SCHEDULE_MS),
      forMs: MIN_FAULT_MS + below(MAX_FAULT_MS - MIN_FAULT_MS),
    });
  }
  return faults.sort((one, other) => one.atMs - other.atMs);
}

const OF_NAMES: readonly FaultKind[] = ["freeze client", "kill client", "claim", "take over", "hand over"];

export function isOfName(kind: FaultKind): boolean {
  return OF_NAMES.includes(kind);
}

/** As it is printed with a failure. */
export function describeFaults(faults: readonly Fault[]): string {
  return faults.map(({ kind, target, atMs, forMs }) => `${atMs} ms: ${kind} ${target} for ${forMs} ms`).join("; ");
}
