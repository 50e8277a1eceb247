// Time that passes only when a test says so: timers, immediates, performance.now() and Date together.

import { vi } from "vitest";

/** From here on time stands still until `pass()`. */
export function stopTime(): void {
  vi.useFakeTimers({
    now: 1_800_000_000_000,
    toFake: ["setTimeout", "clearTimeout", "setImmediate", "clearImmediate", "performance", "Date"],
  });
}

export function resumeTime(): void {
  vi.restoreAllMocks();
  vi.clearAllTimers();
  vi.useRealTimers();
}

/** Lets `ms` go by, with all that falls due. */
export function pass(ms: number): void {
  vi.advanceTimersByTime(ms);
}

/** Lets time go by until `condition` holds; fails when it does not within `limitMs`. */
export function passUntil(condition: () => boolean, limitMs = 60_000, stepMs = 10): void {
  for (let passedMs = 0; passedMs < limitMs; passedMs += stepMs) {
    if (condition()) return;
    pass(stepMs);
  }
  if (!condition()) throw new Error(`Not true after ${limitMs} ms: ${condition}`);
}

/** The process sleeps for `ms`: the clock goes on, timers do not. */
export function sleep(ms: number): void {
  const now = performance.now.bind(performance);
  vi.spyOn(performance, "now").mockImplementation(() => now() + ms);
}

/** Timers that would still fire. */
export function pendingTimers(): number {
  return vi.getTimerCount();
}
