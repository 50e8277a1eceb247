// Who and what may not come in, and until when. Ends nobody by itself: it answers at every door, and tells who listens.

import { canonicalHostname, DuplexityError, fields, isLabel, MAX_HOSTNAME_CHARS } from "../../protocol/index.ts";
import type { Admission, Identity } from "../identity/index.ts";
import type { Store } from "../store/index.ts";
import { userNameOf } from "./account-names.ts";
import { Mirror, type WarningLog } from "./mirror.ts";
import { proseOf } from "./prose.ts";
import { readBan, writeBan } from "./records.ts";
import { isId } from "./secrets.ts";
import type { Ban, BanSubject } from "./types.ts";

/** Half of what one look at the store can list. Whoever needs more wants a firewall. */
export const MAX_BANS = 5_000;
export const MAX_REASON_CHARS = 256;

const BANS = "ban/";

export interface BansOptions {
  readonly store: Store;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
  /** One line about what went wrong behind the scenes; never a secret. */
  readonly log?: WarningLog;
}

export class Bans implements Admission {
  readonly #store: Store;
  readonly #now: () => number;
  readonly #mirror: Mirror<Ban>;
  readonly #listeners: Set<(ban: Ban) => void>;

  /** @throws {DuplexityError} `DPX_STORE` */
  static async open(options: BansOptions): Promise<Bans> {
    const listeners = new Set<(ban: Ban) => void>();
    const mirror = await Mirror.open<Ban>({
      store: options.store,
      prefix: BANS,
      read: readBan,
      onChanged: (ban) => {
        for (const listener of listeners) listener(ban);
      },
      log: options.log,
    });
    return new Bans(options, mirror, listeners);
  }

  private constructor({ store, now }: BansOptions, mirror: Mirror<Ban>, listeners: Set<(ban: Ban) => void>) {
    this.#store = store;
    this.#now = now ?? Date.now;
    this.#mirror = mirror;
    this.#listeners = listeners;
  }

  check(identity: Identity, subject: { readonly clientId?: string; readonly hostname?: string }): void {
    // Nearly always: nobody is banned.
    if (this.#mirror.size === 0) return;
    const { ownerId } = identity;
    if (ownerId.startsWith("user:")) this.#checkKey(`${BANS}user/${ownerId.slice("user:".length)}`);
    if (subject.clientId !== undefined) this.#checkKey(`${BANS}client/${subject.clientId}`);
    if (subject.hostname !== undefined) this.#checkKey(`${BANS}hostname/${canonicalHostname(subject.hostname)}`);
  }

  /**
   * Takes the place of a ban of the same subject.
   *
   * @throws {DuplexityError} `DPX_USAGE` if the subject cannot be banned or the ban would be over, `DPX_LIMIT`.
   */
  async add(ban: Ban): Promise<void> {
    const kept = { ...ban, subject: checkSubject(ban.subject), reason: proseOf(ban.reason, MAX_REASON_CHARS) };
    const key = keyOf(kept.subject);
    const ttlMs = kept.until === null ? null : kept.until - this.#now();
    if (ttlMs !== null && !(ttlMs > 0)) throw refused(kept.subject, "the ban would be over already");
    if (this.#mirror.size >= MAX_BANS && this.#mirror.get(key) === null) {
      throw new DuplexityError("DPX_LIMIT", `Cannot ban ${nameOf(kept.subject)}: there are ${MAX_BANS} bans already`, {
        hint: "Lift some first: duplexity list --bans, then duplexity unban WHO",
      });
    }
    await this.#store.put(key, writeBan(kept), ttlMs === null ? {} : { ttlMs });
    await this.#mirror.refresh(key);
  }

  /**
   * Lifts every ban of `who`: a user's name (`user:ben`: that alone), a hostname, its first label, a clientId. Answers what it lifted.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  async lift(who: string): Promise<readonly Ban[]> {
    const lifted: Ban[] = [];
    for (const ban of this.all()) {
      if (!isMeant(ban.subject, who)) continue;
      const key = keyOf(ban.subject);
      if (await this.#store.delete(key)) lifted.push(ban);
      await this.#mirror.refresh(key);
    }
    return lifted;
  }

  /**
   * Looks for bans of which no word has come. Whoever listens is told of them first.
   *
   * @throws {DuplexityError} `DPX_STORE`
   */
  look(): Promise<void> {
    return this.#mirror.refreshAll();
  }

  /** Those that hold now, the oldest first. */
  all(): readonly Ban[] {
    return this.#mirror
      .values()
      .filter((ban) => this.#holds(ban))
      .sort((one, other) => one.at - other.at);
  }

  /** Calls `listener` with every ban that is new or has changed, here or on another node; not with those there are. */
  onAdded(listener: (ban: Ban) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    this.#mirror.close();
    this.#listeners.clear();
  }

  #checkKey(key: string): void {
    const ban = this.#mirror.get(key);
    if (ban === null || !this.#holds(ban)) return;
    const { subject, by, reason, until } = ban;
    const end = until === null ? "for good" : `until ${new Date(until).toISOString()}`;
    const why = reason === "" ? "" : `: ${reason}`;
    const action = subject.kind === "hostname" ? `open "${subject.hostname}"` : "let you in";
    throw new DuplexityError("DPX_BANNED", `Cannot ${action}: ${nameOf(subject)} is banned by ${by} ${end}${why}`, {
      hint: "Talk to whoever runs this server.",
    });
  }

  #holds({ until }: Ban): boolean {
    return until === null || until > this.#now();
  }
}

/** `ben` · `"cat1.example.com"` · `client k3J9…` */
function nameOf(subject: BanSubject): string {
  switch (subject.kind) {
    case "user":
      return subject.name;
    case "hostname":
      return `"${subject.hostname}"`;
    case "client":
      return `client ${subject.clientId}`;
  }
}

function keyOf(subject: BanSubject): string {
  switch (subject.kind) {
    case "user":
      return `${BANS}user/${subject.userId}`;
    case "hostname":
      return `${BANS}hostname/${subject.hostname}`;
    case "client":
      return `${BANS}client/${subject.clientId}`;
  }
}

/** The subject in canonical form, so that its key is what {@link Bans.check} looks for. */
function checkSubject(subject: BanSubject): BanSubject {
  switch (subject.kind) {
    case "user":
      if (!isId("u_", subject.userId)) throw refused(subject, "that is not a user's id");
      return subject;
    case "hostname": {
      const hostname = canonicalHostname(subject.hostname);
      if (hostname.length > MAX_HOSTNAME_CHARS || !hostname.split(".").every(isLabel)) {
        throw refused(subject, "that is not a hostname");
      }
      return { kind: "hostname", hostname };
    }
    case "client":
      if (!fields.isClientId(subject.clientId)) throw refused(subject, "that is not a clientId");
      return subject;
  }
}

function isMeant(subject: BanSubject, who: string): boolean {
  switch (subject.kind) {
    case "user":
      return subject.name === userNameOf(who) || subject.userId === who;
    case "hostname": {
      const hostname = canonicalHostname(who);
      return subject.hostname === hostname || subject.hostname.split(".", 1)[0] === hostname;
    }
    case "client":
      return subject.clientId === who;
  }
}

function refused(subject: BanSubject, why: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot ban ${nameOf(subject).slice(0, 64)}: ${why}`, {
    hint: "Name a user, a hostname such as cat1.example.com, or a clientId: duplexity list",
  });
}
