// The server as a library: hub, backend, proxy and auth in one process, started by `serve()`.

import type { ErrorCode } from "../protocol/index.ts";
import type { OutsideProviderOptions } from "./auth/index.ts";
import type { NodeRole } from "./backend/index.ts";
import type { NodeTls } from "./node-tls.ts";
import type { StoreOptions } from "./store/index.ts";

export type { OutsideProviderOptions } from "./auth/index.ts";
export type { NodeRole } from "./backend/index.ts";
export type { NodeTls } from "./node-tls.ts";
export { serve } from "./serve.ts";
export type { StoreOptions } from "./store/index.ts";

export interface ListenAddress {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
}

/** How clients prove who they are. There is no default: a server without one does not start. */
export type IdentityOptions =
  /** Each client proves itself by its own key. Refused unless every listener is on loopback. */
  { readonly kind: "no-auth" } | AccountsOptions;

/** People sign in, machines have tokens. */
export interface AccountsOptions {
  readonly kind: "accounts";
  /** Where accounts, tokens, bans and signing keys are kept. */
  readonly store: StoreOptions | BackendStoreOptions;
  /** A bearer token that makes an admin of whoever shows it, for automation: 16 characters at least. */
  readonly adminToken?: string;
  /** People who sign in at another OpenID provider. */
  readonly outside?: OutsideProviderOptions;
  /** Whether people may sign in by a password of this server. @default true */
  readonly hasPasswords?: boolean;
}

/** At the nodes of `ClusterServeOptions.backends`. */
export interface BackendStoreOptions {
  readonly kind: "backend";
}

/** Nodes that act as one. */
export interface ClusterServeOptions {
  /** The Redis that all nodes with the role backend share: those, and only those, know it. */
  readonly redisUrl?: string;
  /** Internal listeners of nodes with the role backend, `http(s)://host:port`, for a node without it. */
  readonly backends?: readonly string[];
  /** One, or two while it is changed: the first is shown, both are accepted. 16 characters at least. */
  readonly secrets: readonly string[];
  /** How other nodes reach the internal listener. @default its own address, if that is no wildcard */
  readonly nodeUrl?: string;
  /** How clients reach this very node, and not another one behind the same load balancer. @default not at all */
  readonly nodePublicUrl?: string;
}

export interface ServeLimits {
  /** Sockets that have not said who they are. @default 256 */
  readonly maxUnauthenticated: number;
  /** @default 10_000 */
  readonly maxClients: number;
  /** Pipes of one client. @default 32 */
  readonly maxPipes: number;
  /** Clients of one owner that are connected to this node. @default 100 */
  readonly maxClientsPerOwner: number;
  /** Names that the clients of one owner hold on this node. @default 200 */
  readonly maxPipesPerOwner: number;
  /** Visitors' connections and requests that are open at once to one owner's pipes; those beyond get 429. @default 4_096 */
  readonly maxConnectionsPerOwner: number;
  /** Bytes in a second to and from one owner's pipes; what is more waits. 0: as many as there come. @default 0 */
  readonly maxBytesPerSecondPerOwner: number;
  /** Streams open at once in one session. @default 4_096 */
  readonly maxStreams: number;
  /** Visitors' connections. @default 20_000 */
  readonly maxVisitors: number;
  /** Requests that wait for a client to come back, in all. @default 1_000 */
  readonly maxHeld: number;
  /** Bytes that held requests may keep in memory, in all. @default 16_777_216 */
  readonly maxHeldBytes: number;
  /** How long a request is held. @default 30_000 */
  readonly holdTimeoutMs: number;
  /** A request's head, in bytes. @default 65_536 */
  readonly maxHeadBytes: number;
  /** @default 30_000 */
  readonly headTimeoutMs: number;
  /**
   * How long a visitor that owes more of its request's body may send nothing while nothing else moves either; then 408.
   * 0: for ever. Answers, event streams and upgrades may be silent for as long as they like. @default 60_000
   */
  readonly bodyIdleTimeoutMs: number;
  /** A visitor's keep-alive connection without a request. @default 75_000 */
  readonly idleTimeoutMs: number;
  /** @default 30_000 */
  readonly resumeWindowMs: number;
  /** How long a name stays its owner's after the client went. @default 86_400_000 */
  readonly graceMs: number;
  /** Silence on a link after which it is probed. @default 10_000 */
  readonly heartbeatIdleMs: number;
  /** How long a probe may stay unanswered. @default 5_000 */
  readonly heartbeatTimeoutMs: number;
}

/** What a line of the log is about, where it concerns one request. */
export interface LogFacts {
  /** As in the field `Duplexity-Request` of an answer that is the server's own. */
  readonly requestId?: string;
  /** Of the request's `traceparent` (W3C Trace Context). */
  readonly traceId?: string;
}

export interface ServeOptions {
  readonly identity: IdentityOptions;
  /**
   * What this node does: `auth` signs people in, `backend` keeps the registry, `hub` has the clients' sockets, `proxy`
   * takes visitors. @default all of them
   */
  readonly roles?: readonly NodeRole[];
  /** Other nodes that this one acts with. @default none */
  readonly cluster?: ClusterServeOptions;
  /** @default 127.0.0.1:8080 */
  readonly listen?: ListenAddress;
  /** @default 127.0.0.1:7071 */
  readonly internalListen?: ListenAddress;
  /** Whether `internalListen` may be an address that strangers reach. @default false */
  readonly mayInternalBePublic?: boolean;
  /** Certificates for the internal listener, and for calls to those of other nodes. @default none: http */
  readonly internalTls?: NodeTls;
  /** @default "localhost" */
  readonly domain?: string;
  /** Where visitors and clients reach the public listener, when that is not its own address. */
  readonly publicUrl?: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  readonly tcpPorts?: { readonly from: number; readonly to: number };
  /** CIDRs whose forwarding headers are believed. @default [] */
  readonly trustProxy?: readonly string[];
  readonly limits?: Partial<ServeLimits>;
  /** One line for people about what happens; never a secret. */
  readonly log?: (level: "debug" | "info" | "warn" | "error", message: string, facts?: LogFacts) => void;
}

export interface ServerStopped {
  readonly code: ErrorCode | null;
}

/** A link by which the first admin is made. */
export interface Claim {
  readonly url: string;
  /** Unix time in ms. */
  readonly expiresAt: number;
  /** Resolves when it is of no use any more: used, replaced, or over. */
  readonly ended: Promise<void>;
}

export interface Server {
  /** `http://127.0.0.1:8080` */
  readonly publicUrl: string;
  readonly internalUrl: string;
  readonly domain: string;
  readonly nodeId: string;
  /** The link by which the first admin is made, while there is none. A secret: for the terminal, never for a log. */
  readonly claim: Claim | null;
  /** No new work; waits for what runs, at most `deadlineMs`; then closes. */
  drain(deadlineMs: number): Promise<void>;
  /** Ends everything now. */
  close(): Promise<void>;
}
