// Opens visitors' streams within what their pipe's owner may have: so many at once, so many bytes a second. Without a
// limit on bytes a stream is the session's own, untouched.

import {
  DuplexityError,
  type OpenRequest,
  type Session,
  type Stream,
  type StreamHandler,
} from "../../protocol/index.ts";
import { type Clock, systemClock } from "../clock.ts";
import type { ServeLimits } from "../index.ts";
import { ByteBucket } from "./byte-bucket.ts";
import type { ClientTable } from "./client-table.ts";
import { ThrottledStream } from "./throttled-stream.ts";

export interface OwnerStreamsOptions {
  readonly clients: ClientTable;
  readonly limits: Pick<ServeLimits, "maxConnectionsPerOwner" | "maxBytesPerSecondPerOwner">;
  /** @default systemClock */
  readonly clock?: Clock;
}

/** From so many buckets on those that are full are forgotten: a new one is full as well. */
const SWEEP_FROM_BUCKETS = 1_024;

export class OwnerStreams {
  readonly #options: OwnerStreamsOptions;
  readonly #buckets = new Map<string, ByteBucket>();
  #sweepAt = SWEEP_FROM_BUCKETS;

  constructor(options: OwnerStreamsOptions) {
    this.#options = options;
  }

  /** Buckets that are kept. */
  get size(): number {
    return this.#buckets.size;
  }

  /** @throws {DuplexityError} `DPX_LIMIT` when the owner has as many streams as allowed, and what `session.open` throws. */
  open(session: Session, clientId: string, request: OpenRequest, handler: StreamHandler): Stream {
    const { clients, limits } = this.#options;
    const client = clients.get(clientId);
    if (client === null) return session.open(request, handler);
    const { ownerId, ownerName } = client.identity;
    let count = 0;
    for (const sister of clients.ofOwner(ownerId)) count += sister.session?.openStreams ?? 0;
    if (count >= limits.maxConnectionsPerOwner) {
      throw new DuplexityError(
        "DPX_LIMIT",
        `Cannot reach "${request.hostname}": ${ownerName} has ${count} connections`,
      );
    }
    if (limits.maxBytesPerSecondPerOwner === 0) return session.open(request, handler);
    return new ThrottledStream((inner) => session.open(request, inner), handler, this.#bucketOf(ownerId));
  }

  #bucketOf(ownerId: string): ByteBucket {
    const known = this.#buckets.get(ownerId);
    if (known !== undefined) return known;
    if (this.#buckets.size >= this.#sweepAt) {
      for (const [owner, bucket] of this.#buckets) if (bucket.isFull) this.#buckets.delete(owner);
      // Those that are left belong to owners who are at it: a sweep for each new one would find nothing.
      this.#sweepAt = Math.max(SWEEP_FROM_BUCKETS, 2 * this.#buckets.size);
    }
    const { limits, clock = systemClock } = this.#options;
    const bucket = new ByteBucket(limits.maxBytesPerSecondPerOwner, clock);
    this.#buckets.set(ownerId, bucket);
    return bucket;
  }
}
