// `duplexity user add`: makes an account; its person signs in by the invite link, which is shown once.

import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { USER_ADD_FLAGS } from "../flags.ts";
import { showInvite } from "../invite.ts";

export async function run(context: CommandContext): Promise<number> {
  const [name = ""] = context.words;
  const api = await openApi(context, USER_ADD_FLAGS);
  const names = api.values.list("names");
  const isAdmin = api.values.isOn("admin");
  const body = { name, ...(isAdmin ? { admin: true } : {}), ...(names.length === 0 ? {} : { namePatterns: names }) };
  const request = { path: "/api/users", body, doing: `add the user "${name}"` };
  const more = { role: isAdmin ? "admin" : "user" };
  await showInvite(api, request, { name, done: "added", type: "userAdded", more });
  return 0;
}
