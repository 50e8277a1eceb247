// Who may be signed in: the account is there, nobody has banned it, and the sign-in is younger than the last change of the
// password. Knows no HTTP.

import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import type { Account, Accounts } from "../accounts/index.ts";
import { type Admission, identityOfAccount } from "../identity/index.ts";
import type { Store } from "../store/index.ts";
import { GRANT_S } from "./lifetimes.ts";

export interface PeopleOptions {
  readonly accounts: Accounts;
  readonly bans: Admission;
  readonly store: Store;
  /** Unix time in ms. */
  readonly now: () => number;
}

export class People {
  readonly #options: PeopleOptions;

  constructor(options: PeopleOptions) {
    this.#options = options;
  }

  byId(userId: string): Account | null {
    return this.#options.accounts.byId(userId);
  }

  /** Null while the person may come in. */
  banOf(account: Account): DuplexityError | null {
    try {
      this.#options.bans.check(identityOfAccount(account, null), {});
      return null;
    } catch (error) {
      return asDuplexityError(error);
    }
  }

  /** The account, if it is there and not banned. */
  welcome(userId: string): Account | null {
    const account = this.byId(userId);
    return account !== null && this.banOf(account) === null ? account : null;
  }

  /** Whether a sign-in of that time still counts. @param signedInAt Unix time in seconds. */
  async isSignedIn(userId: string, signedInAt: number | undefined): Promise<boolean> {
    return (signedInAt ?? 0) >= (await this.#signedOutAt(userId));
  }

  /** For a new sign-in: now, or just after all sign-ins were ended. Unix time in seconds. */
  async signInTime(userId: string): Promise<number> {
    return Math.max(Math.floor(this.#options.now() / 1_000), await this.#signedOutAt(userId));
  }

  /** Ends every sign-in there has been: in browsers, of the command line, everywhere. */
  async signOutEverywhere(userId: string): Promise<void> {
    // One second on, since times are counted in seconds: a sign-in of this very second ends, too.
    const at = Math.floor(this.#options.now() / 1_000) + 1;
    await this.#options.store.put(keyOf(userId), at, { ttlMs: GRANT_S * 1_000 });
  }

  async #signedOutAt(userId: string): Promise<number> {
    const at = await this.#options.store.get(keyOf(userId));
    if (at === null) return 0;
    if (typeof at === "number") return at;
    throw new DuplexityError("DPX_STORE", "Cannot read since when sign-ins count: it is not a time");
  }
}

function keyOf(userId: string): string {
  return `auth/signed-out/${userId}`;
}
