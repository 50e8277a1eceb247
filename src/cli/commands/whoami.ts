// `duplexity whoami`: who this person is to the server, by the server's own word.

import { callApi } from "../api.ts";
import { dateOf, textOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { API_FLAGS } from "../flags.ts";
import { namesOf } from "../output/api-words.ts";
import { formatMoment } from "../output/format.ts";

export async function run(context: CommandContext): Promise<number> {
  const { access, show } = await openApi(context, API_FLAGS);
  const { user, role, expiresAt, namePatterns } = await callApi(access, { path: "/api/whoami", doing: "ask who I am" });
  const { server, isSignedIn } = access;
  const ends = dateOf(expiresAt);
  const until = ends === null ? "for ever" : formatMoment(ends, new Date());
  show.facts(
    textOf(user),
    [
      ["role", textOf(role)],
      ["server", server],
      ["until", isSignedIn && ends !== null ? `${until}, renewed by itself` : until],
      ["names", namesOf(namePatterns)],
    ],
    {
      ...{ type: "whoami", server, user: user ?? null, role: role ?? null },
      ...{ expiresAt: expiresAt ?? null, namePatterns: namePatterns ?? null },
    },
  );
  return 0;
}
