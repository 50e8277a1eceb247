// What one `up` is to do, read from flags, environment and files and checked
// before anything is dialled. Opens no socket.

import { type GateOptions, type PipeOptions, parsePipe, parseTarget, resolvePipes } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { type CommandContext, readSettings, warn } from "./context.ts";
import { readAccess, type ServerAccess } from "./dial.ts";
import { longName, UP_FLAGS } from "./flags.ts";
import type { SettingsValues } from "./settings-values.ts";
import { readVisitors } from "./visitors-file.ts";

export interface UpPlan {
  readonly access: ServerAccess;
  readonly pipes: readonly PipeOptions[];
  readonly isJson: boolean;
  readonly noColor: boolean;
  readonly logsRequests: boolean;
  readonly isDetached: boolean;
  /** Left out: as many as the SDK takes. */
  readonly links: 1 | 2 | undefined;
}

/** @throws {DuplexityError} `DPX_USAGE`, `DPX_NAME_INVALID`, `DPX_NAME_RESERVED` or `DPX_TARGET_INVALID`. */
export async function planUp(context: CommandContext): Promise<UpPlan> {
  const { values, user } = await readSettings(context, "client", UP_FLAGS);
  const bare = context.words.map((target): PipeOptions => ({ target: parseTarget(target).text }));
  // Targets on the command line replace the pipes of environment and files; they don't add to them.
  const isListed = context.words.length === 0 || context.flags.has("pipe");
  const named = isListed ? values.list("pipe").map(readPipe) : [];
  const all = context.flags.has("pipe") ? inOrderGiven(context.args, bare, named) : [...bare, ...named];
  const gate = readGate(context, values);
  const pipes = gate === undefined ? all : all.map((pipe): PipeOptions => ({ ...pipe, gate }));
  if (pipes.length === 0) {
    throw new DuplexityError("DPX_USAGE", "Cannot open a tunnel: no target was given, wanted a port or an address", {
      hint: "duplexity up 9090",
    });
  }
  // For its checks alone: the names that it makes are the tunnel's business.
  resolvePipes(pipes, "");
  return {
    access: await readAccess(context, values, user),
    pipes,
    isJson: values.isOn("json"),
    noColor: values.isOn("noColor"),
    logsRequests: values.isOn("logRequests"),
    isDetached: values.isOn("detach"),
    links: values.parse("links", "1 or 2", (text) => (text === "1" ? 1 : text === "2" ? 2 : null)),
  };
}

/** Who may come in, through all pipes of this `up`; undefined: everybody. */
function readGate(context: CommandContext, values: SettingsValues): GateOptions | undefined {
  const path = values.text("basicAuth");
  const place = values.placeOf("basicAuth") ?? "";
  const allowCidr = values.list("allowCidr");
  const login = values.isOn("login");
  if (path === undefined && values.placeOf("allowCidr") === null && !login) return undefined;
  const options = { cwd: context.cwd, place, warn: (message: string) => warn(context, message) };
  return {
    ...(path === undefined ? {} : { basicAuth: readVisitors(path, options) }),
    ...(values.placeOf("allowCidr") === null ? {} : { allowCidr }),
    ...(login ? { login } : {}),
  };
}

/**
 * Bare targets and `--pipe`s as they stood on the command line: in that order their URLs are printed. commander tells
 * them apart but forgets which came first.
 */
export function inOrderGiven<T>(args: readonly string[], bare: readonly T[], named: readonly T[]): readonly T[] {
  const takesValue = new Set(UP_FLAGS.filter(({ syntax }) => syntax.includes("<")).map(longName));
  const [bareLeft, namedLeft] = [[...bare], [...named]];
  const ordered: (T | undefined)[] = [];
  let isValue = false;
  let areAllWords = false;
  for (const arg of args) {
    if (isValue) isValue = false;
    else if (arg === "--" && !areAllWords) areAllWords = true;
    else if (areAllWords || !arg.startsWith("-")) ordered.push(bareLeft.shift());
    else {
      if (arg === "--pipe" || arg.startsWith("--pipe=")) ordered.push(namedLeft.shift());
      isValue = takesValue.has(arg);
    }
  }
  return [...ordered.filter((each) => each !== undefined), ...bareLeft, ...namedLeft];
}

/** `cat1:localhost:9090` */
function readPipe(text: string): PipeOptions {
  const { name, target } = parsePipe(text);
  return { name, target: target.text };
}

/** A refusal of a name with the command that would work instead: the same one under the next name. */
export function explainRefusal(error: DuplexityError, pipes: readonly PipeOptions[]): DuplexityError {
  if (error.code !== "DPX_NAME_TAKEN") return error;
  const refused = pipes.find(({ name }) => name !== undefined && error.message.includes(`"${name}"`));
  if (refused?.name === undefined) return error;
  const target = String(refused.target).replace(/^http:\/\//, "");
  const hint = `duplexity up --pipe ${nextName(refused.name)}:${target}`;
  return new DuplexityError(error.code, error.message, { hint, cause: error });
}

/** `cat2` after `cat1`, `cat-2` after `cat`; of a hostname its first label. */
function nextName(name: string): string {
  const [label = "", ...rest] = name.split(".");
  const digits = /\d{1,9}$/.exec(label)?.[0];
  const next = digits === undefined ? `${label}-2` : `${label.slice(0, -digits.length)}${Number(digits) + 1}`;
  return [next, ...rest].join(".");
}
