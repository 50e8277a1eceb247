// How long something may take, where a test says that it is fast. The machine that runs `npm test` may have other work: there
// only a hang fails.

/** `DUPLEXITY_TEST_FULL=1`: the sizes and times of the acceptance list instead of those that `npm test` has time for. */
export const IS_FULL = process.env.DUPLEXITY_TEST_FULL === "1";

/** Nothing that works takes so long, however busy the machine is. */
export const HANG_MS = 20_000;

/** `wantedMs` on a machine with nothing else to do (IS_FULL), else HANG_MS, or `wantedMs` where that is longer. */
export function barMs(wantedMs: number): number {
  return IS_FULL ? wantedMs : Math.max(wantedMs, HANG_MS);
}
