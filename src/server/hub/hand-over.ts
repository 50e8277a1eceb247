// Sends the clients of a hub that will go to other hubs, some at a time, and waits until their names are registered there.
// Ends none of them.

import { setTimeout as delay } from "node:timers/promises";
import type { ClientRecord } from "./client-record.ts";

export interface HandOverOptions {
  /** Those that are here now. */
  clients(): readonly ClientRecord[];
  /** How long the hub will stay. */
  readonly deadlineMs: number;
  /** `ws(s)://…/dialer` of the hubs that take them, as far as those have addresses of their own. */
  readonly dataPlaneUris: readonly string[];
  /** Whether there are any: else the clients are told all the same, and not waited for. */
  readonly hasOthers: boolean;
}

/** So many are told at once, so that the other hubs are not asked by thousands in one instant … */
const BATCH = 50;
/** … and the next ones after this; but all within half of the time that is left. */
const EVERY_MS = 20;
/** For so long those that have been told are waited for: one that could not go by then comes back when it is cut. */
const WAIT_MS = 5_000;
/** A client's names go to another hub one right after the other: those that have not gone so long after the last are refused there. */
const SETTLE_MS = 500;

/** Tells all of them. Resolves when none holds a name here any more that another hub takes, or in time. */
export async function handOver({ clients, deadlineMs, dataPlaneUris, hasOthers }: HandOverOptions): Promise<void> {
  const all = clients();
  const waits = all.map(waitOf);
  const size = Math.max(BATCH, Math.ceil((all.length * EVERY_MS * 2) / Math.max(1, deadlineMs)));
  for (let at = 0; at < all.length; at += size) {
    if (at > 0) await delay(EVERY_MS, undefined, { ref: false });
    for (const client of all.slice(at, at + size)) {
      // Before the link's word: this one says where to go.
      client.control?.send({ type: "drainRequest", deadlineMs, dataPlaneUris });
      client.link?.goAway(deadlineMs);
    }
  }
  if (!hasOthers) return;
  const until = performance.now() + Math.min(WAIT_MS, deadlineMs);
  while (waits.some((isHere) => isHere()) && performance.now() < until)
    await delay(EVERY_MS, undefined, { ref: false });
}

/** Whether `client` is waited for still. */
function waitOf(client: ClientRecord): () => boolean {
  const all = client.held.length;
  let left = all;
  let leftSince = 0;
  return () => {
    const { held, ended, isPresent } = client;
    if (ended !== null || !isPresent || held.length === 0) return false;
    if (held.length !== left) [left, leftSince] = [held.length, performance.now()];
    return left === all || performance.now() - leftSince < SETTLE_MS;
  };
}
