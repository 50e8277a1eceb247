// How a client's link, session and registrations begin and end, and what each
// end means for the others. Reads no message.

import {
  asDuplexityError,
  createPacketLink,
  type DialRequest,
  DuplexityError,
  type ForceDisconnectRequest,
  type PipeRequest,
  type PipeResult,
  type Session,
  SessionLink,
} from "../../protocol/index.ts";
import type { Attempts } from "../attempts.ts";
import type { Registry, RegistryRecord } from "../backend/registry.ts";
import type { ServeLimits } from "../index.ts";
import type { ClientRecord, HeldPipe } from "./client-record.ts";
import type { ClientTable } from "./client-table.ts";
import type { DialerSocket } from "./dialer-socket.ts";
import type { Doors } from "./doors.ts";
import type { NodeSessions, SessionHolder } from "./node-sessions.ts";
import { checkOwnerPipes, hostnamesOf } from "./owner-pipes.ts";
import { type RegisterOutcome, Registrar, type RegistrarOptions, refusalOf } from "./registrar.ts";
import { see } from "./second-links.ts";

export interface LivesOptions extends Omit<RegistrarOptions, "onGivenBack" | "maxPipes" | "check"> {
  readonly registry: Registry;
  readonly clients: ClientTable;
  readonly sessions: NodeSessions;
  readonly doors: Doors;
  readonly attempts: Attempts;
  readonly limits: Pick<
    ServeLimits,
    "maxPipes" | "maxPipesPerOwner" | "resumeWindowMs" | "heartbeatIdleMs" | "heartbeatTimeoutMs"
  >;
  /** A client's link comes: this node's session with it, if that went another way until now. */
  readonly takeBack: (client: ClientRecord) => Session | null;
  /** A client has a link here. */
  readonly onLinked: (client: ClientRecord) => void;
  /** A client's link is gone, and it may come back. */
  readonly onAway: (client: ClientRecord) => void;
  /** A client's session has a link: who waits for one of its names may try. */
  readonly onLive: (client: ClientRecord) => void;
  /** A client was ended: what of it is not a link yet has to go as well. */
  readonly onEnd: (client: ClientRecord, error: DuplexityError) => void;
  readonly log: (level: "debug" | "info" | "warn" | "error", message: string) => void;
}

/** After a client's goodbye what runs may go on for so long. */
const LEAVING_MS = 60_000;

export class Lives {
  readonly #options: LivesOptions;
  readonly #registrar: Registrar;
  #isClosed = false;

