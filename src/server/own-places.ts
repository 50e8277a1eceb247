// Which node answers what is asked of the server itself: this one, or others that have the role for it. So that clients
// and people may come to any node. Passes on nothing itself.

import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { DuplexityError } from "../protocol/index.ts";
import type { NodeRecord, NodeRole } from "./backend/index.ts";
import type { ForwardTarget } from "./forward.ts";
import { FORWARDED_HEADER, type ForwardedFrom, forwardedField, readForwarded } from "./forwarded-proof.ts";
import type { NodeTls } from "./node-tls.ts";

export interface OwnPlacesOptions {
  readonly nodeId: string;
  readonly roles: readonly NodeRole[];
  readonly secrets: readonly string[];
  /** Those that are there, in the order in which they came. No I/O. */
  readonly nodes: () => readonly NodeRecord[];
  /** What it shows other nodes. @default nothing */
  readonly tls?: NodeTls | null;
}

export interface Wanted {
  /** Without a query. */
  readonly path: string;
  /** The node that has the control socket of this dialer; null if it is none, or this one. */
  readonly nodeId: string | null;
}

/** Nodes that are tried for one request. */
const MAX_TRIED = 3;

export class OwnPlaces {
  readonly #options: OwnPlacesOptions;
  /** Of sockets that another node passes on. */
  readonly #from = new WeakMap<object, ForwardedFrom>();

  constructor(options: OwnPlacesOptions) {
    this.#options = options;
  }

  /**
   * Nodes that have to answer; null: this one does.
   *
   * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE` if there is none.
   */
  elsewhere({ path, nodeId }: Wanted): readonly NodeRecord[] | null {
    const { roles, nodes, nodeId: ownId } = this.#options;
    const others = nodes().filter((node) => node.nodeId !== ownId);
    const named = nodeId === null ? undefined : others.find((node) => node.nodeId === nodeId);
    if (named !== undefined) return [named];
    const role = roleFor(path);
    if (role === null || roles.includes(role)) return null;
    const able = newestAtEach(others).filter((node) => node.roles.includes(role));
    const ready = able.filter(({ isDraining }) => !isDraining);
    if (able.length > 0) return shuffled(ready.length > 0 ? ready : able).slice(0, MAX_TRIED);
    throw new DuplexityError(
      "DPX_SERVER_UNREACHABLE",
      `Cannot pass ${path} on: no node with the role ${role} is there`,
      {
        hint: "Try again in a second.",
      },
    );
  }

  /** Whether this node would have to pass it on: what another one has passed on it does not. */
  mustRefuse(path: string): boolean {
    const role = roleFor(path);
    return role !== null && !this.#options.roles.includes(role);
  }

  /** With what shows each that this node passes it on. */
  targets(nodes: readonly NodeRecord[], request: IncomingMessage, from: ForwardedFrom): readonly ForwardTarget[] {
    const { secrets, tls = null } = this.#options;
    const [secret = ""] = secrets;
    return nodes.map(({ nodeId, internalUrl }) => ({
      ...{ origin: internalUrl, tls },
      proof: forwardedField(from, request, { to: nodeId, secret }),
    }));
  }

  /** Whether another node says that it passes the request on. */
  isForwarded({ headers }: IncomingMessage): boolean {
    return headers[FORWARDED_HEADER] !== undefined;
  }

  /** Believes it. @throws {DuplexityError} `DPX_FORBIDDEN` */
  accept(request: IncomingMessage): ForwardedFrom {
    const { nodeId, secrets } = this.#options;
    const from = readForwarded(request, { to: nodeId, secrets });
    this.#from.set(request.socket, from);
    return from;
  }

  /** Whom a socket stands for that another node passes on; null for every other one. */
  fromOf(socket: Socket): ForwardedFrom | null {
    return this.#from.get(socket) ?? null;
  }
}

function roleFor(path: string): NodeRole | null {
  if (path === "/auth" || path.startsWith("/auth/")) return "auth";
  return path === "/control" || path === "/dialer" || path === "/api" || path.startsWith("/api/") ? "hub" : null;
}

/**
 * A node that died and was started anew is there under two ids until the lease of the first one ends: that one cannot answer
 * any more, since whoever is at its address now is somebody else. Chosen here and not struck off: nodes that tell others an
 * address of theirs which is not unique may both live.
 */
function newestAtEach(nodes: readonly NodeRecord[]): readonly NodeRecord[] {
  return [...new Map(nodes.map((node) => [node.internalUrl, node])).values()];
}

function shuffled<T>(items: readonly T[]): readonly T[] {
  return items
    .map((item) => ({ item, at: Math.random() }))
    .sort((one, other) => one.at - other.at)
    .map(({ item }) => item);
}
