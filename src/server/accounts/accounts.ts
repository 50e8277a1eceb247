// The people of this server: who there is, how they come, prove themselves and go. Kept in a store, with a copy in
// memory so that who asks need not wait. Knows no HTTP.

import { DuplexityError } from "../../protocol/index.ts";
import { oneAtATime } from "../one-at-a-time.ts";
import type { Store } from "../store/index.ts";
import { ACCOUNTS, AccountBook } from "./account-book.ts";
import { canonicalAccountName, checkAccountName, isAccountName, isAdminsName } from "./account-names.ts";
import { CLAIM, Claims } from "./claims.ts";
import { Invites, type OneTimeCode } from "./invites.ts";
import { leaveAdmins } from "./last-admin.ts";
import type { WarningLog } from "./mirror.ts";
import { checkNamePatterns } from "./name-patterns.ts";
import { type OutsideSignIn, signInOutside } from "./outside-accounts.ts";
import { checkPassword, type PasswordCost, Passwords } from "./passwords.ts";
import { accountOf, type StoredAccount } from "./records.ts";
import { newId } from "./secrets.ts";
import { removeTokensOf } from "./token-removal.ts";
import type { Account } from "./types.ts";

export interface AccountsOptions {
  readonly store: Store;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
  /** One line about what went wrong behind the scenes; never a secret. */
  readonly log?: WarningLog;
  /** What one password costs to check. @default PASSWORD_COST */
  readonly passwordCost?: PasswordCost;
}

export interface NewAccount {
  readonly name: string;
  readonly isAdmin: boolean;
  /** Labels that the person may open: `ben-*`, `cat1`; null: any. */
  readonly namePatterns: readonly string[] | null;
}

interface Parts {
  readonly store: Store;
  readonly now: () => number;
  readonly book: AccountBook;
  readonly passwords: Passwords;
}

export class Accounts {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #book: AccountBook;
  readonly #passwords: Passwords;
  readonly #invites: Invites;
  readonly #claims: Claims;

  /** @throws {DuplexityError} `DPX_STORE` */
  static async open(options: AccountsOptions): Promise<Accounts> {
    const { store, now = Date.now, log, passwordCost } = options;
    const book = await AccountBook.open({ store, now, log });
    return new Accounts({ store, now, book, passwords: new Passwords(passwordCost) });
  }

  private constructor({ store, now, book, passwords }: Parts) {
    this.#store = store;
    this.#now = now;
    this.#book = book;
    this.#passwords = passwords;
    this.#invites = new Invites({ store, now });
    this.#claims = new Claims({ store, now });
  }

  /** Calls `listener` after a change of an account, here or on another node, as soon as this node knows. */
  onChanged(listener: () => void): void {
    this.#book.onChanged(listener);
  }

  byId(userId: string): Account | null {
    return this.#book.byId(userId);
  }

  /**
   * As the store has it now: another node may have made it a moment ago. `byId` knows it from then on.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  lookUp(userId: string): Promise<Account | null> {
    return this.#book.lookUp(userId);
  }

  /** @param name In any case. */
  byName(name: string): Account | null {
    return this.#book.byName(canonicalAccountName(name));
  }

  /** The same as the store has it now: another node may have made it a moment ago. @throws {DuplexityError} `DPX_STORE` */
  async lookUpByName(name: string): Promise<Account | null> {
    const canonical = canonicalAccountName(name);
    return isAccountName(canonical) ? this.#book.lookUpByName(canonical) : null;
  }

  /** Whoever has signed in by the outside provider as `subject`. */
  byOutside(issuer: string, subject: string): Account | null {
    return this.#book.byOutside({ issuer, subject });
  }

  /** In the order in which they came. */
  all(): readonly Account[] {
    return this.#book.all();
  }

