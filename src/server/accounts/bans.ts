// Who and what may not come in, and until when. Ends nobody by itself: it says so when it is asked.

import type { Admission, Identity } from "../identity/index.ts";
import type { Store } from "../store/index.ts";
import { notYet } from "./not-yet.ts";
import type { Ban } from "./types.ts";

export interface BansOptions {
  readonly store: Store;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
  /** One line about what went wrong behind the scenes; never a secret. */
  readonly log?: (level: "warn", message: string) => void;
}

export class Bans implements Admission {
  static async open(options: BansOptions): Promise<Bans> {
    return notYet(options);
  }

  check(identity: Identity, subject: { readonly clientId?: string; readonly hostname?: string }): void {
    notYet(identity, subject);
  }

  async add(ban: Ban): Promise<void> {
    notYet(ban);
  }

  async lift(who: string): Promise<readonly Ban[]> {
    return notYet(who);
  }

  all(): readonly Ban[] {
    return notYet();
  }

  onAdded(listener: (ban: Ban) => void): () => void {
    return notYet(listener);
  }

  close(): void {}
}
