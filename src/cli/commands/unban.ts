// `duplexity unban`: lifts the bans of a user, a hostname or a client.

import { callApi, notOurs } from "../api.ts";
import { rowsOf, textOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { API_FLAGS } from "../flags.ts";
import { untilOf } from "../output/api-words.ts";

export async function run(context: CommandContext): Promise<number> {
  const [who = ""] = context.words;
  const { access, show } = await openApi(context, API_FLAGS);
  const request = { path: "/api/unban", body: { who }, doing: `lift the ban of "${who}"` };
  const lifted = rowsOf((await callApi(access, request)).lifted);
  if (lifted === null) throw notOurs(access, request, "its answer is not a list of bans");
  const now = new Date();
  for (const { kind, name, until } of lifted) {
    const was = until === null || until === undefined ? "for ever" : `until ${untilOf(until, now)}`;
    show.done(`lifted the ban of ${textOf(kind)} ${textOf(name)} (it was ${was})`, {
      ...{ type: "unbanned", kind: kind ?? null, name: name ?? null, until: until ?? null },
    });
  }
  return 0;
}