  /**
   * An account that nobody can sign in to before an invite is accepted. An admin ends the claim.
   *
   * @throws {DuplexityError} `DPX_USAGE`, `DPX_EXISTS`, `DPX_LIMIT`
   */
  async create({ name, isAdmin, namePatterns }: NewAccount): Promise<Account> {
    const checked = checkAccountName(name);
    if (!isAdmin && isAdminsName(checked)) {
      throw new DuplexityError("DPX_USAGE", `Cannot call a user "${checked}": others would take it for an admin`, {
        hint: "Take another name, or make it an admin: --admin.",
      });
    }
    return this.#add({
      name: checked,
      isAdmin,
      namePatterns: checkNamePatterns(namePatterns),
      password: null,
    });
  }

  /**
   * With the account's tokens and invites. One that is gone already is fine.
   *
   * @throws {DuplexityError} `DPX_FORBIDDEN` for the last admin.
   */
  async remove(userId: string): Promise<void> {
    const account = await this.#book.stored(userId);
    if (account === null) return;
    if (account.isAdmin) await leaveAdmins(this.#book, account, this.#now());
    await this.#book.remove(account);
    await this.#invites.removeOf(userId);
    await removeTokensOf(this.#store, userId);
  }

  /**
   * A code for a link by which the person sets a password, the first one or a new one; the code before ends.
   *
   * @throws {DuplexityError} `DPX_NOT_FOUND` if there is no such account.
   */
  async invite(userId: string): Promise<OneTimeCode> {
    if ((await this.#book.stored(userId)) === null) {
      throw new DuplexityError("DPX_NOT_FOUND", "Cannot invite the user: there is no such account any more", {
        hint: "See who is there: duplexity user list",
      });
    }
    return this.#invites.make(userId);
  }

  /** Whose invite it is. Looks, and does not use it up. */
  async invited(code: string): Promise<Account | null> {
    const invite = await this.#invites.look(code);
    const account = invite === null ? null : await this.#book.stored(invite.userId);
    return account === null ? null : accountOf(account);
  }

  /** @throws {DuplexityError} `DPX_AUTH_INVALID` if the code is none, `DPX_USAGE` if the password may not be one. */
  async acceptInvite(code: string, password: string): Promise<Account> {
    const account = await this.invited(code);
    if (account === null) throw inviteEnded();
    checkPassword(password, account.name);
    const invite = await this.#invites.take(code);
    if (invite === null) throw inviteEnded();
    try {
      const hash = await this.#passwords.hash(password);
      const accepted = await this.#book.change(invite.userId, (old) => ({ ...old, password: hash }));
      if (accepted === null) throw inviteEnded();
      return accepted;
    } catch (error) {
      if (!isEnded(error)) await this.#invites.putBack(code, invite);
      throw error;
    }
  }

  /** A code for the link that makes the first admin; the one before ends. Null while there is an admin. */
  async newClaim(): Promise<OneTimeCode | null> {
    return (await this.#hasAdmin()) ? null : this.#claims.make();
  }

  /** Resolves when this claim makes nobody an admin any more: there is one, or another claim, or its time is over. */
  claimEnded({ code, expiresAt }: OneTimeCode): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        for (const unwatch of watches) unwatch();
        clearTimeout(timer);
        resolve();
      };
      // One that was taken is put back if nobody became an admin by it.
      const look = async (): Promise<void> => {
        if ((await this.#hasAdmin()) || (await this.#claims.isReplaced(code))) end();
      };
      const lookSoon = oneAtATime(() => look().catch(() => {}));
      const watches = [ACCOUNTS, CLAIM].map((prefix) => this.#store.watch(prefix, lookSoon));
      const timer = setTimeout(end, Math.max(0, expiresAt - this.#now())).unref();
    });
  }

  async isClaim(code: string): Promise<boolean> {
    return (await this.#claims.isOpen(code)) && !(await this.#hasAdmin());
  }

  /**
   * Makes the admin: exactly one of all who claim at once.
   *
   * @throws {DuplexityError} `DPX_AUTH_INVALID` if the code is none (any more), `DPX_USAGE`, `DPX_EXISTS`.
   */
  async claim(code: string, options: { readonly name: string; readonly password: string }): Promise<Account> {
    if (!(await this.isClaim(code))) throw claimEnded();
    const name = checkAccountName(options.name);
    checkPassword(options.password, name);
    const taken = await this.#claims.take(code);
    if (taken === null) throw claimEnded();
    try {
      const password = await this.#passwords.hash(options.password);
      if (await this.#hasAdmin()) throw claimEnded();
      return await this.#add({ name, isAdmin: true, namePatterns: null, password });
    } catch (error) {
      // The name was taken, or the machine is busy: the link is still good. With an admin it is not.
      if (!isEnded(error)) await this.#claims.putBack(taken);
      throw error;
    }
  }

  /**
   * Whose name and password these are, or null. A name that nobody has costs the same work.
   *
   * @throws {DuplexityError} `DPX_RATE_LIMIT` when too many are being checked.
   */
  async checkPassword(name: string, password: string): Promise<Account | null> {
    const canonical = canonicalAccountName(name);
    const account = isAccountName(canonical) ? await this.#book.storedByName(canonical) : null;
    const { isRight, isWeak } = await this.#passwords.verify(password, account?.password ?? null);
    if (account === null || !isRight) return null;
    if (isWeak) await this.#strengthen(account, password);
    return accountOf(account);
  }

  /**
   * Answers false if `oldPassword` is wrong, or there is none.
   *
   * @throws {DuplexityError} `DPX_USAGE` if the new one may not be one, `DPX_RATE_LIMIT`.
   */
  async changePassword(userId: string, oldPassword: string, newPassword: string): Promise<boolean> {
    const account = await this.#book.stored(userId);
    if (account === null) return false;
    checkPassword(newPassword, account.name);
    const { isRight } = await this.#passwords.verify(oldPassword, account.password);
    return isRight && (await this.#replacePassword(account, newPassword));
  }

  /**
   * Finds the account of somebody whom an outside provider vouches for, or makes one. The provider's word on who is an
   * admin holds from now on.
   *
   * @throws {DuplexityError} `DPX_LIMIT`
   */
  async signInOutside(options: OutsideSignIn): Promise<Account> {
    const account = await signInOutside(this.#book, options, this.#now());
    if (account.isAdmin) await this.#claims.end();
    return account;
  }

  close(): void {
    this.#book.close();
  }

  async #add(account: Pick<StoredAccount, "name" | "isAdmin" | "namePatterns" | "password">): Promise<Account> {
    const userId = newId("u_");
    const added = await this.#book.add({
      ...account,
      userId,
      outside: null,
      createdAt: this.#now(),
      leavingAt: null,
    });
    if (added.isAdmin) await this.#claims.end();
    return added;
  }

  async #hasAdmin(): Promise<boolean> {
    return (await this.#book.admins()).length > 0;
  }

  /** Not at any price: whoever is signing in must not fail because the machine is busy. */
  async #strengthen(account: StoredAccount, password: string): Promise<void> {
    try {
      await this.#replacePassword(account, password);
    } catch (error) {
      if (!(error instanceof DuplexityError) || error.code !== "DPX_RATE_LIMIT") throw error;
    }
  }

  /** Answers false if somebody else has replaced it meanwhile. */
  async #replacePassword({ userId, password: before }: StoredAccount, password: string): Promise<boolean> {
    const hash = await this.#passwords.hash(password);
    let isReplaced = false;
    await this.#book.change(userId, (old) => {
      isReplaced = old.password === before;
      return isReplaced ? { ...old, password: hash } : old;
    });
    return isReplaced;
  }
}

function isEnded(error: unknown): boolean {
  return error instanceof DuplexityError && error.code === "DPX_AUTH_INVALID";
}

function inviteEnded(): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", "Cannot accept the invite: it was used, has ended, or never was", {
    hint: "Ask an admin of this server for another one: duplexity user invite NAME",
  });
}

function claimEnded(): DuplexityError {
  return new DuplexityError(
    "DPX_AUTH_INVALID",
    "Cannot claim this server: the link was used, has ended, or never was",
    { hint: "If nobody has claimed it, start the server again: it prints a new link." },
  );
}
