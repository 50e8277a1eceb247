// What servers tell of times and limits, as people read it. Pure.

import { dateOf, textsOf } from "../api-answer.ts";
import { formatMoment } from "./format.ts";

/** `11:02`, `2026-11-23 11:02`, or a dash. */
export function momentOf(value: unknown, now: Date): string {
  const date = dateOf(value);
  return date === null ? "–" : formatMoment(date, now);
}

/** When something ends; what has no end says so. */
export function untilOf(value: unknown, now: Date): string {
  return value === null || value === undefined ? "for ever" : momentOf(value, now);
}

/** Which names may be opened: `ben-*, cat1`, or `any`. */
export function namesOf(value: unknown): string {
  return value === null || value === undefined ? "any" : textsOf(value).join(", ");
}
