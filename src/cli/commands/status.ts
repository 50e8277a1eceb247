// `duplexity status`: the pipes that run on this machine, as their `up`s tell
// it. Asks no server.

import { type CommandContext, warn } from "../context.ts";
import { STATUS_FLAGS } from "../flags.ts";
import { formatDuration, formatMoment, formatRoundTrip } from "../output/format.ts";
import { writeJsonLine } from "../output/json-lines.ts";
import { columnsOf, lookOf } from "../output/style.ts";
import { layOut } from "../output/table.ts";
import { ensureRuntimeDirectory } from "../runtime/directory.ts";
import type { UpPipe, UpStatus } from "../runtime/messages.ts";
import { findUps } from "../runtime/running-ups.ts";
import { SettingsValues } from "../settings-values.ts";

export async function run(context: CommandContext): Promise<number> {
  const values = new SettingsValues(STATUS_FLAGS, { flags: context.flags, env: context.env, files: [] });
  const { ups, silent } = await findUps(ensureRuntimeDirectory(context.env));
  for (const { path, reason } of silent) warn(context, `an up does not answer (${path}): ${reason}`);
  const rows = ups.flatMap(({ status }) => status.pipes.map((pipe) => ({ status, pipe })));

  if (values.isOn("json")) {
    for (const { status, pipe } of rows) writeJsonLine(context.stdout, jsonOf(status, pipe));
    return 0;
  }
  if (rows.length === 0) {
    context.stderr.write("No pipes run here. Open one: duplexity up 9090\n");
    return 0;
  }
  const look = lookOf(context.stdout, { env: context.env, noColor: values.isOn("noColor") });
  const now = new Date();
  const table = {
    head: ["URL", "TARGET", "UP SINCE", "REQS", "RTT", "LAST BYTE"],
    // Figures belong to the whole `up`: beside its first pipe only, or they would seem to add up.
    rows: rows.map(({ status, pipe }) => cellsOf(status, pipe, { now, isFirst: pipe === status.pipes[0] })),
    rightAligned: [3, 4, 5],
  };
  const width = look.isTerminal ? columnsOf(context.stdout) : Number.POSITIVE_INFINITY;
  context.stdout.write(`${layOut(table, width, look.palette).join("\n")}\n`);
  return 0;
}

function cellsOf(status: UpStatus, pipe: UpPipe, options: { now: Date; isFirst: boolean }): string[] {
  const { now, isFirst } = options;
  const target = pipe.target.replace(/^http:\/\//, "");
  const since = formatMoment(new Date(status.upSince), now);
  const away = status.awaySince === null ? "" : ` (away ${ago(status.awaySince, now)})`;
  const last = status.lastByteAt === null ? "–" : `${ago(status.lastByteAt, now)} ago`;
  const rtt = status.rttMs === null ? "–" : formatRoundTrip(status.rttMs);
  return [pipe.url, target, `${since}${away}`, ...(isFirst ? [String(status.requests), rtt, last] : ["", "", ""])];
}

function ago(moment: string, now: Date): string {
  return formatDuration(Math.max(0, now.getTime() - Date.parse(moment)));
}

/** `requests`, `rttMs`, `bytes…` and `lastByteAt` are those of the whole `up`, which may have more pipes. */
function jsonOf(status: UpStatus, pipe: UpPipe) {
  const { pid, clientId, server, state, upSince, awaySince, requests, openStreams } = status;
  const { bytesIn, bytesOut, rttMs, lastByteAt } = status;
  const { name, hostname, url, target } = pipe;
  const who = { type: "pipe", name, hostname, url, target, clientId, pid, server };
  return { ...who, state, upSince, awaySince, requests, openStreams, rttMs, bytesIn, bytesOut, lastByteAt };
}
