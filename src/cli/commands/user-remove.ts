// `duplexity user remove`: removes an account; its tokens and sign-ins end with it.

import { callApi } from "../api.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { API_FLAGS } from "../flags.ts";

export async function run(context: CommandContext): Promise<number> {
  const [name = ""] = context.words;
  const { access, show } = await openApi(context, API_FLAGS);
  await callApi(access, { path: "/api/users/remove", body: { name }, doing: `remove the user "${name}"` });
  show.done(`removed ${name}, with all tokens and sign-ins`, { type: "userRemoved", user: name });
  return 0;
}
