// What a tunnel says of itself: its status, and how long visitors could not come. Decides nothing.

import type { DuplexityError } from "../protocol/index.ts";
import type { TunnelStatus } from "./tunnel.ts";

export interface TunnelStateOptions {
  onStatus(status: TunnelStatus): void;
  /** Visitors can come again. */
  onReconnect(outageMs: number): void;
}

export class TunnelState {
  readonly #options: TunnelStateOptions;
  #status: TunnelStatus = { state: "connecting", attempt: 1 };
  #lostAt: number | null = null;

  constructor(options: TunnelStateOptions) {
    this.#options = options;
  }

  get status(): TunnelStatus {
    return this.#status;
  }

  /** Tells it, unless the tunnel has ended, or drains and this would be something else. */
  set(status: TunnelStatus): void {
    const { state } = this.#status;
    if (state === "closed" || (state === "draining" && status.state !== "draining")) return;
    this.#status = status;
    this.#options.onStatus(status);
  }

  /** No link is left. An outage begins with the first loss of several, and not before visitors could come at all. */
  lost(): void {
    if (this.#status.state !== "connecting") this.#lostAt ??= performance.now();
  }

  /** Visitors can come. */
  up(): void {
    if (this.#status.state !== "up") this.set({ state: "up", since: new Date(), rttMs: null });
    if (this.#lostAt === null) return;
    const outageMs = Math.round(performance.now() - this.#lostAt);
    this.#lostAt = null;
    this.#options.onReconnect(outageMs);
  }

  /** For good, and without a word: nobody who is told later is to find it open. Answers what to tell. */
  end(error: DuplexityError | null): TunnelStatus {
    this.#status = { state: "closed", error };
    return this.#status;
  }
}
