// How many lines a second may be printed, so that a flood of requests cannot
// keep the process busy with a terminal. Counts what it refuses; prints nothing.

export interface LineBudget {
  /** Whether one more line may be printed now. */
  take(): boolean;
  /** Reports what was refused so far, and stops its timer. */
  end(): void;
}

export interface LineBudgetOptions {
  readonly linesPerSecond: number;
  readonly now: () => number;
  /** Called at the end of a second in which lines were refused. */
  readonly onSkipped: (count: number) => void;
}

const WINDOW_MS = 1_000;

export function createLineBudget(options: LineBudgetOptions): LineBudget {
  let windowStart = options.now();
  let taken = 0;
  let skipped = 0;
  let timer: NodeJS.Timeout | null = null;
  const flush = () => {
    timer = null;
    if (skipped === 0) return;
    const count = skipped;
    skipped = 0;
    options.onSkipped(count);
  };
  return {
    take() {
      const time = options.now();
      if (time - windowStart >= WINDOW_MS) {
        windowStart = time;
        taken = 0;
      }
      if (taken < options.linesPerSecond) {
        taken += 1;
        return true;
      }
      skipped += 1;
      timer ??= setTimeout(flush, WINDOW_MS).unref();
      return false;
    },
    end() {
      if (timer !== null) clearTimeout(timer);
      flush();
    },
  };
}
