// Counts attempts, each kind for each key (an address, an account), and refuses what comes too fast. Keeps nothing that
// outlives the process; never locks anybody out for ever.

import { RateLimiterMemory, RateLimiterRes } from "rate-limiter-flexible";
import { DuplexityError } from "../protocol/index.ts";
import { digestOf } from "./digest.ts";

/** What is attempted, and what its key is. */
export type AttemptKind =
  /** A password, by address. */
  | "sign-in"
  /** A password, by account. */
  | "sign-in-account"
  /** A device asks for a code, by address. */
  | "device"
  /** What is kept for whoever asks before anybody has signed in, of all addresses together. */
  | "begin"
  /** Somebody types a device's code, by account or address. */
  | "user-code"
  /** An admin's claim link or an invitation, by address. */
  | "claim"
  /** A visitor's one-time code, by address. */
  | "redeem"
  /** Pipes, by address and by owner. */
  | "register"
  /** A client's socket, by address and by owner. */
  | "upgrade"
  /** A visitor's password at a pipe, by hostname and address. */
  | "visitor"
  /** Requests of the API, by owner. */
  | "api"
  /** Requests of the API whose sender has not shown who they are, by address. */
  | "api-refused";

export interface AttemptLimit {
  /** So many attempts of one key … */
  readonly points: number;
  /** … in so long. */
  readonly durationMs: number;
}

/**
 * A person mistypes a few times; a machine that guesses does so for ever. Many clients stand behind one address, and all
 * of them come back at once when the server was away.
 */
export const DEFAULT_ATTEMPT_LIMITS: Readonly<Record<AttemptKind, AttemptLimit>> = {
  "sign-in": { points: 30, durationMs: 300_000 },
  "sign-in-account": { points: 10, durationMs: 300_000 },
  device: { points: 30, durationMs: 300_000 },
  // With 15 minutes that each lasts, and 8,192 characters at most: less than half of what a store holds, so that there is
  // room for bans and tokens however many addresses somebody has.
  begin: { points: 5_000, durationMs: 300_000 },
  "user-code": { points: 10, durationMs: 300_000 },
  claim: { points: 20, durationMs: 300_000 },
  redeem: { points: 120, durationMs: 60_000 },
  register: { points: 15_000, durationMs: 60_000 },
  upgrade: { points: 30_000, durationMs: 60_000 },
  visitor: { points: 30, durationMs: 60_000 },
  // An admin's script may end a thousand clients one by one.
  api: { points: 6_000, durationMs: 60_000 },
  "api-refused": { points: 120, durationMs: 60_000 },
};

/** Keys of one kind that are counted each on its own; those beyond share counters, so that none can be made forgotten. */
export const MAX_ATTEMPT_KEYS = 10_000;
/** Counters for the keys beyond. */
const SHARED_COUNTERS = 256;
/** A longer key, such as whatever somebody typed, is counted by its digest. */
const MAX_KEY_CHARS = 128;

export interface Attempts {
  /**
   * Counts one attempt.
   *
   * @throws {DuplexityError} `DPX_RATE_LIMIT`, whose hint says when the next one may come.
   */
  count(kind: AttemptKind, key: string): Promise<void>;
  /** Forgets what was counted: the attempt was right. */
  reset(kind: AttemptKind, key: string): Promise<void>;
}

export function createAttempts(limits: Partial<Record<AttemptKind, AttemptLimit>> = {}): Attempts {
  const counters = new Map<AttemptKind, Counter>();
  const counterOf = (kind: AttemptKind): Counter => {
    const known = counters.get(kind);
    if (known !== undefined) return known;
    const made = new Counter(limits[kind] ?? DEFAULT_ATTEMPT_LIMITS[kind]);
    counters.set(kind, made);
    return made;
  };
  return {
    count: (kind, key) => counterOf(kind).count(key),
    reset: (kind, key) => counterOf(kind).reset(key),
  };
}

/** Attempts of one kind. */
class Counter {
  readonly #limiter: RateLimiterMemory;
  readonly #durationMs: number;
  /** When each counted key's time ends, in that order, since it is equally long for all. */
  readonly #ends = new Map<string, number>();

  constructor({ points, durationMs }: AttemptLimit) {
    this.#durationMs = durationMs;
    this.#limiter = new RateLimiterMemory({ points, duration: durationMs / 1_000 });
  }

  async count(key: string): Promise<void> {
    const counted = this.#counted(key);
    try {
      await this.#limiter.consume(counted);
    } catch (error) {
      if (!(error instanceof RateLimiterRes)) throw error;
      throw tooMany(error.msBeforeNext);
    }
  }

  async reset(key: string): Promise<void> {
    if (!this.#ends.delete(ownKey(key))) return;
    await this.#limiter.delete(ownKey(key));
  }

  /** Under which key it is counted. */
  #counted(key: string): string {
    const now = Date.now();
    for (const [old, ends] of this.#ends) {
      if (ends > now) break;
      this.#ends.delete(old);
    }
    const own = ownKey(key);
    if (this.#ends.has(own)) return own;
    if (this.#ends.size >= MAX_ATTEMPT_KEYS) return `shared ${sharedIndexOf(key)}`;
    this.#ends.set(own, now + this.#durationMs);
    return own;
  }
}

/** No key of a caller is one of the shared counters. */
function ownKey(key: string): string {
  return key.length <= MAX_KEY_CHARS ? `own ${key}` : `long ${digestOf(key)}`;
}

/** FNV-1a: spreads the keys, no more is asked of it. */
function sharedIndexOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < key.length; index += 1) hash = Math.imul(hash ^ key.charCodeAt(index), 0x01000193);
  return (hash >>> 0) % SHARED_COUNTERS;
}

function tooMany(waitMs: number): DuplexityError {
  const seconds = Math.max(1, Math.ceil(waitMs / 1_000));
  return new DuplexityError("DPX_RATE_LIMIT", "Cannot go on: too many attempts came in a short time", {
    hint: `Try again in ${seconds} s.`,
    retryAfterMs: seconds * 1_000,
  });
}
