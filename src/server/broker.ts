// Reaches clients wherever they are: what is asked goes to the topic that every hub listens to, and the hub that has the
// client acts. On a single node that is this one, by the same way. Keeps no state.

import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import type { Ban } from "./accounts/index.ts";
import type {
  Presence,
  Registry,
  RegistryRecord,
  RequestResult,
  RoundTrip,
  Topics,
  WebSocketsMessage,
  WebSocketsReply,
} from "./backend/index.ts";
import type { ClientRow, Found, Hub, Kick, KickedClient } from "./hub/index.ts";
import type { Identity } from "./identity/index.ts";
import { withRoundTrips } from "./round-trips.ts";

export interface BrokerOptions {
  readonly hub: Hub;
  readonly registry: Registry;
  readonly topics: Topics;
  readonly presence: Presence;
  readonly nodeId: string;
  /** Looks for bans of which this node has not heard. @throws {DuplexityError} `DPX_STORE` */
  readonly lookAtBans: () => Promise<void>;
  /** What a visitor opens. */
  readonly urlOf: (hostname: string, tcpPort: number | undefined) => string;
}

/** How long the other hubs may take to say whom they have. */
const FIND_TIMEOUT_MS = 2_000;
/** How long they may take to end clients: each gives its names back first. */
const KICK_TIMEOUT_MS = 10_000;
/** A list is shown without the round trips that other hubs have not told by then. */
const ROUND_TRIP_TIMEOUT_MS = 500;
/** Clients in one message, which has a limit. */
const BANISH_BATCH = 500;
/** Clients of one hub that are told to whoever has mistyped one: a reply has room for some more. */
const MAX_TOLD = 1_000;
/** Names that a list shows of clients at other hubs. */
const MAX_LISTED_NAMES = 10_000;

export class Broker {
  readonly #options: BrokerOptions;
  readonly #stop: () => void;

  constructor(options: BrokerOptions) {
    this.#options = options;
    this.#stop = options.topics.handle("websockets", (message) => this.#act(message));
  }

