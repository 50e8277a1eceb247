// What stands in the lines of snapshot and journal. Writes values as the JSON that they are; believes no line's shape.

import type { Change } from "./changes.ts";

/** Grows when an older duplexity could not read what a newer one wrote. */
export const FORMAT_VERSION = 1;

export type FileKind = "snapshot" | "journal";

export interface Heading {
  readonly version: number;
  /** Of the last commit that the snapshot has, or that came before the journal. */
  readonly sequence: number;
}

export interface Commit {
  /** One more than the commit's before. */
  readonly sequence: number;
  readonly changes: readonly Change[];
}

export function headingJson(kind: FileKind, sequence: number): string {
  return JSON.stringify({ duplexity: kind, version: FORMAT_VERSION, sequence });
}

/** Null if `value` is no heading of a file of that kind. */
export function parseHeading(kind: FileKind, value: unknown): Heading | null {
  if (typeof value !== "object" || value === null) return null;
  if (!("duplexity" in value) || !("version" in value) || !("sequence" in value)) return null;
  const { duplexity, version, sequence } = value;
  if (duplexity !== kind || typeof version !== "number" || !isSequence(sequence)) return null;
  return { version, sequence };
}

export function commitJson({ sequence, changes }: Commit): string {
  return `{"sequence":${sequence},"changes":[${changes.map(changeJson).join(",")}]}`;
}

export function parseCommit(value: unknown): Commit | null {
  if (typeof value !== "object" || value === null || !("sequence" in value) || !("changes" in value)) return null;
  const { sequence, changes } = value;
  if (!isSequence(sequence) || !Array.isArray(changes)) return null;
  const parsed: Change[] = [];
  for (const item of changes) {
    const change = parseChange(item);
    if (change === null) return null;
    parsed.push(change);
  }
  return { sequence, changes: parsed };
}

/** `["put","account/u_1",{…},null]`, `["delete","code/9f…"]`, `["append","audit",{…}]` */
export function changeJson(change: Change): string {
  if (change.kind === "delete") return JSON.stringify([change.kind, change.key]);
  if (change.kind === "append") return `["append",${JSON.stringify(change.log)},${change.json}]`;
  return `["put",${JSON.stringify(change.key)},${change.entry.json},${change.entry.endsAt}]`;
}

export function parseChange(value: unknown): Change | null {
  if (!Array.isArray(value)) return null;
  const [kind, key, content, endsAt]: readonly unknown[] = value;
  if (typeof key !== "string") return null;
  if (kind === "delete") return { kind, key };
  if (content === undefined) return null;
  const json = JSON.stringify(content);
  if (kind === "append") return { kind, log: key, json };
  if (kind !== "put" || (endsAt !== null && typeof endsAt !== "number")) return null;
  return { kind, key, entry: { json, endsAt } };
}

/** The snapshot's last line: how many changes came before it. */
export function endingJson(changes: number): string {
  return JSON.stringify({ end: changes });
}

/** Null if it is no ending. */
export function parseEnding(value: unknown): number | null {
  if (typeof value !== "object" || value === null || !("end" in value)) return null;
  return typeof value.end === "number" ? value.end : null;
}

function isSequence(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
