// `duplexity down`: closes pipes of this person's running `up`s on this
// machine. Talks to their sockets only, never to a server.

import { DuplexityError } from "../../protocol/errors.ts";
import { canonicalHostname } from "../../protocol/names.ts";
import { type CommandContext, warn } from "../context.ts";
import { DOWN_FLAGS } from "../flags.ts";
import { nearest } from "../nearest.ts";
import { escapeControls } from "../output/format.ts";
import { lookOf } from "../output/style.ts";
import { ensureRuntimeDirectory } from "../runtime/directory.ts";
import type { UpPipe } from "../runtime/messages.ts";
import { askDown, findUps, type RunningUp } from "../runtime/running-ups.ts";
import { SettingsValues } from "../settings-values.ts";

export async function run(context: CommandContext): Promise<number> {
  const values = new SettingsValues(DOWN_FLAGS, { flags: context.flags, env: context.env, files: [] });
  const isAll = values.isOn("all");
  const wanted = [...new Set(context.words.map(canonicalHostname))];
  const { ups, silent } = await findUps(ensureRuntimeDirectory(context.env));
  for (const { path, reason } of silent) warn(context, `an up does not answer (${path}): ${reason}`);
  if (wanted.length > 0 === isAll) {
    const message = isAll ? "Cannot take names together with --all" : "Cannot tell what to close: no name was given";
    throw new DuplexityError("DPX_USAGE", message, { hint: hintOf(ups) });
  }

  const isWanted = (pipe: UpPipe) => isAll || wanted.some((name) => isCalled(pipe, name));
  const failures: string[] = [];
  const { palette } = lookOf(context.stdout, { env: context.env, noColor: values.isOn("noColor") });
  const jobs = ups.map(async ({ path, status }) => {
    const names = status.pipes.filter(isWanted).map((pipe) => pipe.name);
    if (names.length === 0) return;
    const answer = await askDown(path, names.length === status.pipes.length ? null : names);
    // It died while it was asked: then its pipes are down, too.
    const closed = answer.type === "downed" ? answer.names : answer.type === "dead" ? names : [];
    for (const name of closed) context.stdout.write(`${palette.good("✔")} closed ${escapeControls(name)}\n`);
    if (answer.type === "failed") failures.push(`Cannot close ${names.join(", ")}: ${answer.message}`);
  });
  await Promise.all(jobs);

  const missing = wanted.filter((name) => !ups.some((up) => up.status.pipes.some((pipe) => isCalled(pipe, name))));
  if (missing.length > 0) throw notRunning(missing, ups);
  if (failures.length > 0) throw new DuplexityError("DPX_INTERNAL", failures.join("; "));
  if (isAll && ups.length === 0) context.stderr.write("Nothing runs here.\n");
  return 0;
}

/** A pipe may be named as it was given, by its hostname, or by that one's first label. */
function isCalled(pipe: UpPipe, name: string): boolean {
  return name === pipe.name || name === pipe.hostname || name === pipe.hostname.split(".")[0];
}

function notRunning(missing: readonly string[], ups: readonly RunningUp[]): DuplexityError {
  const running = namesOf(ups);
  const meant = missing.length === 1 ? nearest(missing[0] ?? "", running) : null;
  const names = missing.map((name) => `"${name}"`).join(", ");
  const hint = meant === null ? hintOf(ups) : `duplexity down ${meant}`;
  return new DuplexityError("DPX_NOT_RUNNING", `Cannot close ${names}: no such pipe runs here`, { hint });
}

function hintOf(ups: readonly RunningUp[]): string {
  const running = namesOf(ups);
  return running.length === 0 ? "Nothing runs here." : `These run here: ${running.join(", ")}`;
}

function namesOf(ups: readonly RunningUp[]): string[] {
  return ups.flatMap((up) => up.status.pipes.map((pipe) => pipe.name));
}
