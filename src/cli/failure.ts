// Turns whatever a command threw into what the user gets: a sentence or a JSON
// line, and the exit status. Ends nothing.

import { asDuplexityError, DuplexityError, ERRORS } from "../protocol/errors.ts";
import { writeError } from "./output/error.ts";
import { errorLine, writeJsonLine } from "./output/json-lines.ts";
import type { Output } from "./output/style.ts";

export interface FailureOptions {
  readonly argv: readonly string[];
  /** The command that was asked for, if there is such a one. */
  readonly command?: string | undefined;
  readonly env: NodeJS.ProcessEnv;
  readonly stdout: Output;
  readonly stderr: Output;
}

/** Shows the failure (with --json on stdout, else on stderr) and answers the exit status of its code. */
export function showFailure(thrown: unknown, options: FailureOptions): number {
  const error = isCommanderError(thrown) ? usageError(thrown.message, options.command) : asDuplexityError(thrown);
  // The flags were perhaps not understood, so this looks at the words themselves.
  if (isJson(options)) writeJsonLine(options.stdout, errorLine(error));
  else writeError(options.stderr, error, { env: options.env, noColor: options.argv.includes("--no-color") });
  if (error.code === "DPX_INTERNAL" && error.cause instanceof Error) {
    options.stderr.write(`${error.cause.stack ?? error.cause.message}\n`);
  }
  return ERRORS[error.code].exitStatus;
}

function isJson(options: FailureOptions): boolean {
  const end = options.argv.indexOf("--");
  const flags = end < 0 ? options.argv : options.argv.slice(0, end);
  return (
    flags.includes("--json") || ["1", "true", "yes", "on"].includes((options.env.DUPLEXITY_JSON ?? "").toLowerCase())
  );
}

/** By shape, so that commander need not be loaded twice nor known here. */
function isCommanderError(value: unknown): value is Error {
  return value instanceof Error && "code" in value && String(value.code).startsWith("commander.");
}

/** `error: unknown option '--sever'\n(Did you mean --server?)` as a message and a hint. */
function usageError(message: string, command: string | undefined): DuplexityError {
  const [first = "", ...rest] = message.replace(/^error: /, "").split("\n");
  const meant = /Did you mean (.+)\?/.exec(rest.join(" "))?.[1];
  const help = command === undefined ? "duplexity --help" : `duplexity ${command} --help`;
  const hint = meant === undefined ? help : `Did you mean ${meant}?`;
  return new DuplexityError("DPX_USAGE", `${first.charAt(0).toUpperCase()}${first.slice(1)}`, { hint });
}
