// The words of this part: people, their machines' tokens, bans, the audit log. No code.

/** A person who may sign in. */
export interface Account {
  /** `u_` and 22 random characters. Never reused, so that a name that is given again brings nothing of its old owner. */
  readonly userId: string;
  /** What people type and see: 1 to 32 of `a-z 0-9 . _ -`, lower case, a letter or digit first. Unique. */
  readonly name: string;
  readonly isAdmin: boolean;
  /** Labels that the person may open: `ben-*`, `cat1`; null: any. */
  readonly namePatterns: readonly string[] | null;
  /** How the person signs in: by password, by an outside provider, both, or not yet (invited). */
  readonly hasPassword: boolean;
  readonly outside: { readonly issuer: string; readonly subject: string } | null;
  /** Unix time in ms. */
  readonly createdAt: number;
}

/** A token of a machine: acts for its owner, within its patterns, until it ends. */
export interface MachineToken {
  /** `t_…`: public, names it in lists and in the audit log. */
  readonly tokenId: string;
  /** `ci` */
  readonly name: string;
  readonly userId: string;
  readonly namePatterns: readonly string[] | null;
  readonly createdAt: number;
  /** Unix time in ms; null: never. */
  readonly expiresAt: number | null;
  readonly lastUsedAt: number | null;
}

export type BanSubject =
  | { readonly kind: "user"; readonly userId: string; readonly name: string }
  | { readonly kind: "hostname"; readonly hostname: string }
  | { readonly kind: "client"; readonly clientId: string };

export interface Ban {
  readonly subject: BanSubject;
  /** Who banned, as it may be shown. */
  readonly by: string;
  readonly reason: string;
  readonly at: number;
  /** Unix time in ms; null: for ever. */
  readonly until: number | null;
}

export type AuditAction =
  | "sign-in"
  | "sign-in-failed"
  | "sign-out"
  | "claim"
  | "invite"
  | "invite-accepted"
  | "password-change"
  | "user-add"
  | "user-remove"
  | "role-change"
  | "token-create"
  | "token-revoke"
  | "device-approve"
  | "device-deny"
  | "kick"
  | "ban"
  | "unban";

export interface AuditEvent {
  readonly auditId: string;
  /** ISO 8601. */
  readonly at: string;
  readonly action: AuditAction;
  /** Who did it: a user's name, `ben@ci`, `admin`, or null where nobody is known (a failed sign-in). */
  readonly by: string | null;
  /** Whom or what it was done to. */
  readonly whom: string | null;
  /** The address it came from. */
  readonly from: string | null;
  /** More words for people; never a secret. */
  readonly detail: string | null;
}
