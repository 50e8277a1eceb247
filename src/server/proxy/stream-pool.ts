// Idle HTTP streams, kept per hostname for the next request. The newest is used first, so that the oldest age out.
// It never gives out a stream of another registration, nor one whose session has no link at the moment, and keeps none
// whose registration is over: a client that leaves waits for what is still open.

import type { Route, Routes } from "../routes.ts";
import { IDLE_STREAM_MS, MAX_IDLE_STREAMS } from "./options.ts";
import type { OriginStream } from "./origin-stream.ts";

interface IdleStreams {
  route: Route;
  /** Oldest first. */
  readonly streams: OriginStream[];
}

export class StreamPool {
  readonly #idle = new Map<string, IdleStreams>();
  readonly #routes: Pick<Routes, "locate">;
  #count = 0;

  constructor(routes: Pick<Routes, "locate">) {
    this.#routes = routes;
  }

  /** How many streams are idle. */
  get count(): number {
    return this.#count;
  }

  /** The idle stream of this registration that was used last, or null. It is the caller's then. */
  take(route: Route): OriginStream | null {
    const idle = this.#idle.get(route.hostname);
    if (idle === undefined) return null;
    if (idle.route !== route && !this.#adopt(idle, route)) return null;
    const origin = idle.streams.at(-1);
    if (origin === undefined || !origin.stream.isLive) return null;
    idle.streams.pop();
    this.#count--;
    origin.isReused = true;
    return origin;
  }

  /** Keeps a stream whose answer was read to its end, from `now` on. Its user must have left it. */
  put(origin: OriginStream, now: number): void {
    origin.user = null;
    origin.idleSince = now;
    const { route } = origin;
    if (this.#isOver(route)) {
      origin.discard();
      return;
    }
    let idle = this.#idle.get(route.hostname);
    if (idle === undefined) {
      idle = { route, streams: [] };
      this.#idle.set(route.hostname, idle);
    } else if (!isSameRegistration(idle.route, route)) {
      // The hostname has changed hands since this stream was opened.
      if (idle.route.epoch > route.epoch) {
        origin.discard();
        return;
      }
      this.#adopt(idle, route);
    }
    idle.streams.push(origin);
    this.#count++;
    if (idle.streams.length > MAX_IDLE_STREAMS) idle.streams[0]?.discard();
  }

  /** Ends the idle streams of a registration that is over. */
  drop(route: Route): void {
    const idle = this.#idle.get(route.hostname);
    if (idle !== undefined && isSameRegistration(idle.route, route)) {
      for (const origin of [...idle.streams]) origin.discard();
    }
  }

  /** Ends the idle streams of a client, which count as open ones like all others. Answers whether there were any. */
  makeRoom(clientId: string): boolean {
    const before = this.#count;
    for (const idle of [...this.#idle.values()]) {
      if (idle.route.clientId === clientId) for (const origin of [...idle.streams]) origin.discard();
    }
    return this.#count < before;
  }

  /** Takes a stream out that died while it was idle. */
  forget(origin: OriginStream): void {
    const idle = this.#idle.get(origin.route.hostname);
    const index = idle?.streams.indexOf(origin) ?? -1;
    if (idle === undefined || index === -1) return;
    idle.streams.splice(index, 1);
    this.#count--;
    if (idle.streams.length === 0) this.#idle.delete(origin.route.hostname);
  }

  /** Ends the streams that were idle for too long at `now`. */
  sweep(now: number): void {
    for (const idle of this.#idle.values()) {
      for (const origin of [...idle.streams]) {
        if (now - origin.idleSince < IDLE_STREAM_MS) break;
        origin.discard();
      }
    }
  }

  /** Ends all idle streams. */
  close(): void {
    for (const idle of this.#idle.values()) for (const origin of [...idle.streams]) origin.discard();
  }

  /** Whether it is known that the hostname is not, or no more, this registration's. */
  #isOver(route: Route): boolean {
    const current = this.#routes.locate(route.hostname);
    // One that is still being looked for may be the same.
    if (current instanceof Promise) return false;
    return current === null || !isSameRegistration(current, route);
  }

  /** The route object was replaced: keeps the streams if it is still the same registration, else ends them. */
  #adopt(idle: IdleStreams, route: Route): boolean {
    const isSame = isSameRegistration(idle.route, route);
    if (!isSame) for (const origin of [...idle.streams]) origin.discard();
    idle.route = route;
    return isSame;
  }
}

export function isSameRegistration(a: Route, b: Route): boolean {
  return a === b || (a.clientId === b.clientId && a.epoch === b.epoch);
}
