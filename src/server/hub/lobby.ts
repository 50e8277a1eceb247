// Sockets at the server's own endpoints that have not said who they are: so many
// of them and no more, each for so long and no longer.

import type { Duplex } from "node:stream";
import { DuplexityError } from "../../protocol/index.ts";

export interface LobbyOptions {
  readonly maxSockets: number;
  /** How long a socket may take for each step: its request, then its first message. @default 10_000 */
  readonly deadlineMs?: number;
  /** Monotonic time in ms. @default performance.now */
  readonly now?: () => number;
}

/** One socket's place in the lobby. */
export interface LobbyPlace {
  /** What to do with the socket when its time is over. At first: destroy it. */
  onExpire: (error: DuplexityError) => void;
  /** The socket did its step: its time starts anew. @param deadlineMs For the next one. @default the lobby's */
  restart(deadlineMs?: number): void;
  /** The socket has said who it is, or is gone. Safe to call twice. */
  leave(): void;
}

const ignore = (): void => {};

/** How long a sender who has its share is to wait. */
const SHARE_RETRY_MS = 5_000;
/** Whoever finds the lobby full waits for at least, and at most so long. */
const MIN_RETRY_MS = 1_000;
const MAX_RETRY_MS = 30_000;
/** As if one lobby of those who were sent away came back in this time. */
const TURN_MS = 1_000;

/** A smaller lobby is not divided. */
const MIN_DIVIDED_SOCKETS = 8;
/** One sender may have this part of the lobby. */
const SHARE = 1 / 4;

export class Lobby {
  readonly #maxSockets: number;
  readonly #deadlineMs: number;
  readonly #maxShare: number;
  readonly #places = new Set<LobbyPlace>();
  /** Places taken by each sender that has any. */
  readonly #shares = new Map<string, number>();
  readonly #now: () => number;
  /** When the last of those who were sent away is expected, by `now`. */
  #lastExpectedAt = 0;

  constructor(options: LobbyOptions) {
    this.#maxSockets = options.maxSockets;
    this.#maxShare = maxShareOf(options.maxSockets);
    this.#deadlineMs = options.deadlineMs ?? 10_000;
    this.#now = options.now ?? (() => performance.now());
  }

  get size(): number {
    return this.#places.size;
  }

  /**
   * @param sender Whom the place counts for, a quarter of the lobby at most; null for a peer that stands for many.
   * @throws {DuplexityError} `DPX_UNAUTHENTICATED_LIMIT` when the lobby or the sender's share of it is full.
   */
  enter(socket: Duplex, sender: string | null = null): LobbyPlace {
    if (this.#places.size >= this.#maxSockets) {
      throw new DuplexityError(
        "DPX_UNAUTHENTICATED_LIMIT",
        `Cannot take the connection: ${this.#places.size} others have not said who they are yet`,
        { hint: "Try again in a few seconds.", retryAfterMs: this.#nextTurnMs() },
      );
    }
    const taken = sender === null ? 0 : (this.#shares.get(sender) ?? 0);
    if (taken >= this.#maxShare) {
      throw new DuplexityError(
        "DPX_UNAUTHENTICATED_LIMIT",
        `Cannot take the connection: ${taken} others from the same address have not said who they are yet`,
        { hint: "Try again in a few seconds.", retryAfterMs: SHARE_RETRY_MS },
      );
    }
    const startTimer = (deadlineMs: number): NodeJS.Timeout =>
      setTimeout(() => {
        const { onExpire } = place;
        place.leave();
        onExpire(new DuplexityError("DPX_IDLE_SOCKET", `Nothing came within ${deadlineMs / 1_000} s`));
      }, deadlineMs);
    let timer = startTimer(this.#deadlineMs);
    const place: LobbyPlace = {
      onExpire: () => socket.destroy(),
      restart: (deadlineMs = this.#deadlineMs) => {
        if (!this.#places.has(place)) return;
        clearTimeout(timer);
        timer = startTimer(deadlineMs);
      },
      leave: () => {
        if (!this.#places.delete(place)) return;
        clearTimeout(timer);
        this.#release(sender);
        socket.off("close", place.leave);
        // What it holds, such as a request's head, would live as long as the socket.
        place.onExpire = ignore;
      },
    };
    this.#places.add(place);
    if (sender !== null) this.#shares.set(sender, taken + 1);
    socket.once("close", place.leave);
    return place;
  }

  /**
   * When to come back: each who is sent away is expected a little later than the one before, so that a crowd does not come
   * back as one.
   */
  #nextTurnMs(): number {
    const now = this.#now();
    const latest = now + MAX_RETRY_MS;
    this.#lastExpectedAt = Math.min(
      latest,
      Math.max(this.#lastExpectedAt, now + MIN_RETRY_MS) + TURN_MS / this.#maxSockets,
    );
    return Math.round(this.#lastExpectedAt - now);
  }

  #release(sender: string | null): void {
    if (sender === null) return;
    const left = (this.#shares.get(sender) ?? 0) - 1;
    if (left > 0) this.#shares.set(sender, left);
    else this.#shares.delete(sender);
  }
}

function maxShareOf(maxSockets: number): number {
  return maxSockets < MIN_DIVIDED_SOCKETS ? maxSockets : Math.floor(maxSockets * SHARE);
}
