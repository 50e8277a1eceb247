// Who of the people that the outside provider knows may come in here, and as what. Pure: claims in, a verdict out.

import { DuplexityError } from "../../protocol/index.ts";
import type { OutsideProviderOptions } from "./options.ts";

export type Claims = Readonly<Record<string, unknown>>;

export interface OutsidePerson {
  readonly name: string;
  readonly isAdmin: boolean;
}

type Rules = Pick<OutsideProviderOptions, "allowedDomains" | "allowedGroups" | "adminClaim">;

/** Claims that the rules ask for, so that they can be fetched where the ID token has them not. */
export function neededClaims({ allowedDomains, allowedGroups, adminClaim }: Rules): readonly string[] {
  return [
    ...(allowedDomains.length > 0 ? ["email", "email_verified"] : []),
    ...(allowedGroups.length > 0 ? ["groups"] : []),
    ...(adminClaim === null ? [] : [parsedAdminClaim(adminClaim).claim]),
  ];
}

/** @throws {DuplexityError} `DPX_FORBIDDEN`, with the rule that keeps the person out. */
export function personOf(claims: Claims, rules: Rules): OutsidePerson {
  const email = textIn(claims, "email");
  if (rules.allowedDomains.length > 0) checkDomain(email, claims, rules.allowedDomains);
  if (rules.allowedGroups.length > 0) {
    const groups = valuesIn(claims, "groups");
    if (!rules.allowedGroups.some((group) => groups.includes(group))) {
      throw refused("you are in none of the groups that may sign in here");
    }
  }
  const name = textIn(claims, "preferred_username") ?? email ?? textIn(claims, "name") ?? "user";
  return { name, isAdmin: isAdmin(claims, rules.adminClaim) };
}

/** @throws {DuplexityError} `DPX_USAGE` if it is not `claim=value`. */
export function parsedAdminClaim(adminClaim: string): { readonly claim: string; readonly value: string } {
  const at = adminClaim.indexOf("=");
  if (at < 1 || at === adminClaim.length - 1) {
    throw new DuplexityError("DPX_USAGE", `Cannot use the admin claim "${adminClaim}": claim=value is wanted`, {
      hint: "For example groups=tunnel-admins",
    });
  }
  return { claim: adminClaim.slice(0, at), value: adminClaim.slice(at + 1) };
}

function isAdmin(claims: Claims, adminClaim: string | null): boolean {
  if (adminClaim === null) return false;
  const { claim, value } = parsedAdminClaim(adminClaim);
  return valuesIn(claims, claim).includes(value);
}

function checkDomain(email: string | null, claims: Claims, allowed: readonly string[]): void {
  if (email === null) throw refused("the provider does not say your e-mail address");
  // Whoever may write any address into their profile must not choose a domain by it.
  if (!Object.hasOwn(claims, "email_verified") || claims["email_verified"] !== true) {
    throw refused("the provider has not verified your e-mail address");
  }
  const [, domain = "", rest] = email.toLowerCase().split("@");
  if (rest !== undefined || !allowed.some((one) => one.toLowerCase() === domain)) {
    throw refused("your e-mail address is not of a domain that may sign in here");
  }
}

function textIn(claims: Claims, claim: string): string | null {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  return typeof value === "string" && value !== "" ? value : null;
}

/** A claim with one value or a list of them. */
function valuesIn(claims: Claims, claim: string): readonly string[] {
  const value = Object.hasOwn(claims, claim) ? claims[claim] : undefined;
  const values: readonly unknown[] = Array.isArray(value) ? value : [value];
  return values.filter((one) => typeof one === "string" || typeof one === "boolean").map(String);
}

function refused(why: string): DuplexityError {
  return new DuplexityError("DPX_FORBIDDEN", `Cannot let you in: ${why}`, {
    hint: "Whoever runs this server says who may sign in.",
  });
}
