// The registry of a single node: all records in this process, gone with it.
// Every method does its work in one turn, which is what makes it atomic.

import { DuplexityError } from "../../protocol/index.ts";
import type { Clock } from "../clock.ts";
import { systemClock } from "../clock.ts";
import type { Holding, RegisterResult, Registration, Registry, RegistryRecord, RemoveReason } from "./registry.ts";
import type { PortRange } from "./tcp-port-pool.ts";
import { TcpPortPool } from "./tcp-port-pool.ts";

export interface MemoryRegistryOptions {
  /** How long a registration holds without being renewed. @default 30_000 */
  readonly leaseMs?: number;
  /** How long a name stays its owner's after its client went. @default 86_400_000 */
  readonly graceMs?: number;
  /** Names held or in grace. At the limit the name that has been in grace for longest is forgotten. @default 100_000 */
  readonly maxRecords?: number;
  /** Null: no TCP pipes. @default null */
  readonly tcpPorts?: PortRange | null;
  /** @default systemClock */
  readonly clock?: Clock;
}

type Listener = (hostname: string, record: RegistryRecord | null) => void;

/** `hasLeft`: the client said goodbye, so there is no route, but the name is still its owner's. */
interface Entry {
  readonly record: RegistryRecord;
  readonly hasLeft: boolean;
}

export class MemoryRegistry implements Registry {
  readonly #leaseMs: number;
  readonly #graceMs: number;
  readonly #maxRecords: number;
  readonly #clock: Clock;
  readonly #ports: TcpPortPool;
  readonly #entries = new Map<string, Entry>();
  // Hostnames in the order in which their lease or grace ends: both last equally long for all, so a name whose time
  // starts anew goes to the end. A sweep looks at no more than what has ended.
  readonly #leases = new Set<string>();
  readonly #graces = new Set<string>();
  readonly #listeners = new Set<Listener>();
  /** The highest epoch of any name that was forgotten: no name starts below it. */
  #epochFloor = 0;
  #cancelSweep: (() => void) | null = null;
  #sweepAt = Number.POSITIVE_INFINITY;

  constructor(options: MemoryRegistryOptions = {}) {
    this.#leaseMs = options.leaseMs ?? 30_000;
    this.#graceMs = options.graceMs ?? 86_400_000;
    this.#maxRecords = options.maxRecords ?? 100_000;
    this.#clock = options.clock ?? systemClock;
    this.#ports = new TcpPortPool(options.tcpPorts ?? null);
  }

  /** Names that are held or in grace. */
  get size(): number {
    return this.#entries.size;
  }

  async register(registration: Registration): Promise<RegisterResult> {
    this.#sweep();
    const { hostname } = registration;
    const entry = this.#entries.get(hostname);
    const old = entry?.record;
    const isOwn = old?.ownerId === registration.ownerId;
    if (old !== undefined && !isOwn) {
      const { ownerName, since, ownerId, state } = old;
      const graceOf = state === "away" ? ownerId : null;
      if (graceOf === null || graceOf !== registration.goneOwnerId) {
        return { status: "taken", ownerName, since, graceOf };
      }
    }
    if (entry === undefined) this.#makeRoom();
    const isLive = isOwn && entry?.hasLeft === false;
    const isSameClient = isLive && old?.clientId === registration.clientId;
    // Another node counts as a change of hands: what the node before still wants to remove is not this registration.
    const keepsEpoch = isSameClient && old?.nodeId === registration.nodeId;
    const tcpPort = this.#portFor(registration, entry);
    const now = this.#clock.now();
    const record: RegistryRecord = {
      ...registrationOf(registration),
      ...(tcpPort === null ? {} : { tcpPort }),
      epoch: keepsEpoch && old !== undefined ? old.epoch : (old?.epoch ?? this.#epochFloor) + 1,
      state: "up",
      since: isSameClient && old !== undefined ? old.since : now,
      expires: now + this.#leaseMs,
    };
    this.#put({ record, hasLeft: false });
    this.#notify(hostname, record);
    const isReplacing = old !== undefined && isLive && (!keepsEpoch || old.state === "away");
    return { status: "registered", record, replaced: isReplacing ? old : null };
  }

  async renewAll<T extends Holding>(held: readonly T[]): Promise<readonly T[]> {
    this.#sweep();
    const lost: T[] = [];
    for (const holding of held) {
      const record = this.#held(holding.hostname, holding.clientId, holding.epoch);
      if (record === null) {
        lost.push(holding);
        continue;
      }
      // A lease that ran out while this process was asleep, and that nobody took: as if it had never run out.
      const renewed: RegistryRecord = { ...record, state: "up", expires: this.#clock.now() + this.#leaseMs };
      this.#put({ record: renewed, hasLeft: false });
      if (record.state !== "up") this.#notify(holding.hostname, renewed);
    }
    return lost;
  }

  async locate(hostname: string): Promise<RegistryRecord | null> {
    this.#sweep();
    const entry = this.#entries.get(hostname);
    return entry === undefined || entry.hasLeft ? null : entry.record;
  }

  async remove(hostname: string, clientId: string, epoch: number, reason: RemoveReason): Promise<boolean> {
    this.#sweep();
    const record = this.#held(hostname, clientId, epoch);
    if (record === null) return false;
    if (reason === "lost" && record.state === "away") return true;
    this.#giveUp(record, reason);
    return true;
  }

  async list(ownerId: string | null, limit: number): Promise<readonly RegistryRecord[]> {
    this.#sweep();
    const found: RegistryRecord[] = [];
    for (const { record, hasLeft } of this.#entries.values()) {
      if (found.length >= limit) break;
      if (!hasLeft && (ownerId === null || record.ownerId === ownerId)) found.push(record);
    }
    return found;
  }

  /** Those of all owners. */
  async countBound(_ownerId: string): Promise<number> {
    this.#sweep();
    return this.#leases.size;
  }

  watch(listener: Listener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async close(): Promise<void> {
    this.#cancelSweep?.();
    this.#cancelSweep = null;
    this.#sweepAt = Number.POSITIVE_INFINITY;
    this.#listeners.clear();
    this.#entries.clear();
    this.#leases.clear();
    this.#graces.clear();
  }

  #held(hostname: string, clientId: string, epoch: number): RegistryRecord | null {
    const entry = this.#entries.get(hostname);
    if (entry === undefined || entry.hasLeft) return null;
    return entry.record.clientId === clientId && entry.record.epoch === epoch ? entry.record : null;
  }

  #portFor(registration: Registration, entry: Entry | undefined): number | null {
    const held = entry?.hasLeft === false ? entry.record.tcpPort : undefined;
    if (registration.protocol === "http") {
      if (held !== undefined) this.#ports.release(held);
      return null;
    }
    const { hostname, avoidPorts = [] } = registration;
    if (held === undefined) return this.#ports.take(hostname, avoidPorts);
    if (!avoidPorts.includes(held)) return held;
    const other = this.#ports.take(hostname, avoidPorts);
    this.#ports.release(held);
    return other;
  }

  /** The route ends or goes away; from now on the grace runs. */
  #giveUp(record: RegistryRecord, reason: RemoveReason): void {
    const hasLeft = reason === "left";
    if (hasLeft && record.tcpPort !== undefined) this.#ports.release(record.tcpPort);
    const away: RegistryRecord = { ...record, state: "away", expires: this.#clock.now() + this.#graceMs };
    this.#put({ record: away, hasLeft });
    this.#notify(record.hostname, hasLeft ? null : away);
  }

  #forget(entry: Entry): void {
    const { hostname, epoch, tcpPort } = entry.record;
    this.#entries.delete(hostname);
    this.#leases.delete(hostname);
    this.#graces.delete(hostname);
    this.#epochFloor = Math.max(this.#epochFloor, epoch);
    if (entry.hasLeft) return;
    if (tcpPort !== undefined) this.#ports.release(tcpPort);
    this.#notify(hostname, null);
  }

