// Looks at this hub's clients from time to time: ends those that may not stay, renews the leases of the others, and finds
// those that lost their name.

import { asDuplexityError } from "../../protocol/index.ts";
import type { Registry, RegistryRecord } from "../backend/registry.ts";
import type { ClientRecord } from "./client-record.ts";

export interface LeaseKeeperOptions {
  readonly registry: Registry;
  readonly everyMs: number;
  clients(): readonly ClientRecord[];
  /** Ends the client if it may not stay. */
  judge(client: ClientRecord): void;
  /** The registry has given `hostname` of `client` away, or nobody holds it (null). At most once a round and client. */
  onGone(client: ClientRecord, hostname: string, current: RegistryRecord | null): void;
  log(level: "warn", message: string): void;
}

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
    for (const client of this.#options.clients()) this.#options.judge(client);
    if (this.#isBusy) return;
    this.#isBusy = true;
    try {
      for (const client of this.#options.clients()) {
        if (this.#isClosed) return;
        if (client.ended === null && client.held.length > 0) await this.#renew(client);
      }
    } catch (error) {
      this.#options.log("warn", `Leases were not renewed: ${asDuplexityError(error).message}`);
    } finally {
      this.#isBusy = false;
    }
  }

  async #renew(client: ClientRecord): Promise<void> {
    const { registry } = this.#options;
    const { held } = client;
    const gone = await registry.renew(client.clientId, held);
    for (const hostname of gone) {
      const current = await registry.locate(hostname);
      // A dialer that registered anew meanwhile has made it right.
      if (client.ended !== null || client.held !== held || this.#isClosed) return;
      this.#options.onGone(client, hostname, current);
      return;
    }
  }
}
