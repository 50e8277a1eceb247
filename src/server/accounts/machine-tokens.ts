// Tokens of machines, which act for their owner within their patterns, until they end. Keeps their digests only: the
// secret is seen once, by whoever made it.

import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import { digestOf } from "../digest.ts";
import { oneAtATime } from "../one-at-a-time.ts";
import type { Store } from "../store/index.ts";
import { checkAccountName } from "./account-names.ts";
import type { Accounts } from "./accounts.ts";
import { Mirror, type WarningLog } from "./mirror.ts";
import { checkNamePatterns } from "./name-patterns.ts";
import { readToken, type StoredToken, writeToken } from "./records.ts";
import { isId, isSecret, newId, newSecret } from "./secrets.ts";
import { TokenLookup } from "./token-lookup.ts";
import { TOKEN_DIGESTS, TOKENS } from "./token-removal.ts";
import type { MachineToken } from "./types.ts";

/** Half of what one look at the store can list. */
export const MAX_TOKENS = 5_000;
/** More are a sign that something makes tokens and never revokes them. */
export const MAX_TOKENS_PER_USER = 100;
/** Often enough to see which token is in use; each time is a write. */
export const LAST_USED_EVERY_MS = 60_000;
/** What every secret begins with, so that it is known for one where it lies around. */
export const TOKEN_PREFIX = "dpx_";

export interface MachineTokensOptions {
  readonly store: Store;
  readonly accounts: Accounts;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
  /** One line about what went wrong behind the scenes; never a secret. */
  readonly log?: WarningLog;
}

export interface NewMachineToken {
  /** Unique among its owner's. */
  readonly name: string;
  /** Labels that may be opened, besides the owner's own limits; null: no further ones. */
  readonly namePatterns: readonly string[] | null;
  /** Unix time in ms; null: never. */
  readonly expiresAt: number | null;
}

export class MachineTokens {
  readonly #options: MachineTokensOptions;
  readonly #now: () => number;
  readonly #mirror: Mirror<StoredToken>;
  readonly #listeners: Set<() => void>;
  /** Names that are being given, as `userId/name`: the mirror knows them only afterwards. */
  readonly #coming = new Set<string>();
  /** For what the mirror does not have. */
  readonly #lookup: TokenLookup;
  /** Uses that are still to be kept: when, by the token's id. One for each token of the mirror at most. */
  readonly #uses = new Map<string, number>();
  readonly #keepUses = oneAtATime(() => this.#keepUsesInTurn());
  #isClosed = false;

  /** @throws {DuplexityError} `DPX_STORE` */
  static async open(options: MachineTokensOptions): Promise<MachineTokens> {
    const { store, log } = options;
    const indexes = ({ digest }: StoredToken) => [digest];
    const listeners = new Set<() => void>();
    const onGone = (): void => {
      for (const listener of listeners) listener();
    };
    const mirror = await Mirror.open({ store, prefix: TOKENS, read: readToken, indexes, onGone, log });
    return new MachineTokens(options, mirror, listeners);
  }

  private constructor(options: MachineTokensOptions, mirror: Mirror<StoredToken>, listeners: Set<() => void>) {
    this.#listeners = listeners;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#mirror = mirror;
    this.#lookup = new TokenLookup((digest) => this.#fetch(digest), this.#now);
  }

