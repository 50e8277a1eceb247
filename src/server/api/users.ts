// People: who may sign in, inviting them, and removing them with all that is theirs.

import { DuplexityError, fields } from "../../protocol/index.ts";
import { type Account, userNameOf } from "../accounts/index.ts";
import { optional, readAsked, readPatterns, readWho } from "./asked.ts";
import { nearestTo } from "./nearest.ts";
import type { ApiCall, ApiEndpoints, ApiOptions } from "./options.ts";
import { isoOrNull, userRow } from "./rows.ts";
import { userIdOf } from "./whose.ts";

export function userEndpoints(options: ApiOptions): ApiEndpoints {
  const { accounts, audit, hub, inviteUrl } = options;

  async function add({ identity, from, asked }: ApiCall): Promise<object> {
    const wanted = readAsked(asked, ["name", "admin", "namePatterns"], (body) => ({
      name: fields.field(body, "name", readWho),
      isAdmin: optional(body, "admin", fields.readBoolean) ?? false,
      namePatterns: optional(body, "namePatterns", readPatterns) ?? null,
    }));
    const account = await accounts.create(wanted);
    const { code, expiresAt } = await accounts.invite(account.userId);
    const names = account.namePatterns === null ? "any name" : account.namePatterns.join(", ");
    const detail = `${account.isAdmin ? "admin" : "user"}, may open ${names}, invited until ${isoOrNull(expiresAt)}`;
    await audit.record({ action: "user-add", by: identity.ownerName, whom: account.name, from, detail });
    return { user: userRow(account), inviteUrl: inviteUrl(code), expiresAt: isoOrNull(expiresAt) };
  }

  /** Another one, or one for a lost password: the old password holds until the link is used, then every sign-in ends. */
  async function invite({ identity, from, asked }: ApiCall): Promise<object> {
    const name = readAsked(asked, ["name"], (body) => fields.field(body, "name", readWho));
    const account = await accounts.lookUpByName(userNameOf(name));
    if (account === null) throw unknownUser(options, name, "invite");
    if (account.outside !== null) {
      throw new DuplexityError("DPX_USAGE", `Cannot invite "${account.name}": they sign in at the other provider`, {
        hint: "A lost password is renewed there.",
      });
    }
    const { code, expiresAt } = await accounts.invite(account.userId);
    const why = account.hasPassword ? "to set a new password" : "anew";
    const detail = `${why}, until ${isoOrNull(expiresAt)}`;
    await audit.record({ action: "invite", by: identity.ownerName, whom: account.name, from, detail });
    return { user: userRow(account), inviteUrl: inviteUrl(code), expiresAt: isoOrNull(expiresAt) };
  }

  async function remove({ identity, from, asked }: ApiCall): Promise<object> {
    const name = readAsked(asked, ["name"], (body) => fields.field(body, "name", readWho));
    const account = await accounts.lookUpByName(userNameOf(name));
    if (account === null) throw unknownUser(options, name, "remove");
    if (account.userId === userIdOf(identity)) {
      throw new DuplexityError("DPX_USAGE", `Cannot remove "${account.name}": that is you`, {
        hint: "Have another admin do it.",
      });
    }
    await accounts.remove(account.userId);
    await audit.record({ action: "user-remove", by: identity.ownerName, whom: account.name, from, detail: null });
    // Its clients go now, not at their next renewal.
    hub.judgeAll();
    return { removed: account.name };
  }

  return {
    "GET /api/users": {
      method: "GET",
      right: "admin",
      run: () => ({ users: [...accounts.all()].sort(byName).map(userRow) }),
    },
    "POST /api/users": { method: "POST", right: "admin", run: add },
    "POST /api/users/invite": { method: "POST", right: "admin", run: invite },
    "POST /api/users/remove": { method: "POST", right: "admin", run: remove },
  };
}

function byName(one: Account, other: Account): number {
  return one.name < other.name ? -1 : 1;
}

export function unknownUser({ accounts }: Pick<ApiOptions, "accounts">, name: string, action: string): DuplexityError {
  const nearest = nearestTo(
    name,
    accounts.all().map((account) => account.name),
  );
  return new DuplexityError("DPX_NOT_FOUND", `Cannot ${action} "${name}": there is no such user`, {
    hint: nearest.length === 0 ? "See duplexity user list." : `Nearest: ${nearest.join(", ")}.`,
  });
}
