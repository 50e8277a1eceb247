// The scripts of the registry as calls: arguments in, what Redis says of a name out. Remembers nothing.

import { DuplexityError } from "../../protocol/index.ts";
import type { RedisConnection } from "../redis/index.ts";
import { forEachAtMost } from "./at-most.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { readKnownName, readTime, registrationArgs } from "./redis-records.ts";
import { LOCATE, REGISTER, REMOVE, RENEW, REVIVE, SWEEP } from "./redis-scripts.ts";
import type { Holding, RegisterResult, Registration, RegistryRecord, RemoveReason } from "./registry.ts";

export interface RedisStepsOptions {
  readonly connection: RedisConnection;
  readonly keys: RedisKeys;
  readonly leaseMs: number;
  readonly graceMs: number;
  /** The time to be taken for Redis's own; empty: its own. */
  readonly now: () => string;
}

/** What Redis says of a name. */
export interface Sight {
  readonly hostname: string;
  /** Redis's time. */
  readonly now: number;
  /** Null: nobody has it, or its client has left. */
  readonly record: RegistryRecord | null;
}

/** A name that is registered. */
export interface Registered {
  readonly status: "registered";
  readonly now: number;
  readonly record: RegistryRecord;
  readonly replaced: RegistryRecord | null;
}

/** A name that its client has given up. */
export interface Grace {
  /** As it was while it was held. */
  readonly record: RegistryRecord;
  /** Whether the client said goodbye: then there is no route. */
  readonly hasLeft: boolean;
  /** How long it is its owner's from now on. */
  readonly graceMs: number;
}

/** `absent`: Redis knows nothing of the name, and nothing was done. */
export type Claim = Registered | Extract<RegisterResult, { status: "taken" }> | { readonly status: "absent" };

export interface ClaimOptions {
  readonly tcpPort: number | null;
  /** The epoch will be higher, unless the client keeps its own. */
  readonly floor: number;
  /** Whether a name may be registered of which Redis knows nothing. */
  readonly mayBeNew: boolean;
}

/** `up`: as it was. `back`: it had been away. `lost`: somebody else's, or given up. `absent`: Redis has lost it. */
export type Renewal = "up" | "back" | "lost" | "absent";

/** Batches that are looked at at once. */
const MAX_BATCHES = 100;

const RENEWALS: readonly Renewal[] = ["up", "back", "lost", "absent"];

export class RedisSteps {
  readonly #options: RedisStepsOptions;

  constructor(options: RedisStepsOptions) {
    this.#options = options;
  }

  async claim(registration: Registration, { tcpPort, floor, mayBeNew }: ClaimOptions): Promise<Claim> {
    const { connection, keys, leaseMs, graceMs, now } = this.#options;
    const { hostname } = registration;
    const gone = registration.goneOwnerId ?? "";
    const common = [now(), leaseMs, graceMs, floor, mayBeNew ? "new" : ""];
    const args = [...common, ...registrationArgs(registration, tcpPort), gone];
    const [status, first, second, third] = listOf(await connection.run(REGISTER, keys.forStep([hostname]), args));
    if (status === "absent") return { status };
    if (status === "taken") {
      const graceOf = typeof third === "string" && third !== "" ? third : null;
      return { status, ownerName: String(first), since: readTime(second), graceOf };
    }
    const replaced = third === undefined ? null : readKnownName(hostname, third, readTime(first))?.record;
    return { ...this.#registered(hostname, first, second), replaced: replaced ?? null };
  }

  /** Puts `record` back at its epoch. Null: there is a newer one. */
  async revive(record: RegistryRecord): Promise<Registered | null> {
    const { connection, keys, leaseMs, graceMs, now } = this.#options;
    const { hostname, epoch, since, tcpPort = null } = record;
    const args = [now(), leaseMs, graceMs, epoch, since, ...registrationArgs(record, tcpPort), "up"];
    const [status, at, known] = listOf(await connection.run(REVIVE, keys.forStep([hostname]), args));
    return status === "registered" ? this.#registered(hostname, at, known) : null;
  }

  /** Puts back whose `record` was: its client has given it up, and it is its owner's for `graceMs` more. */
  async reviveGrace({ record, hasLeft, graceMs }: Grace): Promise<void> {
    const { connection, keys, now } = this.#options;
    const { hostname, epoch, since, tcpPort = null } = record;
    const state = hasLeft ? "left" : "away";
    const args = [now(), 0, graceMs, epoch, since, ...registrationArgs(record, tcpPort), state];
    await connection.run(REVIVE, keys.forStep([hostname]), args);
  }

  /** @param held Of one batch of `RedisKeys`. Answers Redis's time, and a word for each. */
  async renew(held: readonly Holding[]): Promise<{ readonly now: number; readonly words: readonly Renewal[] }> {
    const { connection, keys, leaseMs, graceMs, now } = this.#options;
    const args = held.flatMap(({ clientId, epoch }) => [clientId, epoch]);
    const names = keys.forStep(held.map(({ hostname }) => hostname));
    const [at, ...words] = listOf(await connection.run(RENEW, names, [now(), leaseMs, graceMs, ...args]));
    return { now: readTime(at), words: words.map((word) => RENEWALS.find((known) => known === word) ?? "lost") };
  }

  /** In the order of `hostnames`. */
  async look(hostnames: readonly string[]): Promise<readonly Sight[]> {
    const { connection, keys, now } = this.#options;
    const sights = new Map<string, Sight>();
    const batches = keys.batches(hostnames.map((hostname) => ({ hostname })));
    await forEachAtMost(MAX_BATCHES, batches, async (batch) => {
      const names = keys.forStep(batch.map(({ hostname }) => hostname));
      const [at, ...replies] = listOf(await connection.run(LOCATE, names, [now()]));
      const time = readTime(at);
      for (const [index, { hostname }] of batch.entries()) {
        const record = readKnownName(hostname, replies[index], time)?.record ?? null;
        sights.set(hostname, { hostname, now: time, record });
      }
    });
    return hostnames.flatMap((hostname) => sights.get(hostname) ?? []);
  }

  /**
   * @param reason Or `undo`: from now on the name is nobody's.
   * @returns What changed; `none` if `holding` does not hold it, `same` if there was nothing to change.
   */
  async remove(
    { hostname, clientId, epoch }: Holding,
    reason: RemoveReason | "undo",
  ): Promise<Sight | "none" | "same"> {
    const { connection, keys, graceMs, now } = this.#options;
    const args = [now(), graceMs, clientId, epoch, reason];
    const [status, at, known] = listOf(await connection.run(REMOVE, keys.forStep([hostname]), args));
    if (status !== "changed") return status === "same" ? "same" : "none";
    const time = readTime(at);
    return { hostname, now: time, record: readKnownName(hostname, known, time)?.record ?? null };
  }

  /** Takes away the leases of names that nobody renewed until they were free. */
  async sweep(): Promise<void> {
    const { connection, keys, now } = this.#options;
    await Promise.all(keys.allLeases().map((key) => connection.run(SWEEP, [key], [now()])));
  }

  #registered(hostname: string, at: unknown, reply: unknown): Registered {
    const now = readTime(at);
    const record = readKnownName(hostname, reply, now)?.record;
    if (record !== undefined && record !== null) return { status: "registered", now, record, replaced: null };
    throw new DuplexityError("DPX_STORE", `Cannot register "${hostname}": Redis answers with no record`);
  }
}

function listOf(reply: unknown): readonly unknown[] {
  return Array.isArray(reply) ? reply : [];
}
