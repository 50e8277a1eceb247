// Work that is asked for often and whose last run is what counts.

/**
 * A function that runs `work`, and once more when it is called meanwhile, however often that is.
 *
 * @param work Never rejects.
 */
export function oneAtATime(work: () => Promise<void>): () => void {
  let isRunning = false;
  let isDue = false;
  const run = async (): Promise<void> => {
    isRunning = true;
    try {
      while (isDue) {
        isDue = false;
        await work();
      }
    } finally {
      isRunning = false;
    }
  };
  return () => {
    isDue = true;
    if (!isRunning) void run();
  };
}
