// Bounded waits, so that a test that would hang says what it hung on. Nothing here sleeps for the sake of time passing, and no
// limit fails what is only slow: each is a bar of bars.ts, but that of who gives up to try again. What is to come before something else, a test says by its order.

import { setTimeout as delay } from "node:timers/promises";
import { barMs } from "./bars.ts";

/** `promise`, or a failure that names `what` when it takes longer than `barMs(wantedMs)`. */
export function within<T>(promise: Promise<T>, wantedMs: number, what: string): Promise<T> {
  return forAtMost(promise, barMs(wantedMs), what);
}

/** The same with `limitMs` on any machine: for who then tries again, and for who sets it against a timer of this process. */
export async function forAtMost<T>(promise: Promise<T>, limitMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Waited ${limitMs} ms for ${what}: it did not come`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Asks `probe` again and again until it answers something other than null, undefined or false. Only for what gives no
 * event, such as another process's memory or a server that is not up yet. Fails after `barMs(wantedMs)`.
 */
export async function poll<T>(
  probe: () => T | Promise<T>,
  wantedMs: number,
  what: string,
  everyMs = 50,
): Promise<Exclude<T, null | undefined | false>> {
  const limitMs = barMs(wantedMs);
  const deadline = performance.now() + limitMs;
  for (;;) {
    const answer = await probe();
    if (isFound(answer)) return answer;
    if (performance.now() > deadline) throw new Error(`Waited ${limitMs} ms for ${what}: it did not come`);
    await delay(everyMs);
  }
}

function isFound<T>(answer: T): answer is Exclude<T, null | undefined | false> {
  return answer !== null && answer !== undefined && answer !== false;
}

/** A promise with its ends outside, for events that are awaited later than they are set up. */
export function deferred<T>(): {
  promise: Promise<T>;
  resolve: (value: T) => void;
  reject: (error: Error) => void;
} {
  let resolve: (value: T) => void = () => {};
  let reject: (error: Error) => void = () => {};
  const promise = new Promise<T>((ok, fail) => {
    resolve = ok;
    reject = fail;
  });
  return { promise, resolve, reject };
}
