// Who this person is to which server: the sign-ins of this machine, one of them current, each of them renewed when its
// token is about to end. How a renewal goes over the wire is not its business.

import { join } from "node:path";
import { DuplexityError, type ErrorCode } from "../protocol/errors.ts";
import { isLoopbackHost } from "../server/identity/loopback.ts";
import { makePrivateDirectory } from "./private-files.ts";
import { readSignIns, type SignIn, type SignInList, writeSignIns } from "./sign-in/file.ts";
import { withLock } from "./sign-in/lock-file.ts";

export const SIGN_IN_FILE = "sign-ins.json";
/** A token that has less left than this is renewed, or less than a quarter of its life when that is shorter. */
const RENEW_BEFORE_MS = 300_000;
/** With less left a token may have ended before the server reads it. */
const USABLE_MS = 5_000;
/** After these no token comes, however often it is tried. */
const OVER: ReadonlySet<ErrorCode> = new Set<ErrorCode>(["DPX_AUTH_INVALID", "DPX_BANNED"]);

export interface SignInsOptions {
  /** The settings folder. */
  readonly directory: string;
  readonly warn: (message: string) => void;
  /** Gets the next token. @default by OpenID Connect's refresh grant */
  readonly renew?: (signIn: SignIn, signal?: AbortSignal) => Promise<SignIn>;
  /** @default Date.now */
  readonly now?: () => number;
}

export class SignIns {
  readonly #options: SignInsOptions;
  readonly #path: string;

  constructor(options: SignInsOptions) {
    this.#options = options;
    this.#path = join(options.directory, SIGN_IN_FILE);
  }

  /** The server that commands use when none is named, or null. */
  get current(): string | null {
    return this.#read().current;
  }

  get all(): readonly SignIn[] {
    return this.#read().signIns;
  }

  /** The sign-in at that very server. On this machine `localhost` and `127.0.0.1` with the same port are one. */
  find(server: string): SignIn | null {
    const { signIns } = this.#read();
    return (
      signIns.find((each) => each.server === server) ?? signIns.find((each) => isSame(each.server, server)) ?? null
    );
  }

  /** Keeps a sign-in in place of the one that was there for its server, and makes it the current one. */
  async add(signIn: SignIn, signal?: AbortSignal): Promise<void> {
    await this.#change(async (list) => ({ current: signIn.server, signIns: replaced(list, signIn) }), signal);
  }

  /** Forgets a sign-in. `end` is called with its newest state while nobody else can renew it. */
  async remove(server: string, end: (signIn: SignIn) => Promise<void>): Promise<void> {
    await this.#change(async (list) => {
      const signIn = list.signIns.find((each) => each.server === server);
      if (signIn !== undefined) await end(signIn);
      const signIns = list.signIns.filter((each) => each !== signIn);
      return { current: list.current === server ? null : list.current, signIns };
    });
  }

  /**
   * The sign-in at `server` with a token that holds for a while. Refresh tokens are good for one use: of all processes
   * one renews, the others find what it got.
   *
   * @param signal Gives it up, also what is left of the old token.
   * @throws {DuplexityError} `DPX_AUTH_INVALID` when there is none any more; when the server cannot be asked and the old
   * token has ended, `DPX_SERVER_UNREACHABLE` and other codes that may pass.
   */
  async fresh(server: string, signal?: AbortSignal): Promise<SignIn> {
    const now = this.#options.now ?? Date.now;
    const known = this.find(server);
    if (known !== null && !isDue(known, now())) return known;
    if (known?.renewal === null) {
      if (isUsable(known, now())) return known;
      throw ended(server, "its token has ended");
    }
    try {
      return await this.#renewed(server, now, signal);
    } catch (error) {
      const isOver = signal?.aborted === true || (error instanceof DuplexityError && OVER.has(error.code));
      // What is left of it is enough for now; whoever uses it asks again.
      if (!isOver && known !== null && isUsable(known, now())) return known;
      throw error;
    }
  }

  async #renewed(server: string, now: () => number, signal: AbortSignal | undefined): Promise<SignIn> {
    let result: SignIn | null = null;
    await this.#change(async (list) => {
      const signIn = list.signIns.find((each) => each.server === server);
      if (signIn === undefined) throw ended(server, "it was given up here");
      result = signIn;
      if (!isDue(signIn, now())) return null;
      const renew = this.#options.renew ?? (await import("./sign-in/renew.ts")).renew;
      result = await renew(signIn, signal);
      return { ...list, signIns: replaced(list, result) };
    }, signal);
    // `change` has set it, or thrown.
    if (result === null) throw ended(server, "it was given up here");
    return result;
  }

  /** Reads, changes and writes while no other process does. Null: nothing is to be written. */
  async #change(change: (list: SignInList) => Promise<SignInList | null>, signal?: AbortSignal): Promise<void> {
    makePrivateDirectory(this.#options.directory);
    await withLock(
      `${this.#path}.lock`,
      async () => {
        const changed = await change(this.#read());
        if (changed !== null) writeSignIns(this.#path, changed);
      },
      signal,
    );
  }

  #read(): SignInList {
    return readSignIns(this.#path, this.#options.warn);
  }
}

function isDue(signIn: SignIn, now: number): boolean {
  const { obtainedAt, expiresAt } = signIn;
  if (expiresAt === null) return false;
  return expiresAt - now <= Math.min(RENEW_BEFORE_MS, (expiresAt - obtainedAt) / 4);
}

function isUsable({ expiresAt }: SignIn, now: number): boolean {
  return expiresAt === null || expiresAt - now > USABLE_MS;
}

function replaced(list: SignInList, signIn: SignIn): readonly SignIn[] {
  return [...list.signIns.filter(({ server }) => server !== signIn.server), signIn];
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [new URL(one), new URL(other)];
  if (a.protocol !== b.protocol || a.port !== b.port) return false;
  return isLoopbackHost(a.hostname) && isLoopbackHost(b.hostname);
}

function ended(server: string, why: string): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot use the sign-in at ${server}: ${why}`, {
    hint: `duplexity login ${server}`,
  });
}
