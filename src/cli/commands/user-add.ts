// `duplexity user add`: makes an account; its person signs in by the invite link, which is shown once.

import { callApi, notOurs } from "../api.ts";
import { fieldsOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { USER_ADD_FLAGS } from "../flags.ts";
import { momentOf } from "../output/api-words.ts";

export async function run(context: CommandContext): Promise<number> {
  const [name = ""] = context.words;
  const { access, values, show } = await openApi(context, USER_ADD_FLAGS);
  const names = values.list("names");
  const isAdmin = values.isOn("admin");
  const body = { name, ...(isAdmin ? { admin: true } : {}), ...(names.length === 0 ? {} : { namePatterns: names }) };
  const request = { path: "/api/users", body, doing: `add the user "${name}"` };
  const { user, inviteUrl, expiresAt } = await callApi(access, request);
  if (typeof inviteUrl !== "string") throw notOurs(access, request, "its answer has no invite link");
  const given = fieldsOf(user).name ?? user;
  const shownName = typeof given === "string" ? given : name;
  const sentence = `added ${shownName}. This link makes the password; it is good once, until ${momentOf(expiresAt, new Date())}:`;
  show.once(sentence, inviteUrl, {
    ...{
      type: "userAdded",
      user: shownName,
      role: isAdmin ? "admin" : "user",
      inviteUrl,
      expiresAt: expiresAt ?? null,
    },
  });
  return 0;
}
