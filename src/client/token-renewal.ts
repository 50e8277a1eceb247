// Asks for a fresh token before the one that was shown last ends, and hands it on. Knows no socket; what the server
// thinks of the token comes over the control socket.

import { asDuplexityError, type DuplexityError } from "../protocol/index.ts";
import type { Credential } from "./credential.ts";
import { isFinal } from "./dial-errors.ts";

export interface TokenRenewalOptions {
  readonly credential: Credential;
  /** A token that was not shown yet. */
  onToken(token: string): void;
  /** There is none any more, and trying again would not help. */
  onRefused(error: DuplexityError): void;
}

/** It is asked for this long before the end, or a quarter of what is left when that is less. */
export const RENEW_BEFORE_MS = 300_000;
/** Between two asks: also for tokens that have ended, and after a failure that may pass. */
const MIN_WAIT_MS = 1_000;
const RETRY_MS = 15_000;
/** A day: what a timer of weeks would wait for is looked at again then. */
const MAX_WAIT_MS = 86_400_000;

export class TokenRenewal {
  readonly #options: TokenRenewalOptions;
  #timer: NodeJS.Timeout | null = null;
  readonly #life = new AbortController();

  constructor(options: TokenRenewalOptions) {
    this.#options = options;
  }

  /** Waits for the time to ask. Called after each dial, which has asked already. */
  arm(): void {
    const { expiresAt, canRenew } = this.#options.credential;
    if (expiresAt === null || !canRenew) return;
    const leftMs = expiresAt - Date.now();
    this.#wait(leftMs - Math.min(RENEW_BEFORE_MS, leftMs / 4));
  }

  stop(): void {
    this.#life.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #wait(ms: number): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    if (this.#life.signal.aborted) return;
    const delayMs = Math.min(MAX_WAIT_MS, Math.max(MIN_WAIT_MS, ms));
    // The tunnel's sockets keep the process; this is no reason of its own.
    this.#timer = setTimeout(() => void this.#ask(), delayMs).unref();
  }

  async #ask(): Promise<void> {
    const { credential, onToken, onRefused } = this.#options;
    const { signal } = this.#life;
    try {
      const token = await credential.renew(signal);
      if (signal.aborted) return;
      if (token !== null) onToken(token);
      this.arm();
    } catch (cause) {
      if (signal.aborted) return;
      const error = asDuplexityError(cause);
      // Until the token ends all goes on as it is; after that the server closes the socket, and each dial asks again.
      if (isFinal(error.code)) onRefused(error);
      else this.#wait(RETRY_MS);
    }
  }
}
