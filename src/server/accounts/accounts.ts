// The people of this server, kept in a store, with a copy in memory so that who asks need not wait. Knows no HTTP.

import type { Store } from "../store/index.ts";
import { notYet } from "./not-yet.ts";
import type { Account } from "./types.ts";

export interface AccountsOptions {
  readonly store: Store;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
  /** One line about what went wrong behind the scenes; never a secret. */
  readonly log?: (level: "warn", message: string) => void;
}

/** A secret that works once, and only until `expiresAt` (Unix time in ms). */
export interface OneTimeCode {
  readonly code: string;
  readonly expiresAt: number;
}

export interface NewAccount {
  readonly name: string;
  readonly isAdmin: boolean;
  readonly namePatterns: readonly string[] | null;
}

export interface OutsideSignIn {
  readonly issuer: string;
  readonly subject: string;
  /** As the provider calls the person; what the account is called is made from it. */
  readonly name: string;
  readonly isAdmin: boolean;
}

export class Accounts {
  static async open(options: AccountsOptions): Promise<Accounts> {
    return notYet(options);
  }

  byId(userId: string): Account | null {
    return notYet(userId);
  }

  byName(name: string): Account | null {
    return notYet(name);
  }

  byOutside(issuer: string, subject: string): Account | null {
    return notYet(issuer, subject);
  }

  all(): readonly Account[] {
    return notYet();
  }

  async create(options: NewAccount): Promise<Account> {
    return notYet(options);
  }

  async remove(userId: string): Promise<void> {
    return notYet(userId);
  }

  async invite(userId: string): Promise<OneTimeCode> {
    return notYet(userId);
  }

  async invited(code: string): Promise<Account | null> {
    return notYet(code);
  }

  async acceptInvite(code: string, password: string): Promise<Account> {
    return notYet(code, password);
  }

  async newClaim(): Promise<OneTimeCode | null> {
    return notYet();
  }

  async isClaim(code: string): Promise<boolean> {
    return notYet(code);
  }

  async claim(code: string, options: { readonly name: string; readonly password: string }): Promise<Account> {
    return notYet(code, options);
  }

  async checkPassword(name: string, password: string): Promise<Account | null> {
    return notYet(name, password);
  }

  async changePassword(userId: string, oldPassword: string, newPassword: string): Promise<boolean> {
    return notYet(userId, oldPassword, newPassword);
  }

  async signInOutside(options: OutsideSignIn): Promise<Account> {
    return notYet(options);
  }

  close(): void {}
}
