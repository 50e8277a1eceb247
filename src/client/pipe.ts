// Pipes as a person or a program writes them, checked before anything is
// dialled. Pure.

import { checkName, DuplexityError } from "../protocol/index.ts";
import { checkGate } from "./gate.ts";
import { randomName } from "./random-name.ts";
import { parseTarget, type Target } from "./target.ts";
import type { GateOptions, PipeOptions } from "./tunnel.ts";

/** One public hostname to one local target. */
export interface Pipe {
  /** Canonical: a label (`cat1`) or a full hostname (`cat1.example.com`). */
  readonly name: string;
  readonly target: Target;
  /** Who may come in. Left out: everybody. */
  readonly gate?: GateOptions;
}

/** More pipes do not fit into one tunnel, whatever the server allows. */
export const MAX_PIPES = 256;

/**
 * Reads `NAME:TARGET`: `cat1:localhost:9090`, `cat1:9090`, `db:tcp://localhost:5432`, `cat1:unix:/run/app.sock`.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it has no name or no target, `DPX_NAME_INVALID`, `DPX_NAME_RESERVED` or
 * `DPX_TARGET_INVALID`, each with what would be right.
 */
export function parsePipe(text: string): Pipe {
  const colon = text.indexOf(":");
  const before = colon === -1 ? text : text.slice(0, colon);
  const after = colon === -1 ? "" : text.slice(colon + 1);
  if (hasNoName(text, before, after)) {
    throw new DuplexityError("DPX_USAGE", `Cannot read the pipe "${text}": it has no name, wanted NAME:TARGET`, {
      hint: `Write cat1:${text}, or give "${text}" without --pipe for a random name.`,
    });
  }
  if (after.trim() === "") {
    throw new DuplexityError("DPX_USAGE", `Cannot read the pipe "${text}": it has no target, wanted NAME:TARGET`, {
      hint: `Write ${before.trim() || "cat1"}:9090 or ${before.trim() || "cat1"}:localhost:9090.`,
    });
  }
  return { name: checkName(before.trim()), target: parseTarget(after) };
}

/** Whether what stands before the first colon belongs to a target. */
function hasNoName(text: string, before: string, after: string): boolean {
  if (/^\d+$/.test(before) && after === "") return true;
  return (
    after.startsWith("//") || text.startsWith("[") || before === "unix" || /^(localhost|[\d.]+\.\d+)$/.test(before)
  );
}

/**
 * Pipes of one tunnel, each with its name. `identity` is what stays the same for this machine: with it and the target
 * a pipe without a name always gets the same one.
 *
 * @throws {DuplexityError} As `parsePipe`, and `DPX_USAGE` when there is none, there are too many, or two share a name.
 */
export function resolvePipes(options: readonly PipeOptions[], identity: string): readonly Pipe[] {
  if (options.length === 0) {
    throw new DuplexityError("DPX_USAGE", "Cannot open a tunnel: it has no pipe, wanted at least one", {
      hint: "Give a target, such as 9090.",
    });
  }
  if (options.length > MAX_PIPES) {
    throw new DuplexityError(
      "DPX_USAGE",
      `Cannot open ${options.length} pipes in one tunnel, at most ${MAX_PIPES} fit`,
    );
  }
  const pipes = new Map<string, Pipe>();
  for (const option of options) {
    const target = parseTarget(option.target);
    const name = option.name === undefined ? randomName(identity, target.text) : checkName(option.name);
    const other = pipes.get(name);
    if (other !== undefined) throw duplicate(name, other.target, target, option.name === undefined);
    const { gate } = option;
    if (gate !== undefined) checkGate(gate, name, target);
    pipes.set(name, gate === undefined ? { name, target } : { name, target, gate });
  }
  return [...pipes.values()];
}

function duplicate(name: string, first: Target, second: Target, isRandom: boolean): DuplexityError {
  if (isRandom) {
    return new DuplexityError("DPX_USAGE", `Cannot open two pipes to ${second.text}: both would be called "${name}"`, {
      hint: `Name one of them: --pipe cat1:${second.text}`,
    });
  }
  return new DuplexityError(
    "DPX_USAGE",
    `Cannot open two pipes called "${name}": one leads to ${first.text}, the other to ${second.text}`,
    { hint: "Give each pipe its own name." },
  );
}
