// Tokens of machines, which act for their owner. Keeps their digests only.

import type { Store } from "../store/index.ts";
import type { Accounts } from "./accounts.ts";
import { notYet } from "./not-yet.ts";
import type { MachineToken } from "./types.ts";

export interface MachineTokensOptions {
  readonly store: Store;
  readonly accounts: Accounts;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
  /** One line about what went wrong behind the scenes; never a secret. */
  readonly log?: (level: "warn", message: string) => void;
}

export interface NewMachineToken {
  readonly name: string;
  readonly namePatterns: readonly string[] | null;
  /** Unix time in ms; null: never. */
  readonly expiresAt: number | null;
}

export class MachineTokens {
  static async open(options: MachineTokensOptions): Promise<MachineTokens> {
    return notYet(options);
  }

  async create(userId: string, options: NewMachineToken): Promise<{ token: MachineToken; secret: string }> {
    return notYet(userId, options);
  }

  find(secret: string): MachineToken | null {
    return notYet(secret);
  }

  get(tokenId: string): MachineToken | null {
    return notYet(tokenId);
  }

  ofUser(userId: string): readonly MachineToken[] {
    return notYet(userId);
  }

  all(): readonly MachineToken[] {
    return notYet();
  }

  async revoke(tokenId: string): Promise<boolean> {
    return notYet(tokenId);
  }

  close(): void {}
}
