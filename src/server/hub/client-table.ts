// All clients of this hub, by their clientId and by their owner, and for a while the ones that may not come back by
// themselves. All bounded.

import { DuplexityError, type ForceDisconnectRequest } from "../../protocol/index.ts";
import { type Identity, isSameProver } from "../identity/index.ts";
import { ClientRecord, type NameTally } from "./client-record.ts";
import { MoveTurns } from "./move-turns.ts";

/** Clients that were told to go: a frozen one that wakes up later must not fight for its name. */
const MAX_BANISHED = 10_000;
const BANISHED_MS = 3_600_000;
/** When a full server may have room again. */
const FULL_RETRY_MS = 30_000;

interface Banished {
  readonly farewell: ForceDisconnectRequest;
  readonly ends: number;
}

export interface ClientTableOptions {
  readonly maxClients: number;
  /** Of one owner. */
  readonly maxClientsPerOwner: number;
  /** Unix time in ms. */
  readonly now: () => number;
}

interface Owner {
  readonly clients: Set<ClientRecord>;
  readonly tally: NameTally;
}

const NONE: ReadonlySet<ClientRecord> = new Set();

export class ClientTable {
  readonly #options: ClientTableOptions;
  readonly #clients = new Map<string, ClientRecord>();
  readonly #owners = new Map<string, Owner>();
  /** What clients that have ended still have to give back, by clientId: who comes next under it waits. */
  readonly #endings = new Map<string, Promise<void>>();
  readonly #banished = new Map<string, Banished>();
  readonly #moves = new MoveTurns();

  constructor(options: ClientTableOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#clients.size;
  }

  get(clientId: string): ClientRecord | null {
    return this.#clients.get(clientId) ?? null;
  }

  all(): ClientRecord[] {
    return [...this.#clients.values()];
  }

  /** The clients of one owner. */
  ofOwner(ownerId: string): ReadonlySet<ClientRecord> {
    return this.#owners.get(ownerId)?.clients ?? NONE;
  }

  /** So many names at most the clients of one owner hold, held and ask for: one that two of them do counts twice. */
  namesBound(ownerId: string): number {
    return this.#owners.get(ownerId)?.tally.count ?? 0;
  }

  /**
   * The client's record; a new one if there is none.
   *
   * @throws {DuplexityError} `DPX_CLIENT_ID` if another owner's client has this id, `DPX_CLIENTS_LIMIT` when it is full,
   * `DPX_OWNER_LIMIT` when the owner has as many as one may have.
   */
  admit(clientId: string, identity: Identity): ClientRecord {
    const known = this.#clients.get(clientId);
    if (known !== undefined) {
      if (isSameProver(known.identity, identity)) return known;
      throw new DuplexityError("DPX_CLIENT_ID", `Cannot take the clientId "${clientId}": it is somebody else's`);
    }
    const { maxClients } = this.#options;
    if (this.#clients.size >= maxClients) {
      throw new DuplexityError("DPX_CLIENTS_LIMIT", `Cannot take another client: this server has ${maxClients}`, {
        ...{ hint: "Try again when others have left.", retryAfterMs: FULL_RETRY_MS },
      });
    }
    this.#checkOwner(identity);
    const owner = this.#owners.get(identity.ownerId) ?? { clients: new Set(), tally: { count: 0 } };
    const client = new ClientRecord(clientId, identity, this.#options.now(), owner.tally, this.#endings.get(clientId));
    this.#clients.set(clientId, client);
    owner.clients.add(client);
    this.#owners.set(identity.ownerId, owner);
    return client;
  }

  /**
   * How long after this hub is gone the client is to come to another one, in ms: the same as long as it is here.
   *
   * @param others Hubs that there are besides.
   */
  moveDelayMs(client: ClientRecord, others: number): number {
    client.moveTurn ??= this.#moves.take(others);
    return this.#moves.delayOf(client.moveTurn);
  }

  /** Takes it out because of `why`. Answers false if it was not in the table (any more). */
  delete(client: ClientRecord, why: DuplexityError): boolean {
    client.ended ??= why;
    if (this.#clients.get(client.clientId) !== client) return false;
    this.#clients.delete(client.clientId);
    if (client.moveTurn !== null) this.#moves.give(client.moveTurn);
    client.moveTurn = null;
    const { ownerId } = client.identity;
    const owner = this.#owners.get(ownerId);
    owner?.clients.delete(client);
    client.leaveTally();
    if (owner?.clients.size === 0) this.#owners.delete(ownerId);
    return true;
  }

  /** Resolves when those who have ended so far have given everything back. */
  async settled(): Promise<void> {
    await Promise.all(this.#endings.values());
  }

  /** Until `ending` is over, whoever comes under this clientId registers nothing. */
  waitFor(clientId: string, ending: Promise<void>): void {
    this.#endings.set(clientId, ending);
    const forget = (): void => {
      if (this.#endings.get(clientId) === ending) this.#endings.delete(clientId);
    };
    ending.then(forget, forget);
  }

  /** From now on the client is sent away with the same words when it comes back. */
  banish(clientId: string, farewell: ForceDisconnectRequest): void {
    this.#banished.delete(clientId);
    this.#banished.set(clientId, { farewell, ends: this.#options.now() + BANISHED_MS });
    for (const oldest of this.#banished.keys()) {
      if (this.#banished.size <= MAX_BANISHED) break;
      this.#banished.delete(oldest);
    }
  }

  farewellFor(clientId: string): ForceDisconnectRequest | null {
    const banished = this.#banished.get(clientId);
    if (banished === undefined) return null;
    if (banished.ends > this.#options.now()) return banished.farewell;
    this.#banished.delete(clientId);
    return null;
  }

  /** One that vanished without a word does not count: it may have been started anew, under another clientId. */
  #checkOwner({ ownerId, ownerName }: Identity): void {
    const { maxClientsPerOwner } = this.#options;
    const clients = this.ofOwner(ownerId);
    // Whoever has few is not looked at one by one: a thousand clients of one owner may come back at once.
    if (clients.size < maxClientsPerOwner) return;
    let present = 0;
    for (const client of clients) if (client.isPresent) present += 1;
    if (present < maxClientsPerOwner) return;
    throw new DuplexityError("DPX_OWNER_LIMIT", `Cannot take another client of ${ownerName}: there are ${present}`, {
      hint: "End one of them, or have serve started with a higher --max-clients-per-owner.",
    });
  }
}
