// Asks a person whether to go on. Only on a terminal: a script says it by a flag.

import { createInterface } from "node:readline/promises";
import { DuplexityError } from "../protocol/errors.ts";
import type { CommandContext } from "./context.ts";

/**
 * Whether there is somebody to ask.
 *
 * @throws {DuplexityError} `DPX_USAGE` if not.
 */
export function checkCanConfirm({ stdin, stderr }: CommandContext, doing: string): void {
  if (stdin.isTTY && stderr.isTTY) return;
  throw new DuplexityError("DPX_USAGE", `Cannot ask whether to ${doing}: this is not a terminal`, {
    hint: "Add --yes to do it without a question.",
  });
}

/** Asks on stderr, so that stdout stays for the answer of the command. Anything but `y` or `yes` is a no. */
export async function confirm({ stdin, stderr }: CommandContext, question: string): Promise<boolean> {
  const lines = createInterface({ input: stdin, output: stderr });
  // Ctrl-C and Ctrl-D are a no.
  const ended = new AbortController();
  lines.once("close", () => ended.abort());
  lines.once("SIGINT", () => lines.close());
  try {
    const answer = await lines.question(`${question} [y/N] `, { signal: ended.signal });
    return /^y(?:es)?$/i.test(answer.trim());
  } catch {
    stderr.write("\n");
    return false;
  } finally {
    lines.close();
  }
}
