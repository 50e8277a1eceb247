// Checks visitors' passwords: a few at a time, since each costs 100 ms and 32 MiB, and none a second time that was right.
// Every number here is bounded; it never keeps a password.

import { createHmac, randomBytes } from "node:crypto";
import { asDuplexityError, type ErrorCode, type GateUser, isGatePassword } from "../../protocol/index.ts";
import type { Attempts } from "../attempts.ts";
import type { BasicCredentials } from "./basic-credentials.ts";

/** Checks at once, of all pipes. Node has four threads for them, for name lookups and for files. */
const MAX_RUNNING_CHECKS = 2;
/** Checks that wait, of all pipes and of one: a flood on one pipe leaves room for the others' visitors. */
const MAX_WAITING_CHECKS = 128;
const MAX_WAITING_CHECKS_OF_PIPE = 16;
/** Passwords that were right and are known by a digest. The one that was not used for longest goes first. */
export const MAX_KNOWN_PASSWORDS = 4_096;

/** Null: it is right. `DPX_VISITOR_UNKNOWN`: it is wrong. Else why it was not looked at. */
export type PasswordOutcome = ErrorCode | null;

export interface PasswordAttempt {
  readonly hostname: string;
  /** Whom the attempt counts for. */
  readonly sender: string;
  /** Null: there is nobody of that name. */
  readonly user: GateUser | null;
  readonly credentials: BasicCredentials;
}

/** Takes as long as a real one: whether a name exists is not to be heard from the time that an answer takes. */
const NOBODY = `$scrypt$ln=15,r=8,p=1$${"A".repeat(22)}$${"A".repeat(43)}`;

export class GatePasswords {
  readonly #attempts: Attempts;
  /** Digests of a user's hash and a password that fits it: right for ever, wherever the same hash stands. */
  readonly #known = new Set<string>();
  /** By the same digest and sender: a browser opens six connections with one password. */
  readonly #running = new Map<string, Promise<PasswordOutcome>>();
  readonly #waiting: (() => void)[] = [];
  readonly #waitingOf = new Map<string, number>();
  readonly #key = randomBytes(32);
  #busy = 0;

  constructor(attempts: Attempts) {
    this.#attempts = attempts;
  }

  /** Answers at once for a password that was right before. */
  check(attempt: PasswordAttempt): PasswordOutcome | Promise<PasswordOutcome> {
    const { user, credentials, hostname } = attempt;
    const digest = this.#digest(user?.hash ?? `${NOBODY} ${hostname} ${credentials.user}`, credentials.password);
    if (this.#known.delete(digest)) {
      this.#known.add(digest);
      return null;
    }
    const same = `${digest} ${attempt.sender}`;
    const running = this.#running.get(same);
    if (running !== undefined) return running;
    const checking = this.#check(attempt, digest).finally(() => this.#running.delete(same));
    this.#running.set(same, checking);
    return checking;
  }

  async #check({ hostname, sender, user, credentials }: PasswordAttempt, digest: string): Promise<PasswordOutcome> {
    const key = `${hostname} ${sender}`;
    try {
      // Before it is looked at: of a thousand guesses at once none is free.
      await this.#attempts.count("visitor", key);
    } catch (error) {
      return asDuplexityError(error).code;
    }
    if (!(await this.#enter(hostname))) return "DPX_LIMIT";
    try {
      const isRight = await isGatePassword(credentials.password, user?.hash ?? NOBODY);
      if (!isRight || user === null) return "DPX_VISITOR_UNKNOWN";
    } finally {
      this.#leave();
    }
    this.#remember(digest);
    // Once for each password, as long as it is known: who has one can't guess others' with it for free.
    await this.#attempts.reset("visitor", key).catch(() => {});
    return null;
  }

  /** Waits for a turn. False: too many wait. */
  async #enter(hostname: string): Promise<boolean> {
    if (this.#busy < MAX_RUNNING_CHECKS) {
      this.#busy++;
      return true;
    }
    const ofPipe = this.#waitingOf.get(hostname) ?? 0;
    if (this.#waiting.length >= MAX_WAITING_CHECKS || ofPipe >= MAX_WAITING_CHECKS_OF_PIPE) return false;
    this.#waitingOf.set(hostname, ofPipe + 1);
    // The turn is handed over by `#leave`: `#busy` stays as it is.
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    const left = (this.#waitingOf.get(hostname) ?? 1) - 1;
    if (left > 0) this.#waitingOf.set(hostname, left);
    else this.#waitingOf.delete(hostname);
    return true;
  }

  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#busy--;
    else next();
  }

  #remember(digest: string): void {
    this.#known.add(digest);
    if (this.#known.size <= MAX_KNOWN_PASSWORDS) return;
    for (const oldest of this.#known) {
      this.#known.delete(oldest);
      break;
    }
  }

  #digest(hash: string, password: string): string {
    return createHmac("sha256", this.#key).update(`${hash}\0${password}`).digest("base64");
  }
}
