// How long something may take, where a test says that it is fast. The machine that runs `npm test` may have other work: there
// only a hang fails.

import { IS_FULL } from "./tunnel.ts";

/** Nothing that works takes so long, however busy the machine is. */
export const HANG_MS = 20_000;

/** `barMs` on a machine with nothing else to do (DUPLEXITY_TEST_FULL=1), else HANG_MS. */
export function barMs(wantedMs: number): number {
  return IS_FULL ? wantedMs : HANG_MS;
}
