// How clients and what they hold here come to an end, and what each end means for the others. Begins nothing.

import { DuplexityError, type ForceDisconnectRequest, type Session, type SessionLink } from "../../protocol/index.ts";
import type { Registry, RegistryRecord } from "../backend/registry.ts";
import type { ServeLimits } from "../index.ts";
import type { ClientRecord, HeldPipe } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import { FINAL_CODES } from "./final-codes.ts";
import type { Registrar } from "./registrar.ts";

export interface LivesOptions {
  readonly nodeId: string;
  readonly registry: Pick<Registry, "remove">;
  readonly registrar: Registrar;
  readonly clients: ClientTable;
  readonly limits: Pick<ServeLimits, "resumeWindowMs">;
  /** Tells which other nodes are gone. */
  readonly goneNodes: () => (nodeId: string) => boolean;
  /** Clients at other hubs have lost names for good, to one of their owner's that is registered here. */
  readonly onReplaced: (clientIds: readonly string[]) => void;
  /** A client's link is gone, and it may come back. */
  readonly onAway: (client: ClientRecord) => void;
  /** A client was ended: what of it is not a link yet has to go as well. */
  readonly onEnd: (client: ClientRecord, error: DuplexityError) => void;
  readonly log: (level: "debug" | "info" | "warn", message: string) => void;
}

/** After a client's goodbye what runs may go on for so long. */
const LEAVING_MS = 60_000;

export class Lives {
  readonly #options: LivesOptions;
  #isClosed = false;

  constructor(options: LivesOptions) {
    this.#options = options;
  }

  /**
   * The client gives some of its pipes up: their names are free, all else goes on. Answers those that it held.
   *
   * @param hostnames Of the same, for those that it holds over another hub.
   */
  closePipes(client: ClientRecord, names: readonly string[], hostnames: readonly string[]): Promise<readonly string[]> {
    const isMeant = ({ name }: HeldPipe): boolean => names.includes(name);
    return client.inTurn(async () => {
      const closed = client.held.filter(isMeant);
      client.held = client.held.filter((pipe) => !isMeant(pipe));
      client.moved = client.moved.filter((pipe) => !isMeant(pipe));
      this.#removeOrphans(client, hostnames);
      client.wanted = client.wanted.filter((hostname) => !hostnames.includes(hostname));
      await this.#options.registrar.release(client, closed, "left");
      return closed.map(({ name }) => name);
    });
  }

  /** The client said goodbye: its names are free at once, what runs may finish until it closes its sockets. */
  leave(client: ClientRecord): void {
    if (client.isLeaving) return;
    client.isLeaving = true;
    // What runs on these names may still be ended by them.
    client.wanted = client.hostnames;
    client.leavingTimer = setTimeout(() => void this.end(client, left()), LEAVING_MS);
    client.leavingTimer.unref();
    this.#removeOrphans(client, client.namesElsewhere);
    void client.inTurn(async () => {
      await this.#release(client, "left");
      if (client.link === null) void this.end(client, left());
    });
  }

