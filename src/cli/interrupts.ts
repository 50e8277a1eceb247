// Ctrl-C and its relatives, counted: the first asks to finish, the second to
// stop now. Decides nothing about what that means and never ends the process.

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Exit status of a command that was told twice, or before it had anything to finish. */
export const EXIT_INTERRUPTED = 130;

export interface Interrupts {
  /** Aborts at the first signal: finish what runs. */
  readonly first: AbortSignal;
  /** Aborts at the second: stop now. */
  readonly second: AbortSignal;
  /** As if one more signal had come: `q` at the keyboard, `down` from another terminal. */
  interrupt(): void;
  /** Gives the signals back. */
  stop(): void;
}

/** Starts to listen. A second signal within the same turn counts: some shells send TERM and HUP together on purpose. */
export function watchInterrupts(source: NodeJS.EventEmitter = process): Interrupts {
  const first = new AbortController();
  const second = new AbortController();
  const interrupt = () => {
    if (first.signal.aborted) second.abort();
    else first.abort();
  };
  for (const signal of SIGNALS) source.on(signal, interrupt);
  return {
    first: first.signal,
    second: second.signal,
    interrupt,
    stop() {
      for (const signal of SIGNALS) source.off(signal, interrupt);
    },
  };
}

/** Resolves when `signal` aborts; at once if it has. */
export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** Rejects with what `signal` aborts with; at once if it has. */
export function rejectedBy(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}