  /**
   * @returns The token, and its secret (`dpx_` and 43 characters), which nobody can see again.
   * @throws {DuplexityError} `DPX_USAGE`, `DPX_NOT_FOUND` (no such account), `DPX_EXISTS`, `DPX_OWNER_LIMIT`, `DPX_LIMIT`.
   */
  async create(userId: string, options: NewMachineToken): Promise<{ token: MachineToken; secret: string }> {
    const now = this.#now();
    const { expiresAt } = options;
    const name = checkAccountName(options.name, "token");
    const namePatterns = checkNamePatterns(options.namePatterns);
    if (expiresAt !== null && !(expiresAt > now)) {
      throw new DuplexityError("DPX_USAGE", `Cannot make the token "${name}": it would have ended already`, {
        hint: "Take an end that is still to come, such as 90d.",
      });
    }
    if (this.#options.accounts.byId(userId) === null) throw ownerGone(name);
    this.#checkRoom(userId, name);
    const coming = `${userId}/${name}`;
    this.#coming.add(coming);
    try {
      const secret = `${TOKEN_PREFIX}${newSecret()}`;
      const tokenId = newId("t_");
      const token = { tokenId, name, userId, namePatterns, createdAt: now, expiresAt, lastUsedAt: null };
      await this.#keep({ token, digest: digestOf(secret) });
      return { token, secret };
    } finally {
      this.#coming.delete(coming);
    }
  }

  /**
   * The token of this secret, or null: unknown, revoked, ended, or its owner is gone. Notes that it was used. Asks the store
   * for one that the mirror does not have.
   *
   * @throws {DuplexityError} `DPX_RATE_LIMIT` if too many are unknown, `DPX_STORE`.
   */
  async find(secret: string): Promise<MachineToken | null> {
    if (!secret.startsWith(TOKEN_PREFIX) || !isSecret(secret.slice(TOKEN_PREFIX.length))) return null;
    const digest = digestOf(secret);
    if (this.#mirror.find(digest) === null) await this.#lookup.look(digest);
    const stored = this.#mirror.find(digest);
    if (stored === null || !this.#isInTime(stored.token)) return null;
    const { accounts } = this.#options;
    const { userId } = stored.token;
    if (accounts.byId(userId) === null && (await accounts.lookUp(userId)) === null) return null;
    return this.#noteUse(stored);
  }

  /** Calls `listener` after tokens were revoked, here or on another node, or have ended, as soon as this node knows. */
  onGone(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Null if it is unknown, revoked, ended, or its owner is gone. */
  get(tokenId: string): MachineToken | null {
    const token = this.#mirror.get(keyOf(tokenId))?.token ?? null;
    return token !== null && this.#holds(token) ? token : null;
  }

  /** In the order in which they were made. */
  ofUser(userId: string): readonly MachineToken[] {
    return this.all().filter((token) => token.userId === userId);
  }

  /** In the order in which they were made. */
  all(): readonly MachineToken[] {
    return this.#mirror
      .values()
      .map(({ token }) => token)
      .filter((token) => this.#holds(token))
      .sort((one, other) => one.createdAt - other.createdAt);
  }

  /** Answers false if there is none. */
  async revoke(tokenId: string): Promise<boolean> {
    if (!isId("t_", tokenId)) return false;
    const { store } = this.#options;
    const stored = readToken(await store.take(keyOf(tokenId)));
    if (stored !== null) await store.delete(digestKey(stored.digest));
    await this.#mirror.refresh(keyOf(tokenId));
    return stored !== null;
  }

  close(): void {
    this.#isClosed = true;
    this.#mirror.close();
  }

  #holds(token: MachineToken): boolean {
    return this.#isInTime(token) && this.#options.accounts.byId(token.userId) !== null;
  }

  #isInTime({ expiresAt }: MachineToken): boolean {
    return expiresAt === null || expiresAt > this.#now();
  }

  /** Answers whether the store has it: then the mirror has as well. */
  async #fetch(digest: string): Promise<boolean> {
    const tokenId = await this.#options.store.get(digestKey(digest));
    if (typeof tokenId !== "string" || !isId("t_", tokenId)) return false;
    await this.#mirror.refresh(keyOf(tokenId));
    return this.#mirror.find(digest) !== null;
  }

  #checkRoom(userId: string, name: string): void {
    const own = this.ofUser(userId);
    if (own.some((token) => token.name === name) || this.#coming.has(`${userId}/${name}`)) {
      throw new DuplexityError("DPX_EXISTS", `Cannot make the token "${name}": there is one of that name already`, {
        hint: `Revoke it first, or take another name: duplexity token revoke ${name}`,
      });
    }
    const limit = (count: number) =>
      `Cannot make the token "${name}": there are ${count} already, as many as are allowed`;
    const hint = "Revoke some that are not used any more: duplexity token list";
    if (own.length >= MAX_TOKENS_PER_USER) throw new DuplexityError("DPX_OWNER_LIMIT", limit(own.length), { hint });
    const { size } = this.#mirror;
    if (size + this.#coming.size >= MAX_TOKENS) throw new DuplexityError("DPX_LIMIT", limit(size), { hint });
  }

  async #keep(stored: StoredToken): Promise<void> {
    const { store, accounts } = this.#options;
    const { digest } = stored;
    const { tokenId, name, userId, expiresAt, createdAt } = stored.token;
    const key = keyOf(tokenId);
    const options = expiresAt === null ? {} : { ttlMs: expiresAt - createdAt };
    // First: a token that is there can be found, whoever dies in between.
    await store.put(digestKey(digest), tokenId, options);
    await store.put(key, writeToken(stored), options);
    // Whoever removed the account meanwhile has looked for its tokens before this one came.
    if ((await accounts.lookUp(userId)) === null) {
      await store.delete(key);
      await store.delete(digestKey(digest));
      throw ownerGone(name);
    }
    await this.#mirror.refresh(key);
  }

  #noteUse(stored: StoredToken): MachineToken {
    const now = this.#now();
    const { lastUsedAt } = stored.token;
    if (lastUsedAt !== null && now - lastUsedAt < LAST_USED_EVERY_MS) return stored.token;
    const token: MachineToken = { ...stored.token, lastUsedAt: now };
    this.#mirror.overlay(keyOf(token.tokenId), { ...stored, token });
    this.#uses.set(token.tokenId, now);
    this.#keepUses();
    return token;
  }

  /**
   * Beside the way of those who use the tokens, and one after another: a crowd that comes at once does not wait for them. A
   * node that goes leaves those that are still to be kept.
   */
  async #keepUsesInTurn(): Promise<void> {
    for (const [tokenId, usedAt] of this.#uses) {
      if (this.#isClosed) return;
      this.#uses.delete(tokenId);
      await this.#keepUse(tokenId, usedAt);
    }
  }

  /** That this is not kept keeps nobody out. */
  async #keepUse(tokenId: string, lastUsedAt: number): Promise<void> {
    try {
      await this.#options.store.update(keyOf(tokenId), (old) => {
        const stored = readToken(old);
        // Another node has kept the same use.
        const isKept = (stored?.token.lastUsedAt ?? 0) > lastUsedAt - LAST_USED_EVERY_MS;
        return stored === null || isKept ? old : writeToken({ ...stored, token: { ...stored.token, lastUsedAt } });
      });
    } catch (error) {
      if (this.#isClosed) return;
      const { message } = asDuplexityError(error);
      this.#options.log?.("warn", `When token ${tokenId} was last used was not kept: ${message}`);
    }
  }
}

function keyOf(tokenId: string): string {
  return `${TOKENS}${tokenId}`;
}

function digestKey(digest: string): string {
  return `${TOKEN_DIGESTS}${digest}`;
}

function ownerGone(name: string): DuplexityError {
  return new DuplexityError("DPX_NOT_FOUND", `Cannot make the token "${name}": its owner has no account here`, {
    hint: "See who is there: duplexity user list",
  });
}