  #put(entry: Entry): void {
    const { hostname, state } = entry.record;
    this.#entries.set(hostname, entry);
    this.#leases.delete(hostname);
    this.#graces.delete(hostname);
    (state === "up" ? this.#leases : this.#graces).add(hostname);
    this.#armSweep();
  }

  #makeRoom(): void {
    if (this.#entries.size < this.#maxRecords) return;
    const oldest = this.#first(this.#graces);
    if (oldest === null) {
      throw new DuplexityError("DPX_CLIENTS_LIMIT", `Cannot register: all ${this.#maxRecords} names are in use`, {
        hint: "Try again when other clients have left.",
      });
    }
    this.#forget(oldest);
  }

  #sweep(): void {
    const now = this.#clock.now();
    for (let entry = this.#first(this.#leases); entry !== null; entry = this.#first(this.#leases)) {
      if (entry.record.expires > now) break;
      this.#giveUp(entry.record, "lost");
    }
    for (let entry = this.#first(this.#graces); entry !== null; entry = this.#first(this.#graces)) {
      if (entry.record.expires > now) break;
      this.#forget(entry);
    }
  }

  /** One timer for all names, only while there are any; it rings when the first of them ends. */
  #armSweep(): void {
    const lease = this.#first(this.#leases)?.record.expires ?? Number.POSITIVE_INFINITY;
    const grace = this.#first(this.#graces)?.record.expires ?? Number.POSITIVE_INFINITY;
    const at = Math.min(lease, grace);
    // One that rings too early only looks again.
    if (at >= this.#sweepAt) return;
    this.#cancelSweep?.();
    this.#sweepAt = at;
    this.#cancelSweep = this.#clock.after(Math.max(1, at - this.#clock.now()), () => {
      this.#cancelSweep = null;
      this.#sweepAt = Number.POSITIVE_INFINITY;
      this.#sweep();
      this.#armSweep();
    });
  }

  #first(hostnames: ReadonlySet<string>): Entry | null {
    for (const hostname of hostnames) return this.#entries.get(hostname) ?? null;
    return null;
  }

  #notify(hostname: string, record: RegistryRecord | null): void {
    for (const listener of [...this.#listeners]) listener(hostname, record);
  }
}

/** Only the fields of a registration, whatever else the caller's object has. */
function registrationOf(registration: Registration): Registration {
  const { hostname, protocol, clientId, ownerId, ownerName, nodeId, wantsReports, gate } = registration;
  const fields = { hostname, protocol, clientId, ownerId, ownerName, nodeId, wantsReports };
  return gate === undefined ? fields : { ...fields, gate };
}
