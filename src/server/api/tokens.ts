// Tokens of machines: each person's own, and an admin all of them. A secret is answered once, when it is made.

import { DuplexityError, fields } from "../../protocol/index.ts";
import { type Account, type MachineToken, userNameOf } from "../accounts/index.ts";
import type { Identity } from "../identity/index.ts";
import { optional, readAsked, readDurationMs, readPatterns, readWho } from "./asked.ts";
import { nearestTo } from "./nearest.ts";
import type { ApiCall, ApiEndpoints, ApiOptions } from "./options.ts";
import { isoOrNull, tokenRow } from "./rows.ts";
import { unknownUser } from "./users.ts";
import { userIdOf } from "./whose.ts";

export function tokenEndpoints(options: ApiOptions): ApiEndpoints {
  const { accounts, tokens, audit, hub, now = Date.now } = options;
  const userNameById = (userId: string): string => accounts.byId(userId)?.name ?? "";

  function visibleTo(identity: Identity): readonly MachineToken[] {
    if (identity.isAdmin) return tokens.all();
    const userId = userIdOf(identity);
    return userId === null ? [] : tokens.ofUser(userId);
  }

  async function ownerOf(identity: Identity, user: string | undefined): Promise<Account> {
    const userId = userIdOf(identity);
    const own = userId === null ? null : accounts.byId(userId);
    const account = user === undefined ? own : await accounts.lookUpByName(userNameOf(user));
    // Who is no admin is not told which users there are.
    if (!identity.isAdmin && (account === null || account.userId !== userId)) {
      throw new DuplexityError("DPX_FORBIDDEN", `Cannot make a token for "${user ?? ""}": only an admin may`, {
        hint: "Leave the user out to make one for yourself.",
      });
    }
    if (account !== null) return account;
    if (user !== undefined) throw unknownUser(options, user, "make a token for");
    throw new DuplexityError("DPX_USAGE", "Cannot make a token: the admin token belongs to no user", {
      hint: "Say whose it shall be: --user NAME.",
    });
  }

  async function create({ identity, from, asked }: ApiCall): Promise<object> {
    const wanted = readAsked(asked, ["name", "namePatterns", "ttlMs", "user"], (body) => ({
      name: fields.field(body, "name", readWho),
      namePatterns: optional(body, "namePatterns", readPatterns) ?? null,
      ttlMs: optional(body, "ttlMs", readDurationMs),
      user: optional(body, "user", readWho),
    }));
    const { name, namePatterns, ttlMs, user } = wanted;
    const account = await ownerOf(identity, user);
    const expiresAt = ttlMs === undefined ? null : now() + ttlMs;
    const { token, secret } = await tokens.create(account.userId, { name, namePatterns, expiresAt });
    const names = token.namePatterns === null ? "any name" : token.namePatterns.join(", ");
    const until = expiresAt === null ? "for ever" : `until ${isoOrNull(expiresAt)}`;
    await audit.record({
      ...{ action: "token-create", by: identity.ownerName, whom: `${account.name}@${token.name}`, from },
      detail: `${token.tokenId}, may open ${names}, ${until}`,
    });
    return { token: tokenRow(token, account.name), secret };
  }

  async function revoke({ identity, from, asked }: ApiCall): Promise<object> {
    const word = readAsked(asked, ["token"], (body) => fields.field(body, "token", readWho));
    const token = meant(word, visibleTo(identity), identity);
    if (!(await tokens.revoke(token.tokenId))) throw unknownToken(word, []);
    const whom = `${userNameById(token.userId)}@${token.name}`;
    await audit.record({ action: "token-revoke", by: identity.ownerName, whom, from, detail: token.tokenId });
    // Its clients go now, not at their next renewal.
    hub.judgeAll();
    return { revoked: tokenRow(token, userNameById(token.userId)) };
  }

  /** One's own before others'; of several of one name none, since the wrong one would be gone for good. */
  function meant(word: string, among: readonly MachineToken[], identity: Identity): MachineToken {
    const byId = among.find(({ tokenId }) => tokenId === word);
    if (byId !== undefined) return byId;
    const isNamed = ({ name, userId }: MachineToken) => name === word || `${userNameById(userId)}@${name}` === word;
    const named = among.filter(isNamed);
    const own = named.filter(({ userId }) => userId === userIdOf(identity));
    const [token, another] = own.length > 0 ? own : named;
    if (token === undefined) {
      throw unknownToken(
        word,
        among.map(({ name }) => name),
      );
    }
    if (another === undefined) return token;
    throw new DuplexityError("DPX_USAGE", `Cannot revoke "${word}": several tokens are called so`, {
      hint: "Take its id from duplexity token list.",
    });
  }

  return {
    "GET /api/tokens": {
      method: "GET",
      right: "person",
      run: ({ identity }) => ({
        tokens: visibleTo(identity).map((token) => tokenRow(token, userNameById(token.userId))),
      }),
    },
    "POST /api/tokens": { method: "POST", right: "person", run: create },
    "POST /api/tokens/revoke": { method: "POST", right: "person", run: revoke },
  };
}

function unknownToken(word: string, names: readonly string[]): DuplexityError {
  const nearest = nearestTo(word, names);
  return new DuplexityError("DPX_NOT_FOUND", `Cannot revoke "${word}": there is no such token`, {
    hint: nearest.length === 0 ? "See duplexity token list." : `Nearest: ${nearest.join(", ")}.`,
  });
}
