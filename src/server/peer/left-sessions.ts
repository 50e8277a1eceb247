// Sessions that a client still has on its link and that no relay passes on any more: their node may come back for them.
// If it does not, the client is told that they are over; it could not know by itself.

import type { SessionLink } from "../../protocol/index.ts";

export class LeftSessions {
  readonly #waitMs: number;
  readonly #timers = new WeakMap<SessionLink, Map<number, NodeJS.Timeout>>();

  /** @param waitMs How long a node may take. */
  constructor(waitMs: number) {
    this.#waitMs = waitMs;
  }

  /** Nothing passes the session on from now on. */
  leave(client: SessionLink, id: number): void {
    if (!client.isOpen) return;
    const timers = this.#timers.get(client) ?? new Map<number, NodeJS.Timeout>();
    this.#timers.set(client, timers);
    clearTimeout(timers.get(id));
    const timer = setTimeout(() => {
      timers.delete(id);
      client.closeSession(id, "DPX_SESSION_EXPIRED", "No node has this session any more");
    }, this.#waitMs);
    timer.unref();
    timers.set(id, timer);
  }

  /** Its node has come back. */
  take(client: SessionLink, id: number): void {
    const timers = this.#timers.get(client);
    clearTimeout(timers?.get(id));
    timers?.delete(id);
  }
}
