// `duplexity kick`: ends clients, and keeps them out for a time. Shows first what would be hit; the server does it and
// answers when each of them is gone.

import { DuplexityError } from "../../protocol/errors.ts";
import { type ApiRequest, callApi, notOurs } from "../api.ts";
import { type Fields, rowsOf, textOf, textsOf } from "../api-answer.ts";
import { type ApiCommand, openApi } from "../api-command.ts";
import { checkCanConfirm, confirm } from "../confirm.ts";
import type { CommandContext } from "../context.ts";
import { KICK_FLAGS } from "../flags.ts";
import { untilOf } from "../output/api-words.ts";
import { countOf, escapeControls, formatDuration } from "../output/format.ts";
import { writeJsonLine } from "../output/json-lines.ts";
import { columnsOf, lookOf } from "../output/style.ts";
import { layOut } from "../output/table.ts";
import { parseLongDuration } from "../units.ts";

/** Each hub confirms; a frozen client is given up after a while. */
const KICK_TIMEOUT_MS = 60_000;

type BanTime = number | "forever";

export async function run(context: CommandContext): Promise<number> {
  const [who = ""] = context.words;
  const api = await openApi(context, KICK_FLAGS);
  const { values } = api;
  const ban = values.parse("ban", "a time such as 10m, 2h or 7d, or forever", parseBan);
  const reason = values.text("reason");
  const isSure = values.isOn("yes");
  if (!isSure) checkCanConfirm(context, `kick "${who}"`);
  const order = { who, ...(reason === undefined ? {} : { reason }), ...(ban === undefined ? {} : { banMs: ban }) };
  if (!isSure) {
    const hit = clientsIn(api, await ask(api, { ...order, dryRun: true }));
    if (!(await isConfirmed(context, api, { who, ban, hit }))) {
      throw new DuplexityError("DPX_CANCELLED", "Kicked nobody: it was not confirmed");
    }
  }
  const answer = await ask(api, order);
  tell(context, api, { who, ban, answer });
  return 0;
}

function requestOf(body: Fields): ApiRequest {
  return { path: "/api/kick", body, doing: `kick "${textOf(body.who)}"`, timeoutMs: KICK_TIMEOUT_MS };
}

function ask(api: ApiCommand, body: Fields): Promise<Fields> {
  return callApi(api.access, requestOf(body));
}

function clientsIn(api: ApiCommand, answer: Fields): readonly Fields[] {
  const clients = rowsOf(answer.clients);
  if (clients === null) throw notOurs(api.access, requestOf({}), "its answer is not a list of clients");
  return clients;
}

async function isConfirmed(
  context: CommandContext,
  { access, values }: ApiCommand,
  { who, ban, hit }: { who: string; ban: BanTime | undefined; hit: readonly Fields[] },
): Promise<boolean> {
  const { stderr, env } = context;
  const { palette } = lookOf(stderr, { env, noColor: values.isOn("noColor") });
  if (hit.length > 0) {
    const table = { head: ["CLIENT", "USER", "PIPES"], rows: hit.map(rowOf) };
    stderr.write(`${layOut(table, columnsOf(stderr), palette).join("\n")}\n\n`);
  }
  const deeds = [
    ...(hit.length === 0 ? [] : [`end ${hit.length === 1 ? "this client" : `these ${hit.length} clients`}`]),
    ...(ban === undefined ? [] : [`ban ${escapeControls(who)} ${banWords(ban)}`]),
  ];
  const question = deeds.join(" and ");
  return confirm(context, `${question.charAt(0).toUpperCase()}${question.slice(1)} at ${access.server}?`);
}

function tell(
  context: CommandContext,
  api: ApiCommand,
  { who, ban, answer }: { who: string; ban: BanTime | undefined; answer: Fields },
): void {
  const clients = clientsIn(api, answer);
  const { until = null, auditId = null } = answer;
  if (api.values.isOn("json")) {
    writeJsonLine(context.stdout, { type: "kicked", clients, until, auditId });
    return;
  }
  const look = lookOf(context.stdout, { env: context.env, noColor: api.values.isOn("noColor") });
  for (const [client = "", user = "", pipes = ""] of clients.map(rowOf)) {
    const shown = escapeControls(`kicked ${client} of ${user} (${pipes})`);
    context.stdout.write(`${look.palette.good("✔")} ${shown}\n`);
  }
  const bans =
    ban === undefined
      ? ""
      : `, ${who} is banned ${ban === "forever" ? "for ever" : `until ${untilOf(until, new Date())}`}`;
  const audit = typeof auditId === "string" ? `  (audit ${auditId})` : "";
  api.show.done(`${countOf(clients.length, "client")} ended${bans}${audit}`, { type: "kicked" });
}

function rowOf(client: Fields): string[] {
  return [textOf(client.clientId), textOf(client.user), textsOf(client.pipes).join(", ") || "–"];
}

function parseBan(text: string): BanTime | null {
  if (text === "forever") return "forever";
  const ms = parseLongDuration(text);
  return ms === null || ms === 0 ? null : ms;
}

function banWords(ban: BanTime): string {
  return ban === "forever" ? "for ever" : `for ${formatDuration(ban).replace(/ 0 (?:s|min|h)$/, "")}`;
}
