// Asks the server for something that it answers with an invite link, and shows it: good once, and seen once.

import { type ApiRequest, callApi, notOurs } from "./api.ts";
import { fieldsOf } from "./api-answer.ts";
import type { ApiCommand } from "./api-command.ts";
import { momentOf } from "./output/api-words.ts";

export interface InviteWords {
  /** The account, as it was typed. */
  readonly name: string;
  /** `added`, with which the sentence begins. */
  readonly done: string;
  /** Of the JSON line. */
  readonly type: string;
  /** More fields of it, after the user. */
  readonly more?: { readonly [field: string]: string };
}

/** @throws {DuplexityError} As `callApi` does. */
export async function showInvite(
  { access, show }: Pick<ApiCommand, "access" | "show">,
  request: ApiRequest,
  { name, done, type, more = {} }: InviteWords,
): Promise<void> {
  const { user, inviteUrl, expiresAt = null } = await callApi(access, request);
  if (typeof inviteUrl !== "string") throw notOurs(access, request, "its answer has no invite link");
  const given = fieldsOf(user).name ?? user;
  const shownName = typeof given === "string" ? given : name;
  const until = momentOf(expiresAt, new Date());
  const sentence = `${done} ${shownName}. This link makes the password; it is good once, until ${until}:`;
  show.once(sentence, inviteUrl, { type, user: shownName, ...more, inviteUrl, expiresAt });
}
