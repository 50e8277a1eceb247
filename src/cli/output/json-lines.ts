// NDJSON for scripts: one object a line, `"v":1` and `"type"` first. Nothing
// else may be written to the same stream.

import type { DuplexityError } from "../../protocol/errors.ts";

export interface JsonLine {
  readonly type: string;
  readonly [field: string]: unknown;
}

export function writeJsonLine(stream: NodeJS.WritableStream, line: JsonLine): void {
  stream.write(`${JSON.stringify({ v: 1, ...line })}\n`);
}

/** The line that every failed command ends with. */
export function errorLine(error: DuplexityError): JsonLine {
  return { type: "error", code: error.code, message: error.message, hint: error.hint ?? null, docs: docsOf(error) };
}

/** Where the code is explained. */
export function docsOf(error: DuplexityError): string {
  return `docs/errors.md#${error.code.toLowerCase()}`;
}
