// Finds the clients that somebody means and ends them for good, with who did it and why. Bans nobody: that is done before.

import {
  canonicalHostname,
  DuplexityError,
  disconnectError,
  FOREVER,
  type ForceDisconnectRequest,
} from "../../protocol/index.ts";
import type { Ban } from "../accounts/index.ts";
import type { RegistryRecord } from "../backend/registry.ts";
import type { ClientRecord } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import type { Lives } from "./lives.ts";

export interface KicksOptions {
  readonly clients: ClientTable;
  readonly lives: Lives;
  readonly nodeId: string;
  readonly domain: string;
  readonly log: (level: "info", message: string) => void;
}

/** A client as it was when it was ended. */
export interface KickedClient {
  readonly clientId: string;
  /** The owner, as others may read it. */
  readonly user: string;
  /** The node that had it. */
  readonly hub: string;
  /** Hostnames. */
  readonly pipes: readonly string[];
}

/** What was meant by a word, and the clients that are. `kind` is null when there are none. */
export interface Found {
  readonly kind: "client" | "hostname" | "user" | null;
  readonly clients: readonly KickedClient[];
}

export interface Kick {
  /** A clientId, a hostname or its label, a user's name (also `user:ben`, where it could be a label). */
  readonly who: string;
  /** Who does it, as it may be told. */
  readonly by: string;
  readonly reason: string;
  /** Until when it is banned as well, which the caller has seen to: Unix time in ms, or for ever; null: it is not. */
  readonly until: number | "forever" | null;
}

/** Clients that were ended elsewhere. */
export interface Banishment extends Omit<Kick, "who"> {
  readonly clients: readonly Pick<KickedClient, "clientId" | "user">[];
}

/** What a record of the registry says of a name's holder. */
export type NameHolder = Pick<RegistryRecord, "clientId" | "hostname" | "ownerName">;

/** Says that only a user is meant. */
const USER_PREFIX = "user:";

export class Kicks {
  readonly #options: KicksOptions;

  constructor(options: KicksOptions) {
    this.#options = options;
  }

  /** @throws {DuplexityError} `DPX_USAGE` if a user and a pipe of another are called so. */
  find(who: string): Found {
    const { kind, clients } = this.#match(who);
    return { kind, clients: clients.map((client) => this.#row(client)) };
  }

  /** Whether `who` means the client that has registered a name, at whichever hub. */
  means(who: string, { clientId, hostname, ownerName }: NameHolder): boolean {
    if (who === clientId) return true;
    if (who.startsWith(USER_PREFIX)) return isUsers(ownerName, who.slice(USER_PREFIX.length));
    return isUsers(ownerName, who) || hostname === this.#hostnameOf(who);
  }

  /** What `find` throws: the user and the pipe may also be at two hubs. */
  ambiguous(who: string): DuplexityError {
    return new DuplexityError("DPX_USAGE", `Cannot tell who "${who}" is: a user and a pipe of another are called so`, {
      hint: `Write ${this.#hostnameOf(who)} for the pipe, ${USER_PREFIX}${who} for the user.`,
    });
  }

  /** Every client, as `find` shows them. */
  all(): readonly KickedClient[] {
    return this.#options.clients.all().map((client) => this.#row(client));
  }

  /**
   * Ends those who are meant. Resolves when none of them has a session or a name any more, and none can come back under
   * its clientId; a socket that its client does not read is destroyed a moment later.
   *
   * @throws {DuplexityError} `DPX_USAGE` as `find` does.
   */
  kick(kick: Kick): Promise<readonly KickedClient[]> {
    return this.#end(this.#match(kick.who).clients, kick);
  }

  /** Ends those who are banned by it. */
  enforce(ban: Ban): Promise<readonly KickedClient[]> {
    const { by, reason, until } = ban;
    return this.#end(this.#matchBan(ban), { by, reason, until: until ?? "forever" });
  }

  /** Ends those of `clients` that are here and keeps all of them out, as they were at the hubs that had them. */
  async banish({ clients, ...why }: Banishment): Promise<void> {
    const table = this.#options.clients;
    const here: ClientRecord[] = [];
    for (const { clientId, user } of clients) {
      const client = table.get(clientId);
      // Somebody else's may have the same id at this hub.
      if (client !== null && client.identity.ownerName !== user) continue;
      if (client === null) table.banish(clientId, farewellOf(why));
      else here.push(client);
    }
    await this.#end(here, why);
  }

  async #end(clients: readonly ClientRecord[], why: Omit<Kick, "who">): Promise<readonly KickedClient[]> {
    const farewell = farewellOf(why);
    const error = disconnectError(farewell);
    const rows = clients.map((client) => this.#row(client));
    // All of them in this turn: none may see the others go and come back before it is its own turn.
    for (const client of clients) void this.#options.lives.end(client, error, farewell);
    for (const { clientId, user } of rows)
      this.#options.log("info", `${clientId} of ${user} is ended: ${error.message}`);
    // Also of those who were ended a moment before, by the ban itself or by another one: their names go as well.
    await this.#options.clients.settled();
    return rows;
  }

  #match(who: string): { readonly kind: Found["kind"]; readonly clients: readonly ClientRecord[] } {
    const { clients } = this.#options;
    const named = clients.get(who);
    if (named !== null) return { kind: "client", clients: [named] };
    const isUserOnly = who.startsWith(USER_PREFIX);
    const user = isUserOnly ? who.slice(USER_PREFIX.length) : who;
    const ofUser = clients.all().filter(({ identity }) => isUsers(identity.ownerName, user));
    const hostname = isUserOnly ? "" : this.#hostnameOf(who);
    const ofHostname = clients.all().filter((client) => client.hostnames.includes(hostname));
    if (ofHostname.length > 0 && ofUser.length > 0 && !isSameSet(ofHostname, ofUser)) {
      throw this.ambiguous(who);
    }
    if (ofUser.length > 0) return { kind: "user", clients: ofUser };
    return ofHostname.length > 0 ? { kind: "hostname", clients: ofHostname } : { kind: null, clients: [] };
  }

  #matchBan({ subject }: Ban): readonly ClientRecord[] {
    const { clients } = this.#options;
    switch (subject.kind) {
      case "client": {
        const client = clients.get(subject.clientId);
        return client === null ? [] : [client];
      }
      case "hostname":
        return clients.all().filter((client) => client.hostnames.includes(subject.hostname));
      case "user":
        return [...clients.ofOwner(`user:${subject.userId}`)];
    }
  }

  #hostnameOf(who: string): string {
    const canonical = canonicalHostname(who);
    return canonical.includes(".") ? canonical : `${canonical}.${this.#options.domain}`;
  }

  #row({ clientId, identity, hostnames }: ClientRecord): KickedClient {
    return { clientId, user: identity.ownerName, hub: this.#options.nodeId, pipes: hostnames };
  }
}

/** `ben` has the clients of `ben@ci` as well; `ben@ci` only that token's. */
function isUsers(ownerName: string, user: string): boolean {
  return ownerName === user || ownerName === user.toLowerCase() || ownerName.startsWith(`${user.toLowerCase()}@`);
}

function isSameSet(some: readonly ClientRecord[], others: readonly ClientRecord[]): boolean {
  return some.length === others.length && some.every((client) => others.includes(client));
}

function farewellOf({ by, reason, until }: Omit<Kick, "who">): ForceDisconnectRequest {
  return { type: "forceDisconnectRequest", code: "DPX_KICKED", by, reason, until: untilOf(until) };
}

function untilOf(until: Kick["until"]): string | null {
  if (until === "forever") return FOREVER;
  return until === null ? null : new Date(until).toISOString();
}
