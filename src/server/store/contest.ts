// An update of an entry that others change at the same time: tried until nobody was faster. Knows no entry.

import { setTimeout as delay } from "node:timers/promises";
import { DuplexityError } from "../../protocol/index.ts";

/** Others were faster so many times in a row: then it is given up. */
const MAX_ATTEMPTS = 200;
/** Who lost a few times waits a moment, each another one. */
const MAX_PAUSE_MS = 10;
const ATTEMPTS_WITHOUT_PAUSE = 2;

export type Attempt<T> =
  /** Done; or there was nothing to do. */
  | { readonly isDone: true; readonly result: T }
  /** Somebody else was faster. */
  | { readonly isDone: false };

/** @throws {DuplexityError} `DPX_STORE` if others are faster all the time, and what `attempt` rejects with. */
export async function contest<T>(key: string, attempt: () => Promise<Attempt<T>>): Promise<T> {
  for (let lost = 0; lost < MAX_ATTEMPTS; lost += 1) {
    const attempted = await attempt();
    if (attempted.isDone) return attempted.result;
    if (lost >= ATTEMPTS_WITHOUT_PAUSE) await delay(Math.random() * MAX_PAUSE_MS);
  }
  throw new DuplexityError("DPX_STORE", `Cannot change "${key}": others keep changing it`);
}
