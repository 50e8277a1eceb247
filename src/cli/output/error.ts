// A failure as a person reads it: what, which code, and what to do next.

import type { DuplexityError } from "../../protocol/errors.ts";
import { escapeControls } from "./format.ts";
import { columnsOf, type LookOptions, lookOf, type Output } from "./style.ts";

/**
 * ```
 * ✖ Cannot register "cat1": ben@ci holds it since 11:02      DPX_NAME_TAKEN
 *   Try   duplexity up --pipe cat2:localhost:9090
 * ```
 */
export function writeError(stream: Output, error: DuplexityError, options: LookOptions): void {
  const { isTerminal, palette } = lookOf(stream, options);
  const message = escapeControls(error.message);
  // On one line with the code where that fits, below each other where it does not.
  const fits = !isTerminal || message.length + error.code.length + 8 <= columnsOf(stream);
  const gap = fits ? "      " : "\n  ";
  stream.write(`${palette.bad("✖")} ${message}${gap}${palette.faint(error.code)}\n`);
  if (error.hint === undefined) return;
  const hint = escapeControls(error.hint);
  stream.write(`  ${palette.strong(hint.startsWith("duplexity ") ? "Try   " : "Hint  ")}${hint}\n`);
}
