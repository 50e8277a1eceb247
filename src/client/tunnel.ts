// What `forward()` gives to those who embed duplexity: a tunnel that stays up, and events that tell the truth.

import type { EventEmitter } from "node:events";
import type { DuplexityError, ErrorCode, PipeProtocol, RequestReport } from "../protocol/index.ts";
import type { TokenSource } from "./token.ts";

/** Ed25519 private key by which a client proves itself to a server that runs without accounts (JWK). */
export interface ClientKey {
  readonly kty: "OKP";
  readonly crv: "Ed25519";
  readonly x: string;
  readonly d: string;
}

/** Who may come in through a pipe: a visitor has to fulfil each part that is there. */
export interface GateOptions {
  /**
   * Who may come in by a password (HTTP Basic): 1 to 64 users. Names of 1 to 128 characters without colon, passwords of 1
   * to 256. The server gets a hash, never the password.
   */
  readonly basicAuth?: readonly { readonly user: string; readonly password: string }[];
  /** Where visitors may come from: 1 to 64 of `192.0.2.0/24`, `2001:db8::/32`, or an address. */
  readonly allowCidr?: readonly string[];
  /** Only people of this server, who sign in with it in their browser. Needs a server with accounts. @default false */
  readonly login?: boolean;
}

export interface PipeOptions {
  /** A label (`cat1`) or a full hostname. Left out: a random one that stays the same for this key and target. */
  readonly name?: string;
  /** `9090`, `host:port`, `http://…`, `https://…`, `https+insecure://…`, `tcp://host:port`, `unix:/path`. */
  readonly target: string | number;
  /** Who may come in. A TCP pipe can ask for `allowCidr` only. Left out: as `ForwardOptions.gate` says. */
  readonly gate?: GateOptions;
}

export interface ForwardOptions {
  /** `https://tunnel.example.com` */
  readonly server: string;
  readonly name?: string;
  /** More than one pipe in one tunnel; `target` and `name` are then left out. */
  readonly pipes?: readonly PipeOptions[];
  /** Who may come in through the pipes that have no gate of their own. @default everybody */
  readonly gate?: GateOptions;
  /**
   * Bearer token. A function is asked before each dial, and while the tunnel is up before the token ends (by the
   * `expiresAt` that it answers, else by a JWT's `exp`). A DuplexityError with `DPX_AUTH_INVALID` from it ends the tunnel;
   * other failures are tried again.
   */
  readonly token?: TokenSource;
  /** Key for servers that run with --no-auth. Left out: one is made for this process. */
  readonly key?: ClientKey;
  /** Ask the server for a report of each request (`request` event). @default false */
  readonly reports?: boolean;
  /** Aborting it before the tunnel is up rejects `forward()`; afterwards it closes the tunnel at once. */
  readonly signal?: AbortSignal;
  /** How many of a cluster's hubs to hold a link to at once. A server that is alone has one. @default 2 */
  readonly links?: 1 | 2;
  /** How long a target may take to accept a connection. @default 10_000 */
  readonly connectTimeoutMs?: number;
}

export interface TunnelPipe {
  readonly name: string;
  readonly hostname: string;
  readonly protocol: PipeProtocol;
  readonly url: string;
  /** Canonical form of the target, e.g. `http://localhost:9090`. */
  readonly target: string;
}

export type TunnelStatus =
  | { readonly state: "connecting"; readonly attempt: number }
  | { readonly state: "up"; readonly since: Date; readonly rttMs: number | null }
  | { readonly state: "reconnecting"; readonly attempt: number; readonly delayMs: number; readonly code: ErrorCode }
  | { readonly state: "draining" }
  | { readonly state: "closed"; readonly error: DuplexityError | null };

export interface TunnelEvents {
  status: [TunnelStatus];
  /** A request passed, or failed (`errorCode`). Needs `reports: true`. */
  request: [RequestReport];
  /**
   * The hub that has the link does not take this pipe, though it takes others (`error` says why; it is asked for again, at
   * other hubs, too); or it is taken again (null). At the start there is no such thing: one refusal rejects `forward()`.
   */
  pipe: [{ readonly pipe: TunnelPipe; readonly error: DuplexityError | null }];
  /** The link was lost and is back. */
  reconnect: [{ readonly outageMs: number }];
  /** For good. `null`: by `close()`. */
  close: [DuplexityError | null];
}

export interface TunnelStatistics {
  /** When it was up for the first time. */
  readonly connectedAt: Date;
  /** Requests that passed, with `reports: true`; else streams that the server opened, each of which may carry several. */
  readonly requests: number;
  readonly openStreams: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly rttMs: number | null;
  readonly lastByteAt: Date | null;
}

export interface Tunnel extends EventEmitter<TunnelEvents> {
  readonly clientId: string;
  /** The first pipe's URL. */
  readonly url: string;
  readonly pipes: readonly TunnelPipe[];
  readonly status: TunnelStatus;
  readonly statistics: TunnelStatistics;
  /**
   * Closes some of the pipes: visitors are told at once that there is no such name, running requests may finish for at
   * most `drainMs` (default 10_000). The other pipes notice nothing. To close all of them is to close the tunnel.
   *
   * @throws {DuplexityError} `DPX_USAGE` if a name is not of this tunnel's pipes.
   */
  closePipes(names: readonly string[], options?: { readonly drainMs?: number }): Promise<void>;
  /**
   * Says goodbye, so that the names are free at once, lets running requests finish for at most `drainMs` (default 0),
   * then ends. Safe to call again: a second call without `drainMs` ends the waiting of the first.
   */
  close(options?: { readonly drainMs?: number }): Promise<void>;
}
