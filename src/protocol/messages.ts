// Control messages: one closed union of JSON texts on `/control` (and the one
// that opens `/dialer`), each validated where it comes in. See docs/protocol.md.

import type { ErrorCode } from "./errors.ts";
import type { PipeGate } from "./gate.ts";

/** The WebSocket sub-protocol of both sockets. */
export const SUBPROTOCOL = "duplexity.v1";
/** Versions that this software speaks, highest last. */
export const PROTOCOL_VERSIONS: readonly number[] = [1];
/** A longer control message is refused with DPX_MESSAGE_TOO_LARGE. */
export const MAX_MESSAGE_BYTES = 65_536;
/** Header of the `/dialer` upgrade request that carries the dial ticket. Never in a URL: those are logged. */
export const TICKET_HEADER = "duplexity-ticket";

/** In `DiscoveryResponse.features`: the server keeps visitors out as `PipeRequest.gate` says. */
export const GATES_FEATURE = "gates";
/** The same: sessions of other nodes come over the link as well, so that one that waits is not over when another starts. */
export const RELAY_FEATURE = "relay";

export type PipeProtocol = "http" | "tcp";

/** A pipe as the client asks for it. `name` is a label (`cat1`) or a full hostname. The target stays with the client. */
export interface PipeRequest {
  readonly name: string;
  readonly protocol: PipeProtocol;
  /** Who may come in. Left out: everybody. Only for a server that has the feature `gates`: another one would ignore it. */
  readonly gate?: PipeGate;
}

/** C→H on control, first; again whenever the client needs another ticket. */
export interface DiscoveryRequest {
  readonly type: "discoveryRequest";
  readonly clientId: string;
  readonly protocolVersions: readonly number[];
  /** `duplexity/0.1.0 node/20.20.2 linux-x64` */
  readonly software: string;
  readonly features: readonly string[];
  /**
   * How often the client was sent elsewhere in this attempt. Left out: it does not go elsewhere, and is taken or refused
   * where it is.
   */
  readonly redirects?: number;
}

/** H→C: where the data plane is, and a one-use ticket for it. */
export interface DiscoveryResponse {
  readonly type: "discoveryResponse";
  /** `ws://…/dialer` or `wss://…/dialer` */
  readonly dataPlaneUri: string;
  readonly alternatives: readonly string[];
  readonly protocolVersion: number;
  readonly nodeId: string;
  readonly software: string;
  readonly domain: string;
  /** Whom the server takes the client for, as other people may read it. */
  readonly owner: string;
  readonly ticket: string;
  /** How long the ticket is good for. */
  readonly ticketTtlMs: number;
  readonly heartbeat: { readonly idleMs: number; readonly timeoutMs: number };
  readonly resumeWindowMs: number;
  /** So long after this hub is gone is the client's turn to come to another one. Left out, or 0: it has none. */
  readonly moveDelayMs?: number;
  readonly limits: {
    readonly maxPipes: number;
    readonly maxStreams: number;
    readonly maxPacketBytes: number;
  };
  /** What this server can do beyond the version's beginnings. Left out: nothing. */
  readonly features?: readonly string[];
}

/** C→H on dialer, first and only text there. */
export interface DialRequest {
  readonly type: "dialRequest";
  readonly clientId: string;
  readonly pipes: readonly PipeRequest[];
  /**
   * `requests`: send a REPORT frame for each request that passed. `second-link`: the pipes are registered over another hub
   * of the cluster; register nothing. `pause`: the client understands PAUSE. `partial`: when some of the pipes are refused,
   * register the others; without it, all of them are refused then.
   */
  readonly wants: readonly ("requests" | "second-link" | "pause" | "partial")[];
}

export type PipeResult =
  | {
      readonly status: "registered";
      readonly name: string;
      readonly protocol: PipeProtocol;
      readonly hostname: string;
      /** What a visitor opens: `https://cat1.example.com`, `tcp://example.com:20001`. */
      readonly url: string;
      readonly epoch: number;
    }
  | {
      readonly status: "refused";
      readonly name: string;
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint?: string;
    };

/** H→C on control: all registered (the client is up), or at least one refused (none is up, the dialer is closed). */
export interface PipesAreRegisteredResponse {
  readonly type: "pipesAreRegisteredResponse";
  readonly clientId: string;
  readonly pipes: readonly PipeResult[];
}

/** C→H on control: gives some pipes up; the session and the other pipes go on. */
export interface ClosePipesRequest {
  readonly type: "closePipesRequest";
  readonly clientId: string;
  /** As they were asked for in the dialRequest. Those that the client does not hold are ignored. */
  readonly names: readonly string[];
}

/** H→C on control, one for each closePipesRequest, in their order: these led here until now, and no visitor comes any more. */
export interface PipesAreClosedResponse {
  readonly type: "pipesAreClosedResponse";
  readonly clientId: string;
  readonly names: readonly string[];
}

/** C→H on control: a courtesy, so that the names are free at once. */
export interface ClientDisconnectRequest {
  readonly type: "clientDisconnectRequest";
  readonly clientId: string;
  readonly reason: string;
}

/** H→C on control: this client's session is over and it must not come back by itself. */
export interface ForceDisconnectRequest {
  readonly type: "forceDisconnectRequest";
  readonly code: "DPX_KICKED" | "DPX_REPLACED";
  /** Who did it, as it may be told. */
  readonly by: string;
  readonly reason: string;
  /** ISO 8601; null: no ban. */
  readonly until: string | null;
}

/** H→C on control: open a link elsewhere (or here again later), then let the old one finish. */
export interface DrainRequest {
  readonly type: "drainRequest";
  readonly deadlineMs: number;
  readonly dataPlaneUris: readonly string[];
}

/** C→H on control: a fresh ID token before the old one ends. */
export interface TokenRefresh {
  readonly type: "tokenRefresh";
  readonly token: string;
}

/** H→C on control: why the hub is about to close the socket. */
export interface ErrorMessage {
  readonly type: "error";
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  /** How long to wait at least before the same attempt. */
  readonly retryAfterMs?: number;
  /** Other hubs that take the client instead: `ws(s)://…/dialer`. */
  readonly dataPlaneUris?: readonly string[];
}

export type ControlMessage =
  | DiscoveryRequest
  | DiscoveryResponse
  | DialRequest
  | PipesAreRegisteredResponse
  | ClosePipesRequest
  | PipesAreClosedResponse
  | ClientDisconnectRequest
  | ForceDisconnectRequest
  | DrainRequest
  | TokenRefresh
  | ErrorMessage;
