// `duplexity token list`: one's tokens for machines, an admin's list has everybody's. Never a secret.

import { callApi, notOurs } from "../api.ts";
import { rowsOf, textOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { API_FLAGS } from "../flags.ts";
import { momentOf, namesOf } from "../output/api-words.ts";

export async function run(context: CommandContext): Promise<number> {
  const { access, show } = await openApi(context, API_FLAGS);
  const request = { path: "/api/tokens", doing: "list the tokens" };
  const tokens = rowsOf((await callApi(access, request)).tokens);
  if (tokens === null) throw notOurs(access, request, "its answer is not a list of tokens");
  const now = new Date();
  show.rows("token", tokens, {
    head: ["NAME", "USER", "NAMES", "ENDS", "LAST USED", "ID"],
    rows: tokens.map((token) => [
      textOf(token.name),
      textOf(token.user),
      namesOf(token.namePatterns),
      token.expiresAt === null || token.expiresAt === undefined ? "never" : momentOf(token.expiresAt, now),
      momentOf(token.lastUsedAt, now),
      textOf(token.tokenId),
    ]),
    none: "There are no tokens. Make one: duplexity token create NAME",
  });
  return 0;
}
