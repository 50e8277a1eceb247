// Passwords as scrypt hashes (RFC 7914): what may be one, its hash, and whether one is right. Keeps nothing.

import { randomBytes, scrypt, timingSafeEqual } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { WorkQueue } from "../work-queue.ts";

/** Fewer characters fall to a dictionary. */
export const MIN_PASSWORD_CHARS = 10;
/** More are no password, and cost time to hash. */
export const MAX_PASSWORD_CHARS = 256;

/** What one hash costs: N = 2^logN, memory = 128 · N · r bytes. */
export interface PasswordCost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/** 32 MiB and a quarter of a second; one of the equals in OWASP's password storage cheat sheet. */
export const PASSWORD_COST: PasswordCost = { logN: 15, r: 8, p: 3 };

/** What a stored hash may ask for: 128 MiB. More has not been written by this program. */
const MAX_COST: PasswordCost = { logN: 17, r: 8, p: 16 };
/** 64 MiB at once, and half of libuv's threads: files and DNS need the others. */
const MAX_RUNNING = 2;
/** Some eight seconds' work. */
const MAX_WAITING = 64;
/** For whoever is refused: what waits is worked on by then, or it is an attack. */
const RETRY_AFTER_MS = 3_000;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
// The PHC string format: $scrypt$ln=15,r=8,p=3$<salt>$<hash>
const STORED = /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,2}),p=(\d{1,2})\$([\w-]{22,88})\$([\w-]{43,88})$/;

interface StoredHash {
  readonly cost: PasswordCost;
  readonly salt: Buffer;
  readonly hash: Buffer;
}

export interface PasswordVerdict {
  readonly isRight: boolean;
  /** The hash is weaker than one that is made today. */
  readonly isWeak: boolean;
}

export class Passwords {
  readonly #cost: PasswordCost;
  readonly #queue = new WorkQueue({ maxRunning: MAX_RUNNING, maxWaiting: MAX_WAITING, refusal: tooMany });
  readonly #decoy: StoredHash;

  constructor(cost: PasswordCost = PASSWORD_COST) {
    this.#cost = cost;
    this.#decoy = { cost, salt: randomBytes(SALT_BYTES), hash: randomBytes(HASH_BYTES) };
  }

  /** @throws {DuplexityError} `DPX_RATE_LIMIT` when too many are waiting. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    const { logN, r, p } = this.#cost;
    const hash = await this.#queue.run(() => derive(password, salt, this.#cost, HASH_BYTES));
    return `$scrypt$ln=${logN},r=${r},p=${p}$${salt.toString("base64url")}$${hash.toString("base64url")}`;
  }

  /**
   * Whether `stored` (as {@link hash} answered it) is of `password`. Without one (null) the work is the same, so that
   * the time it takes does not say which names there are.
   *
   * @throws {DuplexityError} `DPX_RATE_LIMIT` when too many are waiting.
   */
  async verify(password: string, stored: string | null): Promise<PasswordVerdict> {
    // No account has such a one, whatever it is called.
    if (!isPossible(password)) return { isRight: false, isWeak: false };
    const known = stored === null ? null : readStored(stored);
    const { cost, salt, hash } = known ?? this.#decoy;
    const derived = await this.#queue.run(() => derive(password, salt, cost, hash.length));
    const isRight = timingSafeEqual(derived, hash) && known !== null;
    return { isRight, isWeak: workOf(cost) < workOf(this.#cost) };
  }
}

/** @throws {DuplexityError} `DPX_USAGE` if `password` may not be one for the account `name`. */
export function checkPassword(password: string, name: string): void {
  const chars = lengthOf(password);
  if (chars < MIN_PASSWORD_CHARS || chars > MAX_PASSWORD_CHARS) {
    throw badPassword(`it has ${chars} characters, ${MIN_PASSWORD_CHARS} to ${MAX_PASSWORD_CHARS} are wanted`);
  }
  if (plain(password).toLowerCase() === name) throw badPassword("it is the user's name");
}

function isPossible(password: string): boolean {
  const chars = lengthOf(password);
  return chars >= MIN_PASSWORD_CHARS && chars <= MAX_PASSWORD_CHARS;
}

/** In characters, not in UTF-16 units. Counts no further than it has to. */
function lengthOf(password: string): number {
  return password.length > 2 * MAX_PASSWORD_CHARS ? password.length : [...password].length;
}

/** One form for what looks the same: two keyboards may write `ü` in two ways (RFC 8265 §4.2.1 asks for the like). */
function plain(password: string): string {
  return password.normalize("NFC");
}

function derive(password: string, salt: Buffer, cost: PasswordCost, bytes: number): Promise<Buffer> {
  const { logN, r, p } = cost;
  // Twice what it takes: Node counts a little more than 128 · N · r.
  const options = { N: 2 ** logN, r, p, maxmem: 2 * 128 * 2 ** logN * r };
  return new Promise((resolve, reject) => {
    scrypt(plain(password), salt, bytes, options, (error, key) => (error === null ? resolve(key) : reject(error)));
  });
}

function readStored(stored: string): StoredHash | null {
  const [, logN, r, p, salt, hash] = STORED.exec(stored) ?? [];
  if (salt === undefined || hash === undefined) return null;
  const cost = { logN: Number(logN), r: Number(r), p: Number(p) };
  const isWithin = cost.logN <= MAX_COST.logN && cost.r <= MAX_COST.r && cost.p <= MAX_COST.p;
  if (!isWithin || cost.logN < 1 || cost.r < 1 || cost.p < 1) return null;
  return { cost, salt: Buffer.from(salt, "base64url"), hash: Buffer.from(hash, "base64url") };
}

function workOf({ logN, r, p }: PasswordCost): number {
  return 2 ** logN * r * p;
}

function badPassword(why: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot use the password: ${why}`, {
    hint: "Take a few words that nobody else would put together, or let a password manager make one.",
  });
}

function tooMany(): DuplexityError {
  return new DuplexityError("DPX_RATE_LIMIT", "Cannot check the password: too many are being checked just now", {
    hint: "Try again in a few seconds.",
    retryAfterMs: RETRY_AFTER_MS,
  });
}