  /** Clients of `identity`, for an admin those of all: of this hub as they are, of others as the registry has them. */
  async list(identity: Identity): Promise<readonly ClientRow[]> {
    const { hub, registry, presence } = this.#options;
    const own = hub.list(identity);
    if (presence.nodes().length <= 1) return own;
    const known = new Set(own.map(({ clientId }) => clientId));
    const records = await registry.list(identity.isAdmin ? null : identity.ownerId, MAX_LISTED_NAMES);
    const others = new Map<string, RegistryRecord[]>();
    for (const record of records) {
      const { clientId, state } = record;
      if (state === "up" && !known.has(clientId)) others.set(clientId, [...(others.get(clientId) ?? []), record]);
    }
    const rows = [...own, ...[...others.values()].map((of) => this.#rowOf(of))];
    return withRoundTrips(rows, (message) => this.#ask(message, ROUND_TRIP_TIMEOUT_MS));
  }

  /**
   * Who is meant by `who`, at all hubs that say so in time.
   *
   * @throws {DuplexityError} `DPX_USAGE` if a user and a pipe of another are.
   */
  async find(who: string): Promise<Found> {
    return this.#found(who, await this.#ask({ type: "find", who }, FIND_TIMEOUT_MS));
  }

  /** Clients that `find` could find, some of each hub: for whoever has mistyped one. Never rejects. */
  async everybody(): Promise<readonly KickedClient[]> {
    try {
      return united(await this.#ask({ type: "find", who: null }, FIND_TIMEOUT_MS)).clients;
    } catch {
      return [];
    }
  }

  /**
   * Ends who is meant, at all hubs. Resolves when each hub has confirmed.
   *
   * Without a ban, those who are meant are found first and ended by their clientId: a request that is repeated, because a
   * reply to it was lost, must not end the client with which the owner has come back meanwhile. With a ban it may.
   *
   * @throws {DuplexityError} `DPX_STORE` if a hub did not, though it is there, or has vanished with a name of theirs: who
   * is banned is ended by the next renewal of its lease all the same.
   */
  async kick({ who, by, reason, until }: Kick): Promise<readonly KickedClient[]> {
    const isBan = until !== null;
    const result = await this.#ask(
      isBan ? { type: "disconnect", who, by, reason, until } : { type: "find", who },
      KICK_TIMEOUT_MS,
    );
    const { clients } = isBan ? united(result) : this.#found(who, result);
    if (!isBan || result.replies.length > 1) await this.#banish(clients, { by, reason, until });
    checkWhole(result);
    await this.#checkVanished(who);
    return clients;
  }

  /** @throws {DuplexityError} `DPX_STORE` if a hub may have whom `who` means, and does not say. */
  async checkHeard(who: string): Promise<void> {
    checkWhole(await this.#ask({ type: "find", who }, FIND_TIMEOUT_MS));
    await this.#checkVanished(who);
  }

  /** Ends at once whom a new ban is for, at all hubs. */
  async enforce(ban: Ban): Promise<readonly KickedClient[]> {
    const { by, reason, until } = ban;
    return this.kick({ who: whoOf(ban), by, reason, until: until ?? "forever" });
  }

  /** Has every hub look who may not stay. One that does not hear it looks at the next renewal. */
  judgeAll(): void {
    const { hub, topics } = this.#options;
    topics.publish("websockets", { type: "judge" }).catch(() => hub.judgeAll());
  }

  /** Has the hubs of these clients look which names they still hold. One that does not hear it looks at the next renewal. */
  tellReplaced(clientIds: readonly string[]): void {
    this.#options.topics.publish("websockets", { type: "replaced", clientIds }).catch(() => {});
  }

  /** Has the other nodes look which there are. Resolves when all of them have, or a moment later. Never rejects. */
  async announce(): Promise<void> {
    const { topics, presence, nodeId } = this.#options;
    const nodes = presence.nodes().flatMap((node) => (node.nodeId === nodeId ? [] : [node.nodeId]));
    if (nodes.length === 0) return;
    const options = { timeoutMs: FIND_TIMEOUT_MS, nodes };
    await topics.request("websockets", { type: "nodesChanged" }, options).catch(() => {});
  }

  close(): void {
    this.#stop();
  }

  async #act(message: WebSocketsMessage): Promise<WebSocketsReply> {
    const { hub } = this.#options;
    switch (message.type) {
      case "disconnect":
        return this.#disconnect(message);
      case "banish":
        await hub.banish(message);
        return NOBODY;
      case "find":
        if (message.who !== null) return hub.find(message.who);
        return { kind: null, clients: hub.everybody().slice(0, MAX_TOLD) };
      case "roundTrips":
        return { ...NOBODY, roundTrips: message.clientIds.flatMap((clientId) => this.#roundTripOf(clientId)) };
      case "replaced":
        await hub.look(message.clientIds);
        return NOBODY;
      case "judge":
        hub.judgeAll();
        return NOBODY;
      case "nodesChanged":
        await this.#options.presence.look();
        return NOBODY;
      case "pipesAreRegistered":
        return NOBODY;
    }
  }

  #found(who: string, result: RequestResult<"websockets">): Found {
    const kinds = kindsOf(result);
    // A hub where nobody of that user is takes the word for a pipe's.
    if (kinds.has("user") && kinds.has("hostname")) throw this.#options.hub.ambiguous(who);
    return united(result);
  }

  /** Also ends those that were on their way to another hub meanwhile; keeps out whoever wakes up later. */
  async #banish(clients: readonly KickedClient[], why: Omit<Kick, "who">): Promise<void> {
    for (let at = 0; at < clients.length; at += BANISH_BATCH) {
      const some = clients.slice(at, at + BANISH_BATCH).map((client) => ({ ...client, pipes: [] }));
      checkWhole(await this.#ask({ type: "banish", clients: some, ...why }, KICK_TIMEOUT_MS));
    }
  }

  /** A hub that has vanished, dead or cut off, may still have a client that is meant, or that one looks for another hub. */
  async #checkVanished(who: string): Promise<void> {
    const { hub, registry, presence } = this.#options;
    const vanished = presence.vanished();
    if (vanished.length === 0) return;
    const records = await registry.list(null, MAX_LISTED_NAMES);
    const unheard = records.find(
      (record) => record.state === "up" && vanished.includes(record.nodeId) && hub.means(who, record),
    );
    if (unheard !== undefined) throw unknownEnd(unheard.nodeId);
  }

  async #disconnect(kick: Kick): Promise<WebSocketsReply> {
    const { hub, lookAtBans } = this.#options;
    // The word of a new ban may have been lost: the doors are closed before somebody is sent to them.
    const failure = kick.until === null ? null : await lookAtBans().then(() => null, asDuplexityError);
    const { kind } = hub.find(kick.who);
    const clients = await hub.kick(kick);
    if (failure !== null) throw failure;
    return { kind, clients };
  }

  /** What hubs reply; `missing` are those that are there and did not. */
  async #ask(message: WebSocketsMessage, timeoutMs: number): Promise<RequestResult<"websockets">> {
    const { topics, presence, nodeId } = this.#options;
    const hubs = presence.nodes().filter(({ roles }) => roles.includes("hub"));
    const nodes = hubs.length === 0 ? [nodeId] : hubs.map((node) => node.nodeId);
    const isThere = (id: string): boolean => id === nodeId || presence.nodes().some((node) => node.nodeId === id);
    const { replies, missing } = await topics.request("websockets", message, { timeoutMs, nodes, isThere });
    for (const { outcome } of replies) {
      if (outcome.status === "failed") throw new DuplexityError(outcome.code, outcome.message);
    }
    return { replies, missing: missing.filter(isThere) };
  }

  /** One, or none. */
  #roundTripOf(clientId: string): readonly RoundTrip[] {
    const rttMs = this.#options.hub.rttOf(clientId);
    return rttMs === null ? [] : [{ clientId, rttMs }];
  }

