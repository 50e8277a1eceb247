// Sockets at the server's own endpoints that have not said who they are: so many
// of them and no more, each for so long and no longer.

import type { Duplex } from "node:stream";
import { DuplexityError } from "../../protocol/index.ts";

export interface LobbyOptions {
  readonly maxSockets: number;
  /** How long a socket may take for each step: its request, then its first message. @default 10_000 */
  readonly deadlineMs?: number;
}

/** One socket's place in the lobby. */
export interface LobbyPlace {
  /** What to do with the socket when its time is over. At first: destroy it. */
  onExpire: (error: DuplexityError) => void;
  /** The socket did its step: its time starts anew. */
  restart(): void;
  /** The socket has said who it is, or is gone. Safe to call twice. */
  leave(): void;
}

const ignore = (): void => {};

export class Lobby {
  readonly #maxSockets: number;
  readonly #deadlineMs: number;
  readonly #places = new Set<LobbyPlace>();

  constructor(options: LobbyOptions) {
    this.#maxSockets = options.maxSockets;
    this.#deadlineMs = options.deadlineMs ?? 10_000;
  }

  get size(): number {
    return this.#places.size;
  }

  /** @throws {DuplexityError} `DPX_UNAUTHENTICATED_LIMIT` when it is full. */
  enter(socket: Duplex): LobbyPlace {
    if (this.#places.size >= this.#maxSockets) {
      throw new DuplexityError(
        "DPX_UNAUTHENTICATED_LIMIT",
        `Cannot take the connection: ${this.#places.size} others have not said who they are yet`,
        { hint: "Try again in a few seconds." },
      );
    }
    const timer = setTimeout(() => {
      const { onExpire } = place;
      place.leave();
      onExpire(new DuplexityError("DPX_IDLE_SOCKET", `Nothing came within ${this.#deadlineMs / 1_000} s`));
    }, this.#deadlineMs);
    const place: LobbyPlace = {
      onExpire: () => socket.destroy(),
      restart: () => {
        if (this.#places.has(place)) timer.refresh();
      },
      leave: () => {
        if (!this.#places.delete(place)) return;
        clearTimeout(timer);
        socket.off("close", place.leave);
        // What it holds, such as a request's head, would live as long as the socket.
        place.onExpire = ignore;
      },
    };
    this.#places.add(place);
    socket.once("close", place.leave);
    return place;
  }
}
