// A command run in the test's own process: as from a terminal or from a pipe, with a settings folder of its own.

import { PassThrough } from "node:stream";
import type { Command, CommandContext } from "../../../src/cli/context.ts";
import { createRecorder, type Recorder } from "./recorder.ts";

export interface CommandRun {
  /** The exit status, or what the command threw. */
  readonly ended: Promise<number>;
  readonly stdout: Recorder;
  readonly stderr: Recorder;
  readonly stdin: PassThrough;
  /** The JSON lines on stdout. */
  lines(): Record<string, unknown>[];
}

export interface CommandRunOptions {
  /** The settings folder. */
  readonly settings: string;
  readonly words?: readonly string[];
  readonly flags?: Readonly<Record<string, unknown>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Somebody sits in front of it. */
  readonly isTerminal?: boolean;
  readonly cwd?: string;
}

export function runCommand(run: Command, options: CommandRunOptions): CommandRun {
  const columns = options.isTerminal === true ? 100 : undefined;
  const [stdout, stderr] = [createRecorder(columns), createRecorder(columns)];
  const stdin = new PassThrough();
  const context: CommandContext = {
    env: { DUPLEXITY_CONFIG_DIR: options.settings, NO_COLOR: "1", ...options.env },
    cwd: options.cwd ?? options.settings,
    stdin: Object.assign(stdin, { isTTY: options.isTerminal === true }),
    stdout,
    stderr,
    version: "0.1.0",
    flags: new Map(Object.entries(options.flags ?? {})),
    words: options.words ?? [],
    args: [],
  };
  const ended = run(context);
  // A failure is the test's to look at, later.
  ended.catch(() => {});
  const lines = () =>
    stdout
      .text()
      .split("\n")
      .filter((line) => line !== "")
      .map((line): Record<string, unknown> => JSON.parse(line));
  return { ended, stdout, stderr, stdin, lines };
}
