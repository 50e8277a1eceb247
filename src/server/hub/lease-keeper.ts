// Looks at this hub's clients from time to time: ends those that may not stay, renews the leases of the others, also for a hub
// that is gone while a second link here serves its client's visitors, and finds those that lost their name.

import { setImmediate as nextTurn } from "node:timers/promises";
import { asDuplexityError } from "../../protocol/index.ts";
import type { Holding, Registry, RegistryRecord } from "../backend/registry.ts";
import type { ClientRecord, HeldPipe } from "./client-record.ts";

export interface LeaseKeeperOptions {
  readonly registry: Registry;
  readonly everyMs: number;
  clients(): readonly ClientRecord[];
  /** Ends the client if it may not stay. */
  judge(client: ClientRecord): void;
  /** Tells which other nodes are gone. */
  goneNodes(): (nodeId: string) => boolean;
  /** The registry has given `hostname` of `client` away, or nobody holds it (null). Ends the client: it is told once. */
  onGone(client: ClientRecord, hostname: string, current: RegistryRecord | null): void;
  log(level: "warn", message: string): void;
}

/** Clients that are looked at in one turn of the event loop: visitors come between them. */
const MAX_IN_TURN = 250;
/** Of the time from one round to the next, over which the registry may spread a round. */
const SPREAD = 0.2;

export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  readonly #timer: NodeJS.Timeout;
  #isBusy = false;
  #isClosed = false;

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
    this.#timer = setInterval(() => void this.renewAll(), options.everyMs);
    this.#timer.unref();
  }

  close(): void {
    this.#isClosed = true;
    clearInterval(this.#timer);
  }

  /** One round. Never rejects: a registry that cannot be reached now is asked again in the next one. */
  async renewAll(): Promise<void> {
    // First, and in every round: whatever message was lost and however slow the registry is.
    for (const some of inTurns(this.#options.clients())) {
      for (const client of some) this.#options.judge(client);
      if (some.length === MAX_IN_TURN) await nextTurn();
    }
    if (this.#isBusy || this.#isClosed) return;
    this.#isBusy = true;
    await this.look(this.#options.clients(), SPREAD * this.#options.everyMs);
    this.#isBusy = false;
  }

  /**
   * The same for some clients, whatever the round does. Never rejects either.
   *
   * @param spreadMs As for `Registry.renewAll`.
   */
  async look(clients: readonly ClientRecord[], spreadMs = 0): Promise<void> {
    try {
      await this.#renew(clients, spreadMs);
    } catch (error) {
      this.#options.log("warn", `Leases were not renewed: ${asDuplexityError(error).message}`);
    }
  }

  /** All of them in one call: over a network, one for each of a thousand idle clients is what a node would do all day. */
  async #renew(clients: readonly ClientRecord[], spreadMs: number): Promise<void> {
    const isGone = this.#options.goneNodes();
    const leases: Lease[] = [];
    const orphans: Orphan[] = [];
    for (const some of inTurns(clients)) {
      for (const client of some) {
        if (client.ended === null) leases.push(...leasesOf(client));
        orphans.push(...orphansOf(client, isGone));
      }
      if (some.length === MAX_IN_TURN) await nextTurn();
    }
    // What keeps the one from being renewed keeps not the other.
    const done = await Promise.allSettled([this.#renewOwn(leases, spreadMs), this.#renewOrphans(orphans, spreadMs)]);
    for (const result of done) if (result.status === "rejected") throw result.reason;
  }

  async #renewOwn(leases: readonly Lease[], spreadMs: number): Promise<void> {
    if (leases.length === 0) return;
    const { registry, onGone } = this.#options;
    for (const lease of await registry.renewAll(leases, spreadMs)) {
      if (!isHeld(lease)) continue;
      const current = await registry.locate(lease.hostname);
      if (this.#isClosed) return;
      if (isHeld(lease)) onGone(lease.client, lease.hostname, current);
    }
  }

  async #renewOrphans(orphans: readonly Orphan[], spreadMs: number): Promise<void> {
    if (orphans.length === 0) return;
    const { registry, onGone } = this.#options;
    for (const orphan of await registry.renewAll(orphans, spreadMs)) {
      const { client, hostname } = orphan;
      // It may have closed the pipe meanwhile, and another client of its owner have opened it.
      if (!client.isServed(orphan)) continue;
      const current = await registry.locate(hostname);
      if (this.#isClosed) return;
      if (!client.isServed(orphan)) continue;
      const isSister = current?.ownerId === client.identity.ownerId && current.clientId !== client.clientId;
      // Its hub cannot end it any more, and it would take the name back.
      if (isSister) onGone(client, hostname, current);
      else client.heard(hostname, current);
    }
  }
}

function inTurns(clients: readonly ClientRecord[]): readonly (readonly ClientRecord[])[] {
  return Array.from({ length: Math.ceil(clients.length / MAX_IN_TURN) }, (_, at) =>
    clients.slice(at * MAX_IN_TURN, (at + 1) * MAX_IN_TURN),
  );
}

/** What a client holds at a hub that is gone. */
interface Orphan extends Holding {
  readonly client: ClientRecord;
}

/** What a client held when the round began. */
interface Lease extends Holding {
  readonly client: ClientRecord;
  readonly held: readonly HeldPipe[];
}

/** Without a link it serves nobody, and who has left wants none of them. */
function orphansOf(client: ClientRecord, isGone: (nodeId: string) => boolean): readonly Orphan[] {
  if (client.link === null || client.isLeaving || client.ended !== null) return [];
  return client.orphans(isGone).map(({ hostname, clientId, epoch }) => ({ hostname, clientId, epoch, client }));
}

function leasesOf(client: ClientRecord): Lease[] {
  const { clientId, held } = client;
  return held.map(({ hostname, epoch }) => ({ hostname, clientId, epoch, client, held }));
}

/** False once a dialer that registered anew has made it right, and once the client has ended over another of its names. */
function isHeld({ client, held }: Lease): boolean {
  return client.ended === null && client.held === held;
}
