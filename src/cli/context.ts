// What main hands to every command: the outside world, so that a command can
// be run in a test without a process of its own. Holds no logic but reading settings.

import type { Flag } from "./flags.ts";
import type { Output } from "./output/style.ts";
import { readProjectFile, type Section } from "./settings-file.ts";
import { type RawValues, SettingsValues } from "./settings-values.ts";

/** Where words come from: the terminal, a pipe, or what a test puts in its place. */
export type Input = NodeJS.ReadableStream & { readonly isTTY?: boolean };

export interface CommandContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly stdin: Input;
  readonly stdout: Output;
  readonly stderr: Output;
  /** `0.1.0` */
  readonly version: string;
  /** Flags as given on the command line, by key. */
  readonly flags: RawValues;
  /** What stands on the command line besides flags. */
  readonly words: readonly string[];
  /** The command line as it was given, after the command's name: only for the order of words and flags. */
  readonly args: readonly string[];
}

/** Runs a command; answers its exit status. Throws a DuplexityError for main to show. */
export type Command = (context: CommandContext) => Promise<number>;

/** A note on stderr that doesn't end the command. */
export function warn(context: CommandContext, message: string): void {
  context.stderr.write(`duplexity: ${message}\n`);
}

/** The values of one command from all places. Loads conf (through settings.ts), so only commands that need it call it. */
export async function readSettings(context: CommandContext, section: Section, flags: readonly Flag[]) {
  const { openUserSettings } = await import("./settings.ts");
  const user = await openUserSettings({ env: context.env, warn: (message) => warn(context, message) });
  const early = new SettingsValues(flags, { flags: context.flags, env: context.env, files: [] });
  const project = readProjectFile(section, { cwd: context.cwd, path: early.text("config") });
  const files = [...(project === null ? [] : [project]), user.values(section)];
  return { values: new SettingsValues(flags, { flags: context.flags, env: context.env, files }), user };
}
