// `duplexity token create`: makes a token for a machine. The secret is shown once and kept nowhere.

import { callApi, notOurs } from "../api.ts";
import { fieldsOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { TOKEN_CREATE_FLAGS } from "../flags.ts";
import { untilOf } from "../output/api-words.ts";
import { parseLongDuration } from "../units.ts";

export async function run(context: CommandContext): Promise<number> {
  const [name = ""] = context.words;
  const { access, values, show } = await openApi(context, TOKEN_CREATE_FLAGS);
  const names = values.list("names");
  const user = values.text("user");
  const ttlMs = values.parse("expires", "a time such as 12h or 30d", (text) => parseLongDuration(text) || null);
  const body = {
    name,
    ...(names.length === 0 ? {} : { namePatterns: names }),
    ...(ttlMs === undefined ? {} : { ttlMs }),
    ...(user === undefined ? {} : { user }),
  };
  const request = { path: "/api/tokens", body, doing: `make the token "${name}"` };
  const { token, secret } = await callApi(access, request);
  if (typeof secret !== "string") throw notOurs(access, request, "its answer has no token");
  const facts = fieldsOf(token);
  const until =
    facts.expiresAt === null || facts.expiresAt === undefined
      ? "without an end"
      : `until ${untilOf(facts.expiresAt, new Date())}`;
  const sentence = `made the token ${name}, good ${until}. It is shown this once; put it into DUPLEXITY_TOKEN or a file:`;
  show.once(sentence, secret, { type: "tokenCreated", token: facts, secret });
  return 0;
}
