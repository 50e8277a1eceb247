// The accounts and their names as they lie in the store, with the mirror of them. One name is one account's, however
// many ask for it at once. Knows neither passwords nor invites.

import { DuplexityError } from "../../protocol/index.ts";
import { digestOf } from "../digest.ts";
import type { Store, Value } from "../store/index.ts";
import { Mirror, type WarningLog } from "./mirror.ts";
import { accountOf, fieldsOf, readAccount, type StoredAccount, writeAccount } from "./records.ts";
import { isId } from "./secrets.ts";
import type { Account } from "./types.ts";

/** Half of what one look at the store can list. */
export const MAX_ACCOUNTS = 5_000;
/** A name that was taken for an account that never came (the process died) is free again after so long. */
const ABANDONED_MS = 60_000;

/** Keys of the store begin so. */
export const ACCOUNTS = "account/";

interface OutsideSubject {
  readonly issuer: string;
  readonly subject: string;
}

export interface AccountBookOptions {
  readonly store: Store;
  readonly now: () => number;
  readonly log: WarningLog | undefined;
}

export class AccountBook {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #mirror: Mirror<StoredAccount>;
  readonly #listeners: Set<() => void>;

  /** @throws {DuplexityError} `DPX_STORE` */
  static async open(options: AccountBookOptions): Promise<AccountBook> {
    const listeners = new Set<() => void>();
    const tell = (): void => {
      for (const listener of listeners) listener();
    };
    const mirror = await Mirror.open<StoredAccount>({
      store: options.store,
      prefix: ACCOUNTS,
      read: readAccount,
      indexes: ({ name, outside }) => [nameKey(name), ...(outside === null ? [] : [outsideKey(outside)])],
      onChanged: tell,
      onGone: tell,
      log: options.log,
    });
    return new AccountBook(options, mirror, listeners);
  }

  private constructor({ store, now }: AccountBookOptions, mirror: Mirror<StoredAccount>, listeners: Set<() => void>) {
    this.#listeners = listeners;
    this.#store = store;
    this.#now = now;
    this.#mirror = mirror;
  }

  /** Calls `listener` after a change of an account, here or on another node, as soon as this node knows. */
  onChanged(listener: () => void): void {
    this.#listeners.add(listener);
  }

