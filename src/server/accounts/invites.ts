// Links by which a person takes their account: each works once, within a week. Knows digests only.

import { digestOf } from "../digest.ts";
import type { Store } from "../store/index.ts";
import { fieldsOf } from "./records.ts";
import { isSecret, newSecret } from "./secrets.ts";

/** A week, over which a mail may lie unread. */
export const INVITE_LIFETIME_MS = 7 * 86_400_000;

const INVITES = "invite/";

/** A secret that works once, and only until `expiresAt` (Unix time in ms). */
export interface OneTimeCode {
  readonly code: string;
  readonly expiresAt: number;
}

export interface Invite {
  readonly userId: string;
  /** Unix time in ms. */
  readonly expiresAt: number;
}

export class Invites {
  readonly #store: Store;
  readonly #now: () => number;

  constructor({ store, now }: { readonly store: Store; readonly now: () => number }) {
    this.#store = store;
    this.#now = now;
  }

  /** The invite before ends. */
  async make(userId: string): Promise<OneTimeCode> {
    await this.removeOf(userId);
    const code = newSecret();
    const expiresAt = this.#now() + INVITE_LIFETIME_MS;
    await this.#store.put(keyOf(code), { userId, expiresAt }, { ttlMs: INVITE_LIFETIME_MS });
    return { code, expiresAt };
  }

  /** Looks, and leaves it. */
  async look(code: string): Promise<Invite | null> {
    return isSecret(code) ? this.#read(await this.#store.get(keyOf(code))) : null;
  }

  /** Uses it up: of all who ask at once, one gets it. */
  async take(code: string): Promise<Invite | null> {
    return isSecret(code) ? this.#read(await this.#store.take(keyOf(code))) : null;
  }

  /** Puts back what was taken for something that then failed. */
  async putBack(code: string, { userId, expiresAt }: Invite): Promise<void> {
    const ttlMs = Math.max(0, expiresAt - this.#now());
    await this.#store.put(keyOf(code), { userId, expiresAt }, { ttlMs });
  }

  async removeOf(userId: string): Promise<void> {
    for (const { key, value } of await this.#store.list(INVITES)) {
      if (fieldsOf(value)?.userId === userId) await this.#store.delete(key);
    }
  }

  #read(value: Parameters<typeof fieldsOf>[0]): Invite | null {
    const { userId, expiresAt } = fieldsOf(value) ?? {};
    if (typeof userId !== "string" || typeof expiresAt !== "number") return null;
    return expiresAt > this.#now() ? { userId, expiresAt } : null;
  }
}

function keyOf(code: string): string {
  return `${INVITES}${digestOf(code)}`;
}
