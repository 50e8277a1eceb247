// Who is banned, and lifting that.

import { DuplexityError, fields } from "../../protocol/index.ts";
import { readAsked, readWho } from "./asked.ts";
import { nearestTo } from "./nearest.ts";
import type { ApiCall, ApiEndpoints, ApiOptions } from "./options.ts";
import { banRow, isoOrNull, nameOfSubject } from "./rows.ts";

export function banEndpoints({ bans, audit }: ApiOptions): ApiEndpoints {
  async function unban({ identity, from, asked }: ApiCall): Promise<object> {
    const who = readAsked(asked, ["who"], (body) => fields.field(body, "who", readWho));
    const lifted = await bans.lift(who);
    if (lifted.length === 0) {
      const nearest = nearestTo(
        who,
        bans.all().map(({ subject }) => nameOfSubject(subject)),
      );
      throw new DuplexityError("DPX_NOT_FOUND", `Cannot lift the ban of "${who}": there is none`, {
        hint: nearest.length === 0 ? "See duplexity list --bans." : `Nearest: ${nearest.join(", ")}.`,
      });
    }
    for (const { subject, by } of lifted) {
      const whom = `${subject.kind} ${nameOfSubject(subject)}`;
      await audit.record({ action: "unban", by: identity.ownerName, whom, from, detail: `banned by ${by}` });
    }
    return {
      lifted: lifted.map(({ subject, until }) => ({
        kind: subject.kind,
        name: nameOfSubject(subject),
        until: isoOrNull(until),
      })),
    };
  }

  return {
    "GET /api/bans": {
      method: "GET",
      right: "admin",
      run: () => ({ bans: bans.all().map(banRow) }),
    },
    "POST /api/unban": { method: "POST", right: "admin", run: unban },
  };
}
