// One HTTP stream to a client's target, across the requests that use it one after another. It passes events to its
// present user and watches over the time between users; it reads no HTTP.

import type { DuplexityError, ErrorCode, Stream, StreamHandler } from "../../protocol/index.ts";
import type { Route, Routes } from "../routes.ts";

/** Who uses a stream at the moment. */
export interface OriginUser {
  onOriginData(chunk: Buffer): void;
  onOriginEnd(): void;
  onOriginDrain(): void;
  onOriginReset(error: DuplexityError, deliveredBytes: number | null): void;
}

/** Where a stream that dies without a user is taken out. */
export interface OriginOwner {
  forget(origin: OriginStream): void;
}

export class OriginStream implements StreamHandler {
  readonly route: Route;
  readonly stream: Stream;
  /** Null: it is idle, in the pool. */
  user: OriginUser | null = null;
  /** Whether it has served a request before the present one. */
  isReused = false;
  /** `stream.writtenBytes` when the present request began: what was delivered beyond it belongs to this request. */
  requestStart = 0;
  /** When it became idle, in the proxy's time. */
  idleSince = 0;
  #isDead = false;
  readonly #owner: OriginOwner;

  /** @throws {DuplexityError} as `Routes.open`. */
  constructor(routes: Routes, route: Route, owner: OriginOwner, visitor: { address: string; isTls: boolean }) {
    this.route = route;
    this.#owner = owner;
    this.stream = routes.open(
      route,
      { hostname: route.hostname, protocol: "http", visitor: visitor.address, isTls: visitor.isTls },
      this,
    );
  }

  /** Whether nothing more can come or go. */
  get isDead(): boolean {
    return this.#isDead;
  }

  onAccept(): void {}

  onData(chunk: Buffer): void {
    if (this.user !== null) {
      this.user.onOriginData(chunk);
    } else {
      // RFC 9112 §9.2: bytes that nobody asked for would be taken for the next request's answer.
      this.discard();
    }
  }

  onEnd(): void {
    if (this.user !== null) this.user.onOriginEnd();
    else this.discard();
  }

  onDrain(): void {
    this.user?.onOriginDrain();
  }

  onReset(error: DuplexityError, deliveredBytes: number | null): void {
    if (this.#isDead) return;
    this.#isDead = true;
    const { user } = this;
    this.user = null;
    if (user === null) this.#owner.forget(this);
    else user.onOriginReset(error, deliveredBytes);
  }

  /** Ends the stream for good, without a word to its user. Safe to call twice. */
  discard(code: ErrorCode = "DPX_CANCELLED"): void {
    if (this.#isDead) return;
    this.#isDead = true;
    if (this.user === null) this.#owner.forget(this);
    this.user = null;
    this.stream.reset(code);
  }
}
