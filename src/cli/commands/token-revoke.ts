// `duplexity token revoke`: ends a token for a machine, at once and everywhere.

import { callApi } from "../api.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { API_FLAGS } from "../flags.ts";

export async function run(context: CommandContext): Promise<number> {
  const [token = ""] = context.words;
  const { access, show } = await openApi(context, API_FLAGS);
  await callApi(access, { path: "/api/tokens/revoke", body: { token }, doing: `revoke the token "${token}"` });
  show.done(`revoked ${token}`, { type: "tokenRevoked", token });
  return 0;
}
