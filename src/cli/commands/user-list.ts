// `duplexity user list`: the people of the server.

import { callApi, notOurs } from "../api.ts";
import { rowsOf, textOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { API_FLAGS } from "../flags.ts";
import { momentOf, namesOf } from "../output/api-words.ts";

export async function run(context: CommandContext): Promise<number> {
  const { access, show } = await openApi(context, API_FLAGS);
  const request = { path: "/api/users", doing: "list the users" };
  const users = rowsOf((await callApi(access, request)).users);
  if (users === null) throw notOurs(access, request, "its answer is not a list of users");
  const now = new Date();
  show.rows("user", users, {
    head: ["NAME", "ROLE", "STATE", "NAMES", "SINCE"],
    rows: users.map((user) => [
      textOf(user.name),
      textOf(user.role),
      textOf(user.state),
      namesOf(user.namePatterns),
      momentOf(user.createdAt, now),
    ]),
    none: `${access.server} has no users. Add one: duplexity user add NAME`,
  });
  return 0;
}
