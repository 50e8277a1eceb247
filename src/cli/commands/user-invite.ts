// `duplexity user invite`: a new link for somebody whose link has ended, or whose password is lost; the one before is void.

import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { API_FLAGS } from "../flags.ts";
import { showInvite } from "../invite.ts";

export async function run(context: CommandContext): Promise<number> {
  const [name = ""] = context.words;
  const request = { path: "/api/users/invite", body: { name }, doing: `invite the user "${name}"` };
  await showInvite(await openApi(context, API_FLAGS), request, { name, done: "invited", type: "userInvited" });
  return 0;
}
