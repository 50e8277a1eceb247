// Waits at the start of a node for a Redis or a backend that is out of reach: a fleet that is restarted during an outage
// comes up when that does. Opens nothing itself, and waits for nothing that a moment does not mend.

import { setTimeout as delay } from "node:timers/promises";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";

export interface PatienceOptions {
  /** Told once what is waited for. */
  readonly warn: (message: string) => void;
  /** In ms. @default START_PATIENCE_MS */
  readonly patienceMs?: number;
}

/** A node for which what it shares is out of reach for so long ends, so that whoever started it hears of it. */
export const START_PATIENCE_MS = 60_000;
const RETRY_MS = 500;

/**
 * What `open` answers, which is called again while it fails with `DPX_STORE`. It leaves nothing open when it fails.
 *
 * @throws {DuplexityError} what `open` threw last; everything but `DPX_STORE` at once.
 */
export async function patiently<T>(open: () => Promise<T>, options: PatienceOptions): Promise<T> {
  const { warn, patienceMs = START_PATIENCE_MS } = options;
  const endsAt = performance.now() + patienceMs;
  const shown = `${patienceMs / 1_000} s`;
  let isLast = false;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await open();
    } catch (cause) {
      const { code, message, hint } = asDuplexityError(cause);
      if (code !== "DPX_STORE") throw cause;
      if (attempt === 1) warn(`${message}; this node tries again for ${shown}, and takes no work before`);
      if (isLast) throw new DuplexityError(code, `${message}; tried for ${shown}`, { hint, cause });
      // Nodes that were started together do not come together.
      const waitMs = RETRY_MS * (0.5 + Math.random() / 2);
      const leftMs = endsAt - performance.now();
      isLast = waitMs >= leftMs;
      await delay(Math.max(0, Math.min(leftMs, waitMs)));
    }
  }
}
