// All clients of this hub by their clientId, and for a while the ones that may
// not come back by themselves. Both bounded.

import { DuplexityError, type ForceDisconnectRequest } from "../../protocol/index.ts";
import type { Identity } from "../identity/index.ts";
import { ClientRecord } from "./client-record.ts";

/** Clients that were told to go: a frozen one that wakes up later must not fight for its name. */
const MAX_BANISHED = 10_000;
const BANISHED_MS = 3_600_000;

interface Banished {
  readonly farewell: ForceDisconnectRequest;
  readonly ends: number;
}

export class ClientTable {
  readonly #maxClients: number;
  readonly #now: () => number;
  readonly #clients = new Map<string, ClientRecord>();
  readonly #banished = new Map<string, Banished>();

  /** @param now Unix time in ms. */
  constructor(maxClients: number, now: () => number) {
    this.#maxClients = maxClients;
    this.#now = now;
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

  /**
   * The client's record; a new one if there is none.
   *
   * @throws {DuplexityError} `DPX_CLIENT_ID` if another owner's client has this id, `DPX_CLIENTS_LIMIT` when it is full.
   */
  admit(clientId: string, identity: Identity): ClientRecord {
    const known = this.#clients.get(clientId);
    if (known !== undefined) {
      if (known.identity.ownerId === identity.ownerId) return known;
      throw new DuplexityError("DPX_CLIENT_ID", `Cannot take the clientId "${clientId}": it is somebody else's`);
    }
    if (this.#clients.size >= this.#maxClients) {
      throw new DuplexityError("DPX_CLIENTS_LIMIT", `Cannot take another client: this server has ${this.#maxClients}`, {
        hint: "Try again when others have left.",
      });
    }
    const client = new ClientRecord(clientId, identity, this.#now());
    this.#clients.set(clientId, client);
    return client;
  }

  /** Answers false if it was not in the table (any more). */
  delete(client: ClientRecord): boolean {
    client.hasEnded = true;
    return this.#clients.get(client.clientId) === client && this.#clients.delete(client.clientId);
  }

  /** From now on the client is sent away with the same words when it comes back. */
  banish(clientId: string, farewell: ForceDisconnectRequest): void {
    this.#banished.delete(clientId);
    this.#banished.set(clientId, { farewell, ends: this.#now() + BANISHED_MS });
    for (const oldest of this.#banished.keys()) {
      if (this.#banished.size <= MAX_BANISHED) break;
      this.#banished.delete(oldest);
    }
  }

  farewellFor(clientId: string): ForceDisconnectRequest | null {
    const banished = this.#banished.get(clientId);
    if (banished === undefined) return null;
    if (banished.ends > this.#now()) return banished.farewell;
    this.#banished.delete(clientId);
    return null;
  }
}
