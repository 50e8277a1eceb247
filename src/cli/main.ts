// The command line: reads which command and flags, loads that command's module
// and no other, shows its failure. The only file that ends the process.

import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import type { Command as RunCommand } from "./context.ts";
import { DOWN_FLAGS, type Flag, LIST_FLAGS, SERVE_FLAGS, STATUS_FLAGS, UP_FLAGS } from "./flags.ts";
import { misspeltVariables } from "./variables.ts";

interface CommandEntry {
  readonly name: string;
  readonly words: string;
  readonly does: string;
  readonly flags: readonly Flag[];
  readonly load: () => Promise<{ run: RunCommand }>;
  readonly more: string;
}

const TARGETS = `
Targets:  9090 · host:port · http://host:port · https://host:port
          https+insecure://host:port · tcp://host:port · unix:/path`;

const COMMANDS: readonly CommandEntry[] = [
  {
    name: "up",
    words: "[target...]",
    does: "open pipes to local services, and stay",
    flags: UP_FLAGS,
    load: () => import("./commands/up.ts"),
    more: `${TARGETS}

Examples: duplexity up 9090
          duplexity up --pipe cat1:localhost:9090 --pipe db:tcp://localhost:5432`,
  },
  {
    name: "down",
    words: "[name...]",
    does: "close pipes that run here",
    flags: DOWN_FLAGS,
    load: () => import("./commands/down.ts"),
    more: "",
  },
  {
    name: "status",
    words: "",
    does: "show the pipes that run here",
    flags: STATUS_FLAGS,
    load: () => import("./commands/status.ts"),
    more: "",
  },
  {
    name: "list",
    words: "",
    does: "show the server's clients and pipes",
    flags: LIST_FLAGS,
    load: () => import("./commands/list.ts"),
    more: "",
  },
  {
    name: "serve",
    words: "",
    does: "run a server",
    flags: SERVE_FLAGS,
    load: () => import("./commands/serve.ts"),
    more: `
Each flag can also be set by environment (--tcp-ports: DUPLEXITY_TCP_PORTS) or in
duplexity.json ({"serve": {"tcpPorts": "…"}}). A time is 500ms, 30s, 5m, 2h or 1d.

Example:  duplexity serve --no-auth`,
  },
];

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
      "\nStart:  duplexity serve --no-auth        on the server\n        duplexity up 9090                on your laptop",
    );
  program.on("option:version", () => {
    process.stdout.write(`${readVersion()}\n`);
    throw new CommanderError(0, "commander.version", "version shown");
  });
  for (const entry of COMMANDS) program.addCommand(createCommand(entry, onRun));
  return program;
}

function createCommand(entry: CommandEntry, onRun: (status: number) => void): Command {
  const command = new Command(entry.name)
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
      const name = option.attributeName();
      if (command.getOptionValueSource(name) !== "cli") continue;
      // commander reads `--no-auth` as auth = false.
      flags.set(flag.key, option.negate ? true : command.getOptionValue(name));
    }
    const { run } = await entry.load();
    const { env, stdin, stdout, stderr, argv } = process;
    for (const sentence of misspeltVariables(env)) stderr.write(`duplexity: ${sentence}\n`);
    const given = { flags, words: command.args, args: argv.slice(argv.indexOf(entry.name) + 1) };
    onRun(await run({ env, cwd: process.cwd(), stdin, stdout, stderr, version: readVersion(), ...given }));
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

function readVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  const content: unknown = JSON.parse(text);
  const version = typeof content === "object" && content !== null && "version" in content ? content.version : null;
  return typeof version === "string" ? version : "unknown";
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
  const command = COMMANDS.find(({ name }) => name === argv[2])?.name;
  return showFailure(error, { argv, command, env, stdout, stderr });
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
