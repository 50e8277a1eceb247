// What this node's watchers were last told of a name, and when to look again: at the end of the lease or grace of a name
// that was registered here. Asks no registry.

import type { Clock } from "../clock.ts";
import type { RegistryRecord } from "./registry.ts";

export interface FollowedNamesOptions {
  readonly clock: Clock;
  /** The lease or grace of these names ends now, as far as is known here. */
  readonly onDue: (hostnames: readonly string[]) => void;
}

/** Names registered here. Beyond, the one that was touched longest ago is followed no more. */
const MAX_OWN = 100_000;
/** Names that were only looked up here. */
const MAX_SEEN = 10_000;
/** Names that are due are told in groups. */
const MAX_DUE = 10_000;
/** When there is no news of a name that is due, it is told again after so long. */
const RETRY_MS = 2_000;

interface Own {
  readonly record: RegistryRecord;
  /** By this node's clock. */
  readonly dueAt: number;
}

export class FollowedNames {
  readonly #options: FollowedNamesOptions;
  readonly #own = new Map<string, Own>();
  // In the order in which they are due: leases last equally long, graces too, and each is put at the end when it begins.
  readonly #leases = new Set<string>();
  readonly #graces = new Set<string>();
  /** Due, and told; if there is no news of them, they are told again. */
  readonly #told = new Set<string>();
  readonly #seen = new Map<string, RegistryRecord>();
  #cancel: (() => void) | null = null;
  #alarmAt = Number.POSITIVE_INFINITY;

  constructor(options: FollowedNamesOptions) {
    this.#options = options;
  }

  get(hostname: string): RegistryRecord | null {
    return this.#own.get(hostname)?.record ?? this.#seen.get(hostname) ?? null;
  }

  getOwn(hostname: string): RegistryRecord | null {
    return this.#own.get(hostname)?.record ?? null;
  }

  own(): readonly RegistryRecord[] {
    return [...this.#own.values()].map(({ record }) => record);
  }

  hostnames(): readonly string[] {
    return [...this.#own.keys(), ...this.#seen.keys()];
  }

  /** @param inMs How long its lease or grace still lasts, by the registry's clock. */
  putOwn(record: RegistryRecord, inMs: number): void {
    this.#put(record, inMs, record.state === "up" ? this.#leases : this.#graces);
    if (this.#own.size > MAX_OWN) this.#drop(this.#own);
    this.#arm();
  }

  putSeen(record: RegistryRecord): void {
    this.delete(record.hostname);
    this.#seen.set(record.hostname, record);
    if (this.#seen.size > MAX_SEEN) this.#drop(this.#seen);
  }

  delete(hostname: string): void {
    this.#own.delete(hostname);
    this.#leases.delete(hostname);
    this.#graces.delete(hostname);
    this.#told.delete(hostname);
    this.#seen.delete(hostname);
  }

  clear(): void {
    this.#cancel?.();
    this.#cancel = null;
    this.#alarmAt = Number.POSITIVE_INFINITY;
    for (const names of [this.#own, this.#leases, this.#graces, this.#told, this.#seen]) names.clear();
  }

  #put(record: RegistryRecord, inMs: number, order: Set<string>): void {
    this.delete(record.hostname);
    this.#own.set(record.hostname, { record, dueAt: this.#options.clock.now() + inMs });
    order.add(record.hostname);
  }

  #drop(names: ReadonlyMap<string, unknown>): void {
    const [oldest] = names.keys();
    if (oldest !== undefined) this.delete(oldest);
  }

  /** One alarm for all; one that rings too early only looks again. */
  #arm(): void {
    const at = Math.min(...[this.#leases, this.#graces, this.#told].map((names) => this.#firstDue(names)));
    if (at >= this.#alarmAt) return;
    const { clock } = this.#options;
    this.#cancel?.();
    this.#alarmAt = at;
    this.#cancel = clock.after(Math.max(1, at - clock.now()), () => {
      this.#cancel = null;
      this.#alarmAt = Number.POSITIVE_INFINITY;
      this.#ring();
      this.#arm();
    });
  }

  #ring(): void {
    const now = this.#options.clock.now();
    const due: Own[] = [];
    for (const names of [this.#leases, this.#graces, this.#told]) {
      for (const hostname of names) {
        const own = this.#own.get(hostname);
        if (own === undefined || own.dueAt > now || due.length >= MAX_DUE) break;
        due.push(own);
      }
    }
    for (const { record } of due) this.#put(record, RETRY_MS, this.#told);
    if (due.length > 0) this.#options.onDue(due.map(({ record }) => record.hostname));
  }

  #firstDue(hostnames: ReadonlySet<string>): number {
    for (const hostname of hostnames) return this.#own.get(hostname)?.dueAt ?? Number.POSITIVE_INFINITY;
    return Number.POSITIVE_INFINITY;
  }
}