  byId(userId: string): Account | null {
    return shown(this.#mirror.get(accountKey(userId)));
  }

  byName(name: string): Account | null {
    return shown(this.#mirror.find(nameKey(name)));
  }

  byOutside(outside: OutsideSubject): Account | null {
    return shown(this.#mirror.find(outsideKey(outside)));
  }

  /** In the order in which they came. */
  all(): readonly Account[] {
    return this.#mirror
      .values()
      .map(accountOf)
      .sort((one, other) => one.createdAt - other.createdAt);
  }

  close(): void {
    this.#mirror.close();
  }

  /** As it is in the store now, not in the mirror. */
  async stored(userId: string): Promise<StoredAccount | null> {
    return isId("u_", userId) ? readAccount(await this.#store.get(accountKey(userId))) : null;
  }

  /** As it is in the store now, not in the mirror. */
  async storedByName(name: string): Promise<StoredAccount | null> {
    const userId = holderOf(await this.#store.get(nameKey(name)));
    const account = userId === null ? null : await this.stored(userId);
    return account?.name === name ? account : null;
  }

  /** Has the mirror look at it in the store first. Also one that is leaving. */
  async lookUp(userId: string): Promise<Account | null> {
    if (!isId("u_", userId)) return null;
    await this.#mirror.refresh(accountKey(userId));
    const stored = this.#mirror.get(accountKey(userId));
    return stored === null ? null : accountOf(stored);
  }

  /** Has the mirror look at the account of that name in the store first. */
  async lookUpByName(name: string): Promise<Account | null> {
    const holder = holderOf(await this.#store.get(nameKey(name)));
    // Or whoever had it: they may be gone.
    const userId = holder ?? this.byName(name)?.userId ?? null;
    if (userId !== null) await this.#mirror.refresh(accountKey(userId));
    return this.byName(name);
  }

  /** Whoever is an admin, in the store now, except those whom somebody is removing. */
  async admins(): Promise<readonly StoredAccount[]> {
    const inTime = this.#now() - ABANDONED_MS;
    const admins: StoredAccount[] = [];
    for (const { value } of await this.#store.list(ACCOUNTS)) {
      const account = readAccount(value);
      if (account === null || !account.isAdmin) continue;
      if (account.leavingAt === null || account.leavingAt < inTime) admins.push(account);
    }
    return admins;
  }

  /**
   * Takes the name and keeps the account. An account of this userId that is there already is left as it is.
   *
   * @throws {DuplexityError} `DPX_EXISTS` if somebody else has the name, `DPX_LIMIT` at the bound.
   */
  async add(account: StoredAccount): Promise<Account> {
    if (this.#mirror.size >= MAX_ACCOUNTS) {
      throw new DuplexityError("DPX_LIMIT", `Cannot add "${account.name}": there are ${MAX_ACCOUNTS} users already`, {
        hint: "Remove some first: duplexity user remove NAME",
      });
    }
    const { name, userId } = account;
    if (!(await this.#takeName(name, userId))) throw nameTaken(name);
    const key = accountKey(userId);
    const kept = readAccount(await this.#store.update(key, (old) => old ?? writeAccount(account)));
    if (kept === null || kept.name !== name) {
      // Another process made this account under another name.
      await this.#releaseName(name, userId);
    } else if (holderOf(await this.#store.get(nameKey(name))) !== userId) {
      // This process slept for so long that the name was given to somebody else.
      await this.#store.delete(key);
      await this.#mirror.refresh(key);
      throw nameTaken(name);
    }
    await this.#mirror.refresh(key);
    return accountOf(kept ?? account);
  }

  /** Answers the account as it is afterwards, or null if there is none. `change` is pure; what it throws is thrown on. */
  async change(userId: string, change: (old: StoredAccount) => StoredAccount): Promise<Account | null> {
    if (!isId("u_", userId)) return null;
    const key = accountKey(userId);
    const kept = await this.#store.update(key, (old) => {
      const account = readAccount(old);
      return account === null ? old : writeAccount(change(account));
    });
    await this.#mirror.refresh(key);
    return shown(readAccount(kept));
  }

  async remove({ userId, name, outside }: StoredAccount): Promise<void> {
    // The outside provider's entry first: whoever dies in between leaves an account that can be removed again.
    if (outside !== null) await this.#store.update(outsideKey(outside), unlessOf(userId));
    await this.#store.delete(accountKey(userId));
    await this.#mirror.refresh(accountKey(userId));
    await this.#releaseName(name, userId);
  }

  /** The userId for somebody at an outside provider: the one there is, or else `userId`, which is then theirs. */
  async outsideUserId(outside: OutsideSubject, userId: string): Promise<string> {
    const kept = await this.#store.update(outsideKey(outside), (old) => old ?? { userId, at: this.#now() });
    return holderOf(kept) ?? userId;
  }

  /** As it is in the store now. */
  async isOutsideUser(outside: OutsideSubject, userId: string): Promise<boolean> {
    return holderOf(await this.#store.get(outsideKey(outside))) === userId;
  }

  async #takeName(name: string, userId: string): Promise<boolean> {
    const key = nameKey(name);
    const mine = { userId, at: this.#now() };
    const there = await this.#store.get(key);
    const kept = there ?? (await this.#store.update(key, (old) => old ?? mine));
    const holder = holderOf(kept);
    if (holder === userId) return true;
    if (holder !== null && !(await this.#isAbandoned(kept, holder))) return false;
    const taken = await this.#store.update(key, (old) => (holderOf(old) === holder ? mine : old));
    return holderOf(taken) === userId;
  }

  async #isAbandoned(entry: Value | null, holder: string): Promise<boolean> {
    const { at } = fieldsOf(entry) ?? {};
    if (typeof at === "number" && at + ABANDONED_MS > this.#now()) return false;
    return (await this.stored(holder)) === null;
  }

  async #releaseName(name: string, userId: string): Promise<void> {
    await this.#store.update(nameKey(name), unlessOf(userId));
  }
}

function accountKey(userId: string): string {
  return `${ACCOUNTS}${userId}`;
}

function nameKey(name: string): string {
  return `account-name/${name}`;
}

/** A digest, since a provider's words may be long and of any characters. */
function outsideKey({ issuer, subject }: OutsideSubject): string {
  return `account-outside/${digestOf(JSON.stringify([issuer, subject]))}`;
}

function holderOf(entry: Value | null): string | null {
  const { userId } = fieldsOf(entry) ?? {};
  return typeof userId === "string" ? userId : null;
}

/** For `update`: nothing if the entry is `userId`'s, else what is there. */
function unlessOf(userId: string): (old: Value | null) => Value | null {
  return (old) => (holderOf(old) === userId ? null : old);
}

function shown(account: StoredAccount | null): Account | null {
  return account === null ? null : accountOf(account);
}

function nameTaken(name: string): DuplexityError {
  return new DuplexityError("DPX_EXISTS", `Cannot add "${name}": there is a user of that name already`, {
    hint: `Take another name, or send them a new link: duplexity user invite ${name}`,
  });
}
