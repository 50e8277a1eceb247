// Takes chunk framing off a body, for HTTP/1.0 visitors who can't read it.

import type { BodyScanner } from "./body-scanner.ts";

/**
 * Call it instead of `scanner.scan(chunk, from)`: it returns the same, and `out` gets the content of what was scanned,
 * in order and by reference. Trailers are lost: HTTP/1.0 has none (RFC 9112 §7.1.2 allows it).
 */
export function dechunk(scanner: BodyScanner, chunk: Buffer, from: number, out: Buffer[]): number {
  return scanner.scan(chunk, from, out);
}
