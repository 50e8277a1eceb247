// Reads what a server's API answers: checked field by field, since it may be any program that listens there.

import { DuplexityError, isErrorCode } from "../protocol/errors.ts";

export type Fields = Readonly<Record<string, unknown>>;

/** `{"error": {"code", "message", "hint"}}`, as a duplexity server refuses; null for anything else. */
export function refusalIn(text: string): DuplexityError | null {
  const { code, message, hint } = fieldsOf(fieldsOf(jsonIn(text)).error);
  if (!isErrorCode(code) || typeof message !== "string") return null;
  return new DuplexityError(code, message, { hint: typeof hint === "string" ? hint : undefined });
}

/** The value of a JSON text, undefined for what is none. */
export function jsonIn(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The fields of an object, none of anything else. */
export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** The objects of a list, null if it is none. */
export function rowsOf(value: unknown): readonly Fields[] | null {
  return Array.isArray(value) ? value.map(fieldsOf) : null;
}

/** A text for a table's cell. */
export function textOf(value: unknown): string {
  return typeof value === "string" && value !== "" ? value : "–";
}

/** The texts of a list. */
export function textsOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : [];
}

/** A moment as APIs tell it: ISO 8601 or Unix ms. Null: it is none. */
export function dateOf(value: unknown): Date | null {
  if (typeof value !== "number" && typeof value !== "string") return null;
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? null : date;
}
