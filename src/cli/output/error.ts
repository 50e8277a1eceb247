// A failure as a person reads it: what, which code, and what to do next.

import type { DuplexityError } from "../../protocol/errors.ts";
import { escapeControls, wrap } from "./format.ts";
import { columnsOf, type LookOptions, lookOf, type Output } from "./style.ts";

/**
 * ```
 * ✖ Cannot register "cat1": ben@ci holds it since 11:02      DPX_NAME_TAKEN
 *   Try   duplexity up --pipe cat2:localhost:9090
 * ```
 */
export function writeError(stream: Output, error: DuplexityError, options: LookOptions): void {
  const { isTerminal, palette } = lookOf(stream, options);
  const columns = isTerminal ? columnsOf(stream) : Number.POSITIVE_INFINITY;
  const message = wrap(escapeControls(error.message), columns, 2).trimStart();
  // On one line with the code where that fits, below each other where it does not.
  const gap = message.length + error.code.length + 8 <= columns ? "      " : "\n  ";
  stream.write(`${palette.bad("✖")} ${message}${gap}${palette.faint(error.code)}\n`);
  if (error.hint === undefined) return;
  const hint = escapeControls(error.hint);
  // A command is not broken into lines: it is there to be copied.
  if (hint.startsWith("duplexity ")) stream.write(`  ${palette.strong("Try")}   ${hint}\n`);
  else stream.write(`  ${palette.strong("Hint")}  ${wrap(hint, columns, 8).trimStart()}\n`);
}
