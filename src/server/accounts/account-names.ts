// What accounts and tokens may be called. Pure.

import { DuplexityError } from "../../protocol/index.ts";

export const MAX_ACCOUNT_NAME_CHARS = 32;
/** What an outside provider calls somebody is looked at no further. */
const MAX_OUTSIDE_NAME_CHARS = 256;
/** `ben`, `ben-2`, … `ben-99`: then a random end. */
export const MAX_NUMBERED_NAME = 99;

const NAME = /^[a-z0-9][a-z0-9._-]*$/;
/** Words of the language: harmless here, but whoever reads a list of users with a script may trip over them. */
const REFUSED: ReadonlySet<string> = new Set(["constructor"]);

/** Says that only a user is meant. */
const USER_PREFIX = "user:";

/** What the holder of the admin token is called, in lists and in the audit log. */
const ADMIN_NAME = "admin";

/** Whether whoever is no admin would be taken for one by this name. */
export function isAdminsName(canonical: string): boolean {
  return canonical === ADMIN_NAME;
}

/** `name` in lower case (ASCII only), as names are kept and compared. Says nothing about whether it is valid. */
export function canonicalAccountName(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** The name in `who`: a user's name in any case, also `user:ben` where it could be something else's. */
export function userNameOf(who: string): string {
  return canonicalAccountName(who.startsWith(USER_PREFIX) ? who.slice(USER_PREFIX.length) : who);
}

/** Whether `canonical` may be an account's name. */
export function isAccountName(canonical: string): boolean {
  return whyNot(canonical) === null;
}

/**
 * `name` in lower case.
 *
 * @param what For the message.
 * @throws {DuplexityError} `DPX_USAGE`, with what would be right.
 */
export function checkAccountName(name: string, what: "user" | "token" = "user"): string {
  const canonical = canonicalAccountName(name);
  const refused = whyNot(canonical);
  if (refused === null) return canonical;
  const shown = name.slice(0, MAX_ACCOUNT_NAME_CHARS);
  throw new DuplexityError("DPX_USAGE", `Cannot call a ${what} "${shown}": ${refused}`, {
    hint: "Take 1 to 32 of a-z, 0-9, dots, hyphens and underscores, a letter or digit first, such as ben.",
  });
}

/** An account's name made of what an outside provider calls somebody: `Ben.Müller@example.com` is `ben.muller`. */
export function nameFromOutside(name: string): string {
  const [local = ""] = name.slice(0, MAX_OUTSIDE_NAME_CHARS).split("@");
  const plain = local
    .normalize("NFKD")
    .replace(/\p{M}/gu, "")
    .toLowerCase()
    .replace(/[^a-z0-9._-]+/g, "-")
    .replace(/^[._-]+/, "")
    .slice(0, MAX_ACCOUNT_NAME_CHARS)
    .replace(/[._-]+$/, "");
  return whyNot(plain) === null ? plain : "user";
}

/** `name` with `-end`, cut so that it still fits. */
export function withEnd(name: string, end: string): string {
  return `${name.slice(0, MAX_ACCOUNT_NAME_CHARS - end.length - 1)}-${end}`;
}

function whyNot(canonical: string): string | null {
  if (canonical === "") return "it is empty";
  if (canonical.length > MAX_ACCOUNT_NAME_CHARS) {
    return `it has ${canonical.length} characters, at most ${MAX_ACCOUNT_NAME_CHARS} fit`;
  }
  if (/^[._-]/.test(canonical)) return "a letter or a digit has to come first";
  if (!NAME.test(canonical)) return "only a-z, 0-9, dots, hyphens and underscores are allowed";
  return REFUSED.has(canonical) ? "programs take it for a word of their own" : null;
}
