// What a hub is given, what it tells of itself, and what is handed to it: types only.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import type { Attempts } from "../attempts.ts";
import type { Registry } from "../backend/registry.ts";
import type { Admission, Authenticator, Identity } from "../identity/index.ts";
import type { ServeLimits } from "../index.ts";
import type { Load } from "../load-level.ts";
import type { Route } from "../routes.ts";
import type { LobbyPlace } from "./lobby.ts";
import type { PortOpener } from "./registrar.ts";
import type { ClusterOptions, RelayStatistics } from "./relays.ts";

export interface HubOptions {
  readonly registry: Registry;
  readonly admission: Admission;
  readonly authenticator: Pick<Authenticator, "authenticateToken" | "current" | "isGone">;
  readonly attempts: Attempts;
  readonly nodeId: string;
  readonly domain: string;
  /** `duplexity/0.1.0 node/20.20.2` */
  readonly software: string;
  /** `ws(s)://…/dialer`, as a client reaches it that has reached control at `host`. */
  readonly dataPlaneUri: (host: string) => string;
  /** What a visitor opens. */
  readonly urlOf: (hostname: string, tcpPort: number | undefined) => string;
  readonly limits: Omit<ServeLimits, "maxUnauthenticated">;
  /** Null: no TCP pipes. */
  readonly ports: PortOpener | null;
  /** The other nodes. Null: there are none. @default null */
  readonly cluster?: ClusterOptions | null;
  /** How much this node has to do. @default normal, always */
  readonly load?: () => Load;
  /** Whether visitors can sign in with this server: else a pipe that asks for it is refused. @default false */
  readonly canSignIn?: boolean;
  /** A route came, changed or (null) went. */
  readonly onRouteChange?: (previous: Route | null, next: Route | null) => void;
  /** Clients at other hubs have lost names to one that is registered here: they are to be looked at. @default at the next renewal */
  readonly onReplaced?: (clientIds: readonly string[]) => void;
  readonly log: (level: "debug" | "info" | "warn" | "error", message: string) => void;
  /** When the registry last answered this node, by `performance.now()`. @default it never did */
  readonly registryAnsweredAt?: () => number;
  /** How often leases are renewed. @default 10_000 */
  readonly renewEveryMs?: number;
  /** How long a dial ticket is good for. @default 30_000 */
  readonly ticketTtlMs?: number;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

/** What is in the hub's tables at this moment. */
export interface HubStatistics extends RelayStatistics {
  readonly clients: number;
  /** Clients with a link that carries packets. */
  readonly links: number;
  /** Streams that are open in all sessions. */
  readonly streams: number;
  readonly controls: number;
  readonly dialers: number;
  readonly tickets: number;
  readonly routes: number;
  readonly waiters: number;
}

/** A request for one of the hub's sockets, whose sender is known. The place in the lobby is left with its first message. */
export interface HubUpgrade {
  readonly request: IncomingMessage;
  readonly socket: Socket;
  readonly head: Buffer;
  readonly identity: Identity;
  readonly place: LobbyPlace;
  /** Whom its attempts count for besides its owner; null for an address behind which are many. */
  readonly sender: string | null;
}
