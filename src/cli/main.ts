// The command line: reads which command and flags, loads that command's module
// and no other, shows its failure. The only file that ends the process.

import { Command, CommanderError, Option } from "commander";
import { PACKAGE_VERSION } from "../protocol/package-version.ts";
import { COMMANDS, type CommandEntry, commandAt, GROUPS } from "./command-table.ts";
import type { Flag } from "./flags.ts";
import { misspeltVariables } from "./variables.ts";

const EXIT_FAILURE = 1;
const EXIT_USAGE = 2;
/** How long the last words may take to be read. */
const FLUSH_LIMIT_MS = 1_000;

function createProgram(onRun: (status: number) => void): Command {
  const program = new Command("duplexity")
    .description("A tunnel that does not drop: a visitor on the internet reaches a service on your laptop.")
    .usage("<command> [flags]")
    .helpOption("-h, --help", "show this, or a command's flags after its name")
    .helpCommand(false)
    .option("-V, --version", "show the version")
    .exitOverride()
    // Errors are shown in one place, and as JSON where that is asked for.
    .configureOutput({ outputError: () => {} })
    .addHelpText(
      "after",
      "\nStart:  duplexity serve                  on the server\n        duplexity login SERVER           on your laptop\n        duplexity up 9090",
    );
  program.on("option:version", () => {
    process.stdout.write(`${PACKAGE_VERSION}\n`);
    throw new CommanderError(0, "commander.version", "version shown");
  });
  const groups = new Map<string, Command>();
  for (const entry of COMMANDS) {
    const [first = "", second] = entry.name.split(" ");
    if (second === undefined) {
      program.addCommand(createCommand(first, entry, onRun));
      continue;
    }
    const group = groups.get(first) ?? createGroup(first);
    if (!groups.has(first)) program.addCommand(group);
    groups.set(first, group);
    group.addCommand(createCommand(second, entry, onRun));
  }
  return program;
}

function createGroup(name: string): Command {
  return new Command(name)
    .description(GROUPS.get(name) ?? "")
    .usage("<command> [flags]")
    .helpOption("-h, --help", "show this, or a command's flags after its name")
    .helpCommand(false)
    .exitOverride()
    .configureOutput({ outputError: () => {} });
}

function createCommand(name: string, entry: CommandEntry, onRun: (status: number) => void): Command {
  const command = new Command(name)
    .description(entry.does)
    .helpOption("-h, --help", "show this")
    .exitOverride()
    .configureOutput({ outputError: () => {} });
  if (entry.words !== "") command.argument(entry.words);
  else command.allowExcessArguments(false);
  if (entry.more !== "") command.addHelpText("after", entry.more);
  const options = entry.flags.map((flag) => ({ flag, option: optionOf(flag) }));
  for (const { option } of options) command.addOption(option);
  command.action(async () => {
    const flags = new Map<string, unknown>();
    for (const { flag, option } of options) {
      const attribute = option.attributeName();
      if (command.getOptionValueSource(attribute) !== "cli") continue;
      // commander reads `--no-auth` as auth = false.
      flags.set(flag.key, option.negate ? true : command.getOptionValue(attribute));
    }
    const { run } = await entry.load();
    const { env, stdin, stdout, stderr, argv } = process;
    for (const sentence of misspeltVariables(env)) stderr.write(`duplexity: ${sentence}\n`);
    const given = { flags, words: command.args, args: argv.slice(argv.indexOf(name) + 1) };
    onRun(await run({ env, cwd: process.cwd(), stdin, stdout, stderr, version: PACKAGE_VERSION, ...given }));
  });
  return command;
}

function optionOf(flag: Flag): Option {
  const option = new Option(
    flag.syntax,
    flag.fallback === undefined ? flag.help : `${flag.help} (default: ${flag.fallback})`,
  );
  if (flag.kind === "list") {
    option.argParser((value: string, previous: string[] | undefined) => [...(previous ?? []), value]);
  }
  return flag.group === undefined ? option : option.helpGroup(flag.group);
}

/** Runs the command line; answers the exit status. */
async function main(argv: readonly string[]): Promise<number> {
  let status = 0;
  const program = createProgram((answered) => {
    status = answered;
  });
  try {
    await program.parseAsync(argv);
    return status;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0;
    if (error instanceof CommanderError && error.code === "commander.help") return EXIT_USAGE;
    return show(error);
  }
}

async function show(error: unknown): Promise<number> {
  const { showFailure } = await import("./failure.ts");
  const { argv, env, stdout, stderr } = process;
  return showFailure(error, { argv, command: commandAt(argv.slice(2)), env, stdout, stderr });
}

/** Lets what was written reach a slow reader first, and gives up on one that is gone. */
async function end(status: number): Promise<void> {
  const flushed = [process.stdout, process.stderr].map(
    (stream) => new Promise<void>((resolve) => stream.write("", () => resolve())),
  );
  const limit = new Promise<void>((resolve) => setTimeout(resolve, FLUSH_LIMIT_MS).unref());
  await Promise.race([Promise.all(flushed), limit]);
  process.exit(status);
}

// A reader that went away (`duplexity up | head -1`) is no reason to drop the tunnel, nor to crash.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
// A defect ends the command, and in the way that scripts know; a second one, while the first is shown, ends it at once.
process.on("uncaughtException", (error) => {
  process.once("uncaughtException", () => process.exit(EXIT_FAILURE));
  void show(error).then(end);
});

await end(await main(process.argv));
