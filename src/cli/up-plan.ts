// What one `up` is to do, read from flags, environment and files and checked
// before anything is dialled. Opens no socket.

import { type PipeOptions, parsePipe, parseTarget } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { type CommandContext, readSettings } from "./context.ts";
import { readAccess, type ServerAccess } from "./dial.ts";
import { UP_FLAGS } from "./flags.ts";

export interface UpPlan {
  readonly access: ServerAccess;
  readonly pipes: readonly PipeOptions[];
  readonly isJson: boolean;
  readonly noColor: boolean;
  readonly logsRequests: boolean;
  readonly isDetached: boolean;
}

/** @throws {DuplexityError} `DPX_USAGE`, `DPX_NAME_INVALID`, `DPX_NAME_RESERVED` or `DPX_TARGET_INVALID`. */
export async function planUp(context: CommandContext): Promise<UpPlan> {
  const { values, user } = await readSettings(context, "client", UP_FLAGS);
  const bare = context.words.map((target): PipeOptions => ({ target: parseTarget(target).canonical }));
  // Targets on the command line replace the pipes of environment and files; they don't add to them.
  const isListed = context.words.length === 0 || context.flags.has("pipe");
  const named = isListed ? values.list("pipe").map(readPipe) : [];
  const pipes = [...bare, ...named];
  if (pipes.length === 0) {
    throw new DuplexityError("DPX_USAGE", "Cannot open a tunnel: no target was given, wanted a port or an address", {
      hint: "duplexity up 9090",
    });
  }
  refuseTwins(pipes);
  return {
    access: readAccess(context, values, user),
    pipes,
    isJson: values.isOn("json"),
    noColor: values.isOn("noColor"),
    logsRequests: values.isOn("logRequests"),
    isDetached: values.isOn("detach"),
  };
}

/** `cat1:localhost:9090` */
function readPipe(text: string): PipeOptions {
  const { name, target } = parsePipe(text);
  return { name, target: target.canonical };
}

function refuseTwins(pipes: readonly PipeOptions[]): void {
  const names = new Set<string>();
  const bareTargets = new Set<string>();
  for (const { name, target } of pipes) {
    if (name !== undefined && names.has(name)) {
      throw new DuplexityError("DPX_USAGE", `Cannot use the name "${name}" twice: each pipe needs its own`, {
        hint: `Rename one of them, such as ${name.split(".")[0]}-2:${target}`,
      });
    }
    if (name === undefined && bareTargets.has(String(target))) {
      throw new DuplexityError("DPX_USAGE", `Cannot open ${target} twice: without a name both would get the same one`, {
        hint: `Give one of them a name: --pipe cat1:${target}`,
      });
    }
    if (name === undefined) bareTargets.add(String(target));
    else names.add(name);
  }
}
