// Requests and connections that wait for a client to come back, bounded in number, bytes and time. It knows when to
// wake them, not what they are: it never sends or answers anything.

import { asDuplexityError, type ErrorCode } from "../../protocol/index.ts";
import type { Routes } from "../routes.ts";
import type { ProxyLimits } from "./options.ts";

/** Something that waits. One object can wait once at a time. */
export interface Held {
  /** Canonical hostname whose route it waits for. */
  readonly hostname: string;
  /** Bytes that it keeps in memory while it waits. */
  readonly heldBytes: number;
  /** Time (as given to `sweep`) at which it stops waiting. */
  readonly heldUntil: number;
  /** The route may work again; it is not held any more. Called in a turn of its own. */
  onRouteChanged(): void;
  /** It waited too long, or the queue closes; it is not held any more. */
  onHoldEnded(code: ErrorCode): void;
}

interface HostnameHold {
  readonly waiting: Map<Held, number>;
  readonly abort: AbortController;
}

export class HoldQueue {
  readonly #routes: Routes;
  readonly #limits: Pick<ProxyLimits, "maxHeld" | "maxHeldBytes">;
  readonly #holds = new Map<string, HostnameHold>();
  #count = 0;
  #bytes = 0;

  constructor(routes: Routes, limits: Pick<ProxyLimits, "maxHeld" | "maxHeldBytes">) {
    this.#routes = routes;
    this.#limits = limits;
  }

  /** How many wait at this moment. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that those who wait keep in memory. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Lets `held` wait. Answers false, and changes nothing, when there is no room for it (`DPX_HOLD_LIMIT`). */
  add(held: Held): boolean {
    const bytes = held.heldBytes;
    if (this.#count >= this.#limits.maxHeld || this.#bytes + bytes > this.#limits.maxHeldBytes) return false;
    this.#count++;
    this.#bytes += bytes;
    let hold = this.#holds.get(held.hostname);
    if (hold === undefined) {
      hold = { waiting: new Map(), abort: new AbortController() };
      this.#holds.set(held.hostname, hold);
      this.#watch(held.hostname, hold);
    }
    hold.waiting.set(held, bytes);
    return true;
  }

  /** Forgets `held` without a word to it: its visitor left. */
  remove(held: Held): void {
    const hold = this.#holds.get(held.hostname);
    if (hold === undefined || !this.#release(hold, held)) return;
    if (hold.waiting.size === 0) this.#drop(held.hostname, hold);
  }

  /** Ends the waiting of those whose time is over at `now`. */
  sweep(now: number): void {
    for (const [hostname, hold] of this.#holds) {
      for (const held of hold.waiting.keys()) {
        if (held.heldUntil <= now && this.#release(hold, held)) held.onHoldEnded("DPX_CLIENT_AWAY");
      }
      if (hold.waiting.size === 0) this.#drop(hostname, hold);
    }
  }

  /** Lets all of them look again, whatever their routes say: what they may wait for has changed. */
  wakeAll(): void {
    for (const [hostname, hold] of [...this.#holds]) {
      this.#wake(hostname, hold);
      hold.abort.abort();
    }
  }

  /** Ends all waiting with `code`. */
  close(code: ErrorCode): void {
    for (const [hostname, hold] of this.#holds) this.#endAll(hostname, hold, code);
  }

  #watch(hostname: string, hold: HostnameHold): void {
    this.#routes.changed(hostname, hold.abort.signal).then(
      // A turn of its own: a route that flaps must not keep the event loop to itself.
      () => setImmediate(() => this.#wake(hostname, hold)),
      (error: unknown) => {
        if (!hold.abort.signal.aborted) this.#endAll(hostname, hold, asDuplexityError(error).code);
      },
    );
  }

  #wake(hostname: string, hold: HostnameHold): void {
    if (this.#holds.get(hostname) !== hold) return;
    // Those who have to wait again start a new hold, so this loop ends.
    this.#holds.delete(hostname);
    for (const held of hold.waiting.keys()) {
      if (this.#release(hold, held)) held.onRouteChanged();
    }
  }

  #endAll(hostname: string, hold: HostnameHold, code: ErrorCode): void {
    this.#drop(hostname, hold);
    for (const held of hold.waiting.keys()) {
      if (this.#release(hold, held)) held.onHoldEnded(code);
    }
  }

  #release(hold: HostnameHold, held: Held): boolean {
    const bytes = hold.waiting.get(held);
    if (bytes === undefined) return false;
    hold.waiting.delete(held);
    this.#count--;
    this.#bytes -= bytes;
    return true;
  }

  #drop(hostname: string, hold: HostnameHold): void {
    if (this.#holds.get(hostname) !== hold) return;
    this.#holds.delete(hostname);
    hold.abort.abort();
  }
}
