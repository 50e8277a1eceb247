// What nodes tell each other, whoever carries it. A message can be lost: whatever it is for is healed by leases, or by
// whoever asked and got no reply.

import type { ErrorCode, PipesAreRegisteredResponse } from "../../protocol/index.ts";
import type { RegistryRecord } from "./registry.ts";

/** To the hubs, about clients that one of them may have. */
export type WebSocketsMessage =
  /** End whom `who` means, for good. */
  | {
      readonly type: "disconnect";
      /** A clientId, a hostname or its label, a user's name. */
      readonly who: string;
      /** Who does it, as it may be told. */
      readonly by: string;
      readonly reason: string;
      /** Until when they are banned as well: Unix time in ms, or for ever; null: they are not. */
      readonly until: number | "forever" | null;
    }
  /** These were ended at their hubs: end them here, too, and keep them out. */
  | {
      readonly type: "banish";
      /** Without their pipes. */
      readonly clients: readonly ReachedClient[];
      readonly by: string;
      readonly reason: string;
      readonly until: number | "forever" | null;
    }
  /** Say whom `who` means, or (null) which clients there are. */
  | { readonly type: "find"; readonly who: string | null }
  /** Say how long the round trip to those of `clientIds` is that have a link here. */
  | { readonly type: "roundTrips"; readonly clientIds: readonly string[] }
  /** Others of their owners have taken names of these, for good: look what they still hold. */
  | { readonly type: "replaced"; readonly clientIds: readonly string[] }
  /** A ban, an account or a token has changed: look who may not stay. */
  | { readonly type: "judge" }
  /** A node came or goes: look which there are. */
  | { readonly type: "nodesChanged" }
  /** For the control socket of a client whose dialer came to another hub. */
  | { readonly type: "pipesAreRegistered"; readonly response: PipesAreRegisteredResponse };

/** A client that a hub has reached. */
export interface ReachedClient {
  readonly clientId: string;
  /** The owner, as others may read it. */
  readonly user: string;
  /** The node that has it. */
  readonly hub: string;
  /** Hostnames. */
  readonly pipes: readonly string[];
}

export interface RoundTrip {
  readonly clientId: string;
  readonly rttMs: number;
}

/** Whom a hub found and did as it was told to. */
export interface WebSocketsReply {
  /** What `who` is there; null: nobody, or nobody was named. */
  readonly kind: "client" | "hostname" | "user" | null;
  readonly clients: readonly ReachedClient[];
  /** What `roundTrips` asks for. */
  readonly roundTrips?: readonly RoundTrip[];
}

/** A route came, changed or (null) went. */
export interface RoutesMessage {
  readonly hostname: string;
  /** Older than what is known: to be ignored. */
  readonly epoch: number;
  readonly record: RegistryRecord | null;
}

/** Each topic: what is sent, and what is replied. */
export interface TopicTypes {
  readonly websockets: { readonly message: WebSocketsMessage; readonly reply: WebSocketsReply };
  readonly routes: { readonly message: RoutesMessage; readonly reply: null };
}

export type TopicName = keyof TopicTypes;
export type MessageOf<T extends TopicName> = TopicTypes[T]["message"];
export type ReplyOf<T extends TopicName> = TopicTypes[T]["reply"];

export type Outcome<T extends TopicName> =
  | { readonly status: "done"; readonly reply: ReplyOf<T> }
  | { readonly status: "failed"; readonly code: ErrorCode; readonly message: string };

export interface NodeOutcome<T extends TopicName> {
  readonly nodeId: string;
  readonly outcome: Outcome<T>;
}

export interface RequestOptions {
  /** How long replies are waited for. */
  readonly timeoutMs: number;
  /** Nodes that have to reply: with the last of them the wait is over. */
  readonly nodes: readonly string[];
  /** Asked now and then whether one of them is still waited for. @default it is */
  readonly isThere?: (nodeId: string) => boolean;
}

export interface RequestResult<T extends TopicName> {
  /** Also from nodes that were not expected. */
  readonly replies: readonly NodeOutcome<T>[];
  /** Those of `nodes` that did not reply in time. */
  readonly missing: readonly string[];
}

/** What it returns or throws is the reply, for who wants one. */
export type Handler<T extends TopicName> = (message: MessageOf<T>, from: string) => ReplyOf<T> | Promise<ReplyOf<T>>;

/** The JSON of one message; more is refused with DPX_MESSAGE_TOO_LARGE. A longer reply comes in several. */
export const MAX_TOPIC_MESSAGE_BYTES = 262_144;
/** Requests of one node that wait for replies; more are refused with DPX_LIMIT. */
export const MAX_TOPIC_REQUESTS = 1_000;

/** All methods may reject with a DuplexityError; none may hang. */
export interface Topics {
  /**
   * Tells every node, this one too. Resolves when it is on its way.
   *
   * @throws {DuplexityError} `DPX_STORE` when it cannot be told: then no node is.
   */
  publish<T extends TopicName>(topic: T, message: MessageOf<T>): Promise<void>;
  /**
   * The same, and resolves when all of `nodes` have replied or the time is over. Says it again to those that have not, since
   * messages may be lost; a node's handler runs once for it all the same.
   */
  request<T extends TopicName>(topic: T, message: MessageOf<T>, options: RequestOptions): Promise<RequestResult<T>>;
  /** One for each topic and node. Returns the function that ends it. */
  handle<T extends TopicName>(topic: T, handler: Handler<T>): () => void;
  /** Calls `listener` when messages may have been missed: what they would have told is to be looked at. */
  onGap(listener: () => void): () => void;
  close(): Promise<void>;
}