  /**
   * Ends a client for good: its session, its sockets, its record, its names. Resolves when its names are free, also those
   * that were just being registered. With a farewell it cannot come back under its clientId.
   */
  end(client: ClientRecord, error: DuplexityError, farewell: ForceDisconnectRequest | null = null): Promise<void> {
    if (!this.#options.clients.delete(client, error)) return Promise.resolve();
    const { session, link, control } = client;
    const { code, message } = error;
    clearTimeout(client.leavingTimer);
    clearTimeout(client.awayTimer);
    client.session = null;
    client.link = null;
    client.control = null;
    if (farewell === null) {
      control?.refuse(error);
    } else {
      this.#options.clients.banish(client.clientId, farewell);
      control?.send(farewell);
      control?.close(code, message);
    }
    session?.close(code, message);
    link?.close(code, message);
    this.#options.onEnd(client, error);
    if (this.#isClosed) return Promise.resolve();
    const released = client.inTurn(() => this.#release(client, "left"));
    this.#options.clients.waitFor(client.clientId, released);
    return released;
  }

  /** The registry says that a name of this client is somebody else's, or nobody's. */
  lostName(client: ClientRecord, hostname: string, current: RegistryRecord | null): void {
    if (current?.ownerId === client.identity.ownerId && current.clientId === client.clientId) {
      // The name was given back to it over another hub, or it has come to another one: what is said here is only old.
      if (current.nodeId === this.#options.nodeId) client.held = withEpoch(client.held, current);
      else moveAway(client, hostname);
      this.dropIfUnused(client);
      return;
    }
    const isSister = current?.ownerId === client.identity.ownerId && current.clientId !== client.clientId;
    if (isSister) {
      this.#endReplaced(client, `${hostname} was opened elsewhere by the same owner`);
      return;
    }
    const reason = `${hostname} is not registered for this client any more`;
    this.#options.log("warn", `${client.clientId}: ${reason}`);
    void this.end(client, new DuplexityError("DPX_EPOCH_STALE", reason));
  }

  /**
   * The registry says that a name leads here. If no client of this hub holds it, another hub has given it back: it had taken it
   * over for the client, and refused it others. Who is not here any more, or does not want it, does not get it.
   */
  ledHere(record: RegistryRecord): void {
    const { clientId, hostname, epoch, state, ownerId } = record;
    const known = this.#options.clients.get(clientId);
    const client = known?.identity.ownerId === ownerId ? known : null;
    const isHeld = client?.held.some((pipe) => pipe.hostname === hostname) === true;
    if (state !== "up" || isHeld || client?.isRegistering === true) return;
    const pipe = client?.moved.find((moved) => moved.hostname === hostname && moved.epoch < epoch);
    // The public port of a TCP pipe may be another one by now: its client has to be told, and a new dial does that.
    if (client !== null && pipe?.protocol === "http" && !client.isLeaving) {
      client.moved = client.moved.filter((moved) => moved !== pipe);
      client.held = [...client.held, { ...pipe, epoch }];
      return;
    }
    // Whoever has a link here and does not hold the name has closed it.
    const hasLeft = client !== null && (client.isLeaving || (pipe === undefined && client.link !== null));
    void this.#options.registry.remove(hostname, clientId, epoch, hasLeft ? "left" : "lost").catch(() => false);
    if (pipe !== undefined) client?.link?.close("DPX_LINK_LOST", `${hostname} has to be registered anew`);
  }

  /**
   * Gives the session of a client without a link away: it goes on over another hub. This hub keeps its lease for as long
   * as the client may come back, and then ends that and nothing else.
   */
  giveAway(client: ClientRecord): Session | null {
    const { session } = client;
    if (session === null || client.link !== null || client.isLeaving || client.ended !== null) return null;
    client.session = null;
    this.#awaitReturn(client, session);
    return session;
  }

  /** Its names stay as long as the session goes on elsewhere: the client may be long in coming when it is served there. */
  #awaitReturn(client: ClientRecord, session: Session): void {
    clearTimeout(client.awayTimer);
    client.awayTimer = setTimeout(() => {
      void client.inTurn(async () => {
        if (client.session === null && client.link === null) {
          // Once one of them is at another hub, so is whatever it still wants.
          const isAwaited = session.isLive && client.ended === null && client.moved.length === 0;
          if (isAwaited) return this.#awaitReturn(client, session);
          await this.#release(client, "lost");
        }
        this.dropIfUnused(client);
      });
    }, this.#options.limits.resumeWindowMs);
    client.awayTimer.unref();
  }

  /** The client itself gives up what a hub held for it that is gone. Where that fails, the lease ends. */
  #removeOrphans(client: ClientRecord, hostnames: readonly string[]): void {
    for (const { hostname, clientId, epoch } of client.orphans(this.#options.goneNodes())) {
      if (hostnames.includes(hostname))
        void this.#options.registry.remove(hostname, clientId, epoch, "left").catch(() => false);
    }
  }

  /** A client without sockets, session and names has nothing to come back to. */
  dropIfUnused(client: ClientRecord): void {
    const { control, link, session, held } = client;
    if (client.ended !== null || control !== null || link !== null || session !== null || held.length > 0) return;
    if (!this.#options.clients.delete(client, lost("Nothing of the client is here any more"))) return;
    clearTimeout(client.leavingTimer);
    // What is being registered for it at this moment is undone in its turn, and whoever kicks its owner waits for that.
    this.#options.clients.waitFor(
      client.clientId,
      client.inTurn(async () => {}),
    );
  }

  /** The link that `client` had is gone. */
  linkClosed(client: ClientRecord, link: SessionLink, error: DuplexityError): void {
    if (client.link !== link) return;
    client.link = null;
    this.#options.log("debug", `The link of ${client.clientId} is gone: ${error.message}`);
    if (client.isLeaving) void this.end(client, left());
    else this.#options.onAway(client);
  }

  /** The session is over by itself. A client that comes back gets a new one; until then its names are away. */
  sessionClosed(client: ClientRecord, error: DuplexityError): void {
    const { link } = client;
    client.session = null;
    client.link = null;
    // The client may say any code and any text here: no error of ours.
    this.#options.log("info", `The session of ${client.clientId} ended with ${error.code}: ${error.message}`);
    link?.close(error.code, error.message);
    if (client.isLeaving) {
      void this.end(client, left());
      return;
    }
    void client.inTurn(async () => {
      // A dialer that came meanwhile has registered them anew.
      // One that was ended at its other hub says so here before the word of it comes.
      if (client.session === null) await this.#release(client, FINAL_CODES.has(error.code) ? "left" : "lost");
      this.dropIfUnused(client);
    });
  }

  /** The same owner took these names for `by`: their clients are over, whether they listen or not. */
  replaced(records: readonly RegistryRecord[], by: ClientRecord): void {
    const elsewhere = new Set<string>();
    for (const { clientId, hostname, nodeId } of records) {
      if (clientId === by.clientId) continue;
      if (nodeId !== this.#options.nodeId) elsewhere.add(clientId);
      const client = this.#options.clients.get(clientId);
      if (client !== null) this.#endReplaced(client, `${hostname} was opened by another client of the same owner`);
    }
    if (elsewhere.size > 0) this.#options.onReplaced([...elsewhere]);
  }

  /** A name that was taken by a client that was refused is back with whoever had it. */
  async givenBack(record: RegistryRecord): Promise<void> {
    const { clientId, hostname, epoch, nodeId } = record;
    // Its own hub is told by the registry; if it misses that, the name is away when its lease ends.
    if (nodeId !== this.#options.nodeId) return;
    const client = this.#options.clients.get(clientId);
    if (client?.held.some((pipe) => pipe.hostname === hostname) === true) {
      client.held = withEpoch(client.held, record);
      return;
    }
    // It left while it was being undone: no visitor is to wait for it.
    await this.#options.registry.remove(hostname, clientId, epoch, "left").catch(() => false);
  }

  /** Ends all of them. The registry is not told: this process goes, and with it its records, or their leases end. */
  close(): void {
    this.#isClosed = true;
    const error = new DuplexityError("DPX_DRAINING", "This node is shutting down");
    for (const client of this.#options.clients.all()) void this.end(client, error);
  }

  async #release(client: ClientRecord, reason: "left" | "lost"): Promise<void> {
    const pipes = client.held;
    client.held = [];
    await this.#options.registrar.release(client, pipes, reason);
  }

  #endReplaced(client: ClientRecord, reason: string): void {
    const code = "DPX_REPLACED";
    const by = client.identity.ownerName;
    this.#options.log("info", `${client.clientId} of ${by} is replaced: ${reason}`);
    const farewell: ForceDisconnectRequest = { type: "forceDisconnectRequest", code, by, reason, until: null };
    void this.end(client, new DuplexityError(code, reason), farewell);
  }
}

function withEpoch(held: readonly HeldPipe[], { hostname, epoch }: RegistryRecord): readonly HeldPipe[] {
  return held.map((pipe) => (pipe.hostname === hostname ? { ...pipe, epoch } : pipe));
}

/** A link that is left here is still found by the name, whoever is to be ended by it. */
function moveAway(client: ClientRecord, hostname: string): void {
  const isMeant = (pipe: HeldPipe): boolean => pipe.hostname === hostname;
  client.moved = [...client.moved.filter((pipe) => !isMeant(pipe)), ...client.held.filter(isMeant)];
  client.held = client.held.filter((pipe) => !isMeant(pipe));
}

function left(): DuplexityError {
  return new DuplexityError("DPX_CANCELLED", "The client left");
}

/** What ends with the link that it is about. */
export function lost(message: string): DuplexityError {
  return new DuplexityError("DPX_LINK_LOST", message);
}