  constructor(options: LivesOptions) {
    this.#options = options;
    this.#registrar = new Registrar({
      ...options,
      maxPipes: options.limits.maxPipes,
      check: (client, hostname) => options.doors.checkPipe(client, hostname),
      onGivenBack: (record) => this.#givenBack(record),
    });
  }

  /** Registers the client's pipes and, when all are its own, goes on over the dialer. The outcome is told on control. */
  dial(
    dialer: DialerSocket,
    client: ClientRecord,
    pipes: readonly PipeRequest[],
    wants: DialRequest["wants"],
  ): Promise<void> {
    client.dials += 1;
    const dial = client.dials;
    // From now on it is found by these names, too: it may be banned or kicked because of one that it does not hold yet.
    client.wanted = hostnamesOf(pipes, this.#options.domain);
    return client.inTurn(async () => {
      if (client.dials !== dial) return dialer.refuse(lost("A newer dialer took its place"));
      const isSecond = wants.includes("second-link");
      if (isSecond) await this.#dialSecond(dialer, client, pipes);
      else await this.#dial(dialer, client, pipes, wants.includes("requests"));
      if (client.dials === dial && !client.isLeaving && !isSecond) client.wanted = [];
    });
  }

  /** The client gives some of its pipes up: their names are free, all else goes on. Answers those that it held. */
  closePipes(client: ClientRecord, names: readonly string[]): Promise<readonly string[]> {
    const isMeant = ({ name }: HeldPipe): boolean => names.includes(name);
    return client.inTurn(async () => {
      const closed = client.held.filter(isMeant);
      client.held = client.held.filter((pipe) => !isMeant(pipe));
      await this.#registrar.release(client, closed, "left");
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
      const isHere = current.nodeId === this.#options.nodeId;
      const others = client.held.filter((pipe) => pipe.hostname !== hostname);
      client.held = isHere ? withEpoch(client.held, current) : others;
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
   * Gives the session of a client without a link away: it goes on over another hub. This hub keeps its lease for as long
   * as the client may come back, and then ends that and nothing else.
   */
  giveAway(client: ClientRecord): Session | null {
    const { session } = client;
    if (session === null || client.link !== null || client.isLeaving || client.ended !== null) return null;
    client.session = null;
    clearTimeout(client.awayTimer);
    client.awayTimer = setTimeout(() => {
      void client.inTurn(async () => {
        if (client.session === null && client.link === null) await this.#release(client, "lost");
        this.dropIfUnused(client);
      });
    }, this.#options.limits.resumeWindowMs);
    client.awayTimer.unref();
    return session;
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

  /** Ends all of them. The registry is not told: this process goes, and with it its records, or their leases end. */
  close(): void {
    this.#isClosed = true;
    const error = new DuplexityError("DPX_DRAINING", "This node is shutting down");
    for (const client of this.#options.clients.all()) void this.end(client, error);
  }

  async #dial(
    dialer: DialerSocket,
    client: ClientRecord,
    pipes: readonly PipeRequest[],
    wantsReports: boolean,
  ): Promise<void> {
    const outcome = await this.#register(dialer, client, pipes, wantsReports);
    if (outcome === null) return;
    if (outcome.status === "refused") {
      this.#refuse(dialer, client, outcome.refusals);
      return;
    }
    // In one turn with what follows: whoever ends the client or bans a name of it comes before this or after all of it.
    const gone = this.#goneReason(client) ?? (dialer.isWaiting ? null : lost("The client has left"));
    const banned = gone === null ? this.#refusalOf(client, outcome.pipes) : null;
    if (gone !== null || banned !== null) {
      await outcome.undo();
      if (banned !== null) this.#refuse(dialer, client, [banned]);
      else if (gone !== null) dialer.refuse(gone);
      this.dropIfUnused(client);
      return;
    }
    const before = client.held;
    client.held = outcome.pipes;
    for (const record of outcome.replaced) this.#replace(record, client);
    this.#tell(
      client,
      outcome.pipes.map((pipe) => ({ status: "registered", ...pipe })),
    );
    this.#attach(client, dialer);
    const dropped = before.filter((old) => !outcome.pipes.some(({ hostname }) => hostname === old.hostname));
    await this.#registrar.release(client, dropped, "left");
  }

  /** The client's first link is at another hub, which has registered its pipes: here is only another way to it. */
  async #dialSecond(dialer: DialerSocket, client: ClientRecord, pipes: readonly PipeRequest[]): Promise<void> {
    const seen = await see(this.#options, client, pipes);
    const gone = this.#goneReason(client) ?? (dialer.isWaiting ? null : lost("The client has left"));
    const refusals = seen.filter(({ status }) => status === "refused");
    if (gone !== null) dialer.refuse(gone);
    else if (refusals.length > 0) this.#refuse(dialer, client, refusals);
    else {
      this.#tell(client, seen);
      this.#attach(client, dialer);
    }
    this.dropIfUnused(client);
  }

  /** Null: the dialer is refused already. */
  async #register(
    dialer: DialerSocket,
    client: ClientRecord,
    pipes: readonly PipeRequest[],
    wantsReports: boolean,
  ): Promise<RegisterOutcome | null> {
    const { attempts, clients, limits } = this.#options;
    try {
      for (const key of dialer.attemptKeys) await attempts.count("register", key);
      checkOwnerPipes(client, clients, limits.maxPipesPerOwner);
    } catch (error) {
      return { status: "refused", refusals: [refusalOf(pipes[0]?.name ?? "", asDuplexityError(error))] };
    }
    const gone = this.#goneReason(client);
    if (gone === null) return this.#registrar.register(client, pipes, wantsReports);
    dialer.refuse(gone);
    return null;
  }

  /** Why a dialer of this client may not go on any more. */
  #goneReason(client: ClientRecord): DuplexityError | null {
    return client.ended ?? (client.isLeaving ? lost("The client has left") : null);
  }

  /** What has become of the client's right to `pipes` while they were registered. */
  #refusalOf(client: ClientRecord, pipes: readonly HeldPipe[]): PipeResult | null {
    for (const { name, hostname } of pipes) {
      try {
        this.#options.doors.checkPipe(client, hostname);
      } catch (error) {
        return refusalOf(name, asDuplexityError(error));
      }
    }
    return null;
  }

  #refuse(dialer: DialerSocket, client: ClientRecord, refusals: readonly PipeResult[]): void {
    this.#tell(client, refusals);
    const [first] = refusals;
    const refused =
      first?.status === "refused" ? first : { code: "DPX_INTERNAL" as const, message: "No pipe was given" };
    dialer.refuse(new DuplexityError(refused.code, refused.message));
    this.dropIfUnused(client);
  }

  #tell(client: ClientRecord, pipes: readonly PipeResult[]): void {
    client.control?.send({ type: "pipesAreRegisteredResponse", clientId: client.clientId, pipes });
  }

  /** The session goes on over the new link; the one before is of no more use. */
  #attach(client: ClientRecord, dialer: DialerSocket): void {
    const { heartbeatIdleMs: idleMs, heartbeatTimeoutMs: timeoutMs } = this.#options.limits;
    const previous = client.link;
    // What came early is read in `give`, and may end the link before there is a name for it here.
    let made: SessionLink | null = null;
    const link = dialer.give(
      (connection) =>
        new SessionLink(createPacketLink(connection), {
          heartbeat: { idleMs, timeoutMs },
          onClose: (error) => {
            if (made !== null) this.#linkClosed(client, made, error);
          },
        }),
    );
    made = link;
    // What came early may have been its end: then the session waits for another one.
    client.link = link.isOpen ? link : null;
    clearTimeout(client.awayTimer);
    client.session ??= this.#takeBack(client) ?? this.#options.sessions.start(this.#holderFor(client));
    // First of all on this link: so the client knows which session is its hub's.
    client.session.attach(link);
    previous?.close("DPX_LINK_LOST", "A newer dialer took its place");
    if (client.link !== null) this.#options.onLinked(client);
  }

  #holderFor(client: ClientRecord): SessionHolder {
    return {
      onLive: () => this.#options.onLive(client),
      onDetached: () => {},
      onClose: (error) => {
        // Else it was ended with its client.
        if (client.session !== null) this.#sessionClosed(client, error);
      },
    };
  }

  #takeBack(client: ClientRecord): Session | null {
    const session = this.#options.takeBack(client);
    if (session !== null) this.#options.sessions.pass(session, this.#holderFor(client));
    return session;
  }

  #linkClosed(client: ClientRecord, link: SessionLink, error: DuplexityError): void {
    if (client.link !== link) return;
    client.link = null;
    this.#options.log("debug", `The link of ${client.clientId} is gone: ${error.message}`);
    if (client.isLeaving) void this.end(client, left());
    else this.#options.onAway(client);
  }

  /** The session is over by itself. A client that comes back gets a new one; until then its names are away. */
  #sessionClosed(client: ClientRecord, error: DuplexityError): void {
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
      if (client.session === null) await this.#release(client, error.code === "DPX_CANCELLED" ? "left" : "lost");
      this.dropIfUnused(client);
    });
  }

  async #release(client: ClientRecord, reason: "left" | "lost"): Promise<void> {
    const pipes = client.held;
    client.held = [];
    await this.#registrar.release(client, pipes, reason);
  }

  /** The same owner took `record`'s name: its client is over, whether it listens or not. */
  #replace(record: RegistryRecord, by: ClientRecord): void {
    const client = this.#options.clients.get(record.clientId);
    if (client === null || client === by) return;
    this.#endReplaced(client, `${record.hostname} was opened by another client of the same owner`);
  }

  #endReplaced(client: ClientRecord, reason: string): void {
    const code = "DPX_REPLACED";
    const by = client.identity.ownerName;
    this.#options.log("info", `${client.clientId} of ${by} is replaced: ${reason}`);
    const farewell: ForceDisconnectRequest = { type: "forceDisconnectRequest", code, by, reason, until: null };
    void this.end(client, new DuplexityError(code, reason), farewell);
  }

  /** A name that a sister took, and was refused with, is this client's again. */
  async #givenBack(record: RegistryRecord): Promise<void> {
    const { clientId, hostname, epoch, nodeId } = record;
    const client = this.#options.clients.get(clientId);
    if (client?.held.some((pipe) => pipe.hostname === hostname) === true) {
      client.held = withEpoch(client.held, record);
      return;
    }
    // Its own hub hears of it at the next renewal.
    if (nodeId !== this.#options.nodeId) return;
    // It left while it was being undone: no visitor is to wait for it.
    await this.#options.registry.remove(hostname, clientId, epoch, "left").catch(() => false);
  }
}

function withEpoch(held: readonly HeldPipe[], { hostname, epoch }: RegistryRecord): readonly HeldPipe[] {
  return held.map((pipe) => (pipe.hostname === hostname ? { ...pipe, epoch } : pipe));
}

function left(): DuplexityError {
  return new DuplexityError("DPX_CANCELLED", "The client left");
}

function lost(message: string): DuplexityError {
  return new DuplexityError("DPX_LINK_LOST", message);
}
