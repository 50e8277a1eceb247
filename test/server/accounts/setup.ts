// The parts of accounts over a real store in memory, with a clock that a test moves and passwords that cost little.

import { Accounts, Bans, MachineTokens } from "../../../src/server/accounts/index.ts";
import { MemoryStore, type Store } from "../../../src/server/store/index.ts";
import type { Stage } from "../../support/stage.ts";
import { ManualClock } from "../manual-clock.ts";

/** A hash of it takes less than a millisecond. */
export const CHEAP = { logN: 4, r: 8, p: 1 };
export const PASSWORD = "correct horse battery";

export interface World {
  readonly clock: ManualClock;
  readonly now: () => number;
  readonly store: MemoryStore;
  readonly accounts: Accounts;
  readonly tokens: MachineTokens;
  readonly bans: Bans;
}

export async function openWorld(stage: Stage): Promise<World> {
  const clock = new ManualClock();
  const now = () => clock.now();
  const store = new MemoryStore({ clock });
  stage.defer(() => store.close());
  const accounts = await openAccounts(stage, store, now);
  const tokens = await MachineTokens.open({ store, accounts, now });
  stage.defer(() => tokens.close());
  const bans = await Bans.open({ store, now });
  stage.defer(() => bans.close());
  return { clock, now, store, accounts, tokens, bans };
}

/** Another node's, when it is opened a second time on one store. */
export async function openAccounts(stage: Stage, store: Store, now: () => number): Promise<Accounts> {
  const accounts = await Accounts.open({ store, now, passwordCost: CHEAP });
  stage.defer(() => accounts.close());
  return accounts;
}

/** How each of `promises` ended: `"ok"`, or the code of its error. */
export async function endingsOf(promises: readonly Promise<unknown>[]): Promise<ReadonlyMap<string, number>> {
  const endings = new Map<string, number>();
  for (const settled of await Promise.allSettled(promises)) {
    const ending = settled.status === "fulfilled" ? "ok" : String(settled.reason.code);
    endings.set(ending, (endings.get(ending) ?? 0) + 1);
  }
  return endings;
}
