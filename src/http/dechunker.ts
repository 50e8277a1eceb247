// Takes chunk framing off a body, for HTTP/1.0 visitors who can't read it.

import type { BodyScanner } from "./body-scanner.ts";

/**
 * The content in `chunk[from, end)`, by reference and in order, after `scanner.scan(chunk, from)`'s rules; `out` gets the
 * pieces. Returns what `scan` would: call it instead of `scan`, not with it.
 */
export function dechunk(_scanner: BodyScanner, _chunk: Buffer, _from: number, _out: Buffer[]): number {
  throw new Error("soon");
}
