// Waits until what runs is over, in bounded time. Ends nothing itself.

import { setTimeout as delay } from "node:timers/promises";

/** How often it looks. */
const LOOK_MS = 20;

/** Resolves when `countOpen` answers 0, after `maxMs`, or when `signal` aborts. */
export async function drained(countOpen: () => number, maxMs: number, signal: AbortSignal): Promise<void> {
  const until = performance.now() + maxMs;
  while (countOpen() > 0 && performance.now() < until && !signal.aborted) {
    await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}