  #rowOf(records: readonly RegistryRecord[]): ClientRow {
    const { urlOf } = this.#options;
    const since = Math.min(...records.map((record) => record.since));
    return {
      clientId: records[0]?.clientId ?? "",
      owner: records[0]?.ownerName ?? "",
      since: new Date(since).toISOString(),
      rttMs: null,
      pipes: records.map(({ hostname, protocol, epoch, tcpPort }) => ({
        ...{ hostname, protocol, epoch, state: "up" },
        url: urlOf(hostname, tcpPort),
      })),
    };
  }
}

/** @throws {DuplexityError} `DPX_STORE` if a hub has not replied. */
function checkWhole({ missing: [missing] }: RequestResult<"websockets">): void {
  if (missing !== undefined) throw unknownEnd(missing);
}

/** A hub that is silent for longer counts as gone, and those who ask again are told of its clients by the registry. */
const UNKNOWN_RETRY_MS = 6_000;

function unknownEnd(nodeId: string): DuplexityError {
  return new DuplexityError("DPX_STORE", `Cannot tell whether all hubs have done it: ${nodeId} does not answer`, {
    hint: "Try again. Who is banned is ended by the next renewal of its lease all the same.",
    retryAfterMs: UNKNOWN_RETRY_MS,
  });
}

const NOBODY: WebSocketsReply = { kind: null, clients: [] };

function whoOf({ subject }: Ban): string {
  switch (subject.kind) {
    case "user":
      return `user:${subject.name}`;
    case "hostname":
      return subject.hostname;
    case "client":
      return subject.clientId;
  }
}

function kindsOf({ replies }: RequestResult<"websockets">): ReadonlySet<Found["kind"]> {
  return new Set(replies.map(({ outcome }) => (outcome.status === "done" ? outcome.reply.kind : null)));
}

/** A client may have links at two hubs: it is told once. */
function united({ replies }: RequestResult<"websockets">): Found {
  const clients = new Map<string, KickedClient>();
  let kind: Found["kind"] = null;
  for (const { outcome } of replies) {
    if (outcome.status === "failed") throw asDuplexityError(outcome);
    kind ??= outcome.reply.kind;
    for (const client of outcome.reply.clients) if (!clients.has(client.clientId)) clients.set(client.clientId, client);
  }
  return { kind, clients: [...clients.values()] };
}
