// Time as the registry and the store see it, so that tests can move it by hand.

export interface Clock {
  /** Unix time in ms. */
  now(): number;
  /** Calls `run` after `delayMs`; returns the function that prevents it. Never keeps the process alive. */
  after(delayMs: number, run: () => void): () => void;
}

/** setTimeout() counts in 32 bits with a sign; a longer delay would fire at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Goes on as it is when the machine's clock is set: for how long something takes, not for when it was. */
export const steadyClock: Clock = {
  now: () => performance.now(),
  after: (delayMs, run) => systemClock.after(delayMs, run),
};

export const systemClock: Clock = {
  now: () => Date.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, Math.min(delayMs, MAX_TIMER_MS));
    timer.unref();
    return () => clearTimeout(timer);
  },
};
