// What `serve()` was told of the nodes that it acts with: roles, and the way to what they share. Opens nothing.

import { DuplexityError } from "../protocol/index.ts";
import { NODE_ROLES, type NodeRole } from "./backend/index.ts";
import type { ClusterServeOptions, IdentityOptions, ListenAddress } from "./index.ts";
import { checkSecrets } from "./peer/index.ts";

/** Nodes that act as one, as this one knows them. */
export interface ResolvedCluster {
  readonly secrets: readonly string[];
  readonly nodeUrl?: string;
  readonly nodePublicUrl?: string;
  readonly shared: /** A backend node itself. */
    | { readonly kind: "redis"; readonly url: string }
    /** By way of backend nodes. */
    | { readonly kind: "nodes"; readonly origins: readonly string[] };
}

interface Surroundings {
  readonly roles: readonly NodeRole[];
  readonly identity: IdentityOptions;
  readonly internalListen: ListenAddress;
  readonly tcpPorts: object | null;
  readonly internalTls: object | null;
}

const SECRET_HINT = "Add --cluster-secret-file FILE, the same for all.";
/** What a node with public ports of its own does. */
const PORT_ROLES: readonly NodeRole[] = ["backend", "hub", "proxy"];
/** Backend nodes that one node knows by name. */
const MAX_BACKENDS = 16;

/** @throws {DuplexityError} `DPX_USAGE` for none, one that there is not, or one twice. */
export function checkRoles(roles: readonly string[]): readonly NodeRole[] {
  if (roles.length === 0) throw usage("Cannot start without a role", `Name some of ${NODE_ROLES.join(", ")}.`);
  for (const [index, role] of roles.entries()) {
    if (!NODE_ROLES.some((known) => known === role)) {
      throw usage(`Cannot take the role "${role}": there is no such role`, `There are ${NODE_ROLES.join(", ")}.`);
    }
    if (roles.indexOf(role) !== index) throw usage(`Cannot take the role "${role}" twice`, "Name each once.");
  }
  return NODE_ROLES.filter((role) => roles.includes(role));
}

/** @throws {DuplexityError} `DPX_USAGE` if roles, Redis, backend nodes and accounts do not fit together. */
export function checkCluster(cluster: ClusterServeOptions | null, around: Surroundings): ResolvedCluster | null {
  const { roles, identity } = around;
  const isAtBackend = identity.kind === "accounts" && identity.store.kind === "backend";
  if (cluster === null) {
    const [missing] = NODE_ROLES.filter((role) => !roles.includes(role));
    if (missing !== undefined) {
      throw usage(`Cannot start without the role ${missing}: no other node is there to have it`, SECRET_HINT);
    }
    if (isAtBackend) throw usage("Cannot have the accounts at a backend: this node knows none", "Add --backend URL.");
    return null;
  }
  checkSecrets(cluster.secrets);
  checkOwnUrl(cluster, around);
  const { secrets, nodeUrl, nodePublicUrl } = cluster;
  const isBackend = roles.includes("backend");
  if (nodePublicUrl !== undefined && !roles.includes("hub")) {
    throw usage(
      "Cannot use --node-public-url without the role hub: clients have links to hubs alone",
      "Leave it out, or name hub in --roles as well.",
    );
  }
  // Before the accounts: where they are follows from it.
  const shared = isBackend ? checkRedis(cluster) : checkBackends(cluster, around);
  if (around.tcpPorts !== null && !PORT_ROLES.every((role) => roles.includes(role))) {
    throw usage(
      `Cannot have TCP ports without the roles ${PORT_ROLES.join(", ")}: one node gives a port out, opens it and takes its visitors`,
      "Leave --tcp-ports out, or run nodes with all roles.",
    );
  }
  if (isBackend && isAtBackend) throw usage("Cannot have the accounts at a backend: this is one itself");
  if (!isBackend && identity.kind === "accounts" && !isAtBackend) {
    throw usage("Cannot keep accounts without the role backend: they are at the backend", "Add --backend URL.");
  }
  return {
    ...{ secrets, shared },
    ...(nodeUrl === undefined ? {} : { nodeUrl }),
    ...(nodePublicUrl === undefined ? {} : { nodePublicUrl }),
  };
}

/** What a node alone need not be told. */
function checkOwnUrl({ nodeUrl }: ClusterServeOptions, { internalListen: { host }, internalTls }: Surroundings): void {
  const scheme = internalTls === null ? "http" : "https";
  if (nodeUrl !== undefined) {
    if (nodeUrl.startsWith(`${scheme}://`)) return;
    throw usage(
      `Cannot be reached at ${nodeUrl}: --internal-listen speaks ${scheme}`,
      `Write --node-url ${scheme}://…`,
    );
  }
  if (host !== "0.0.0.0" && host !== "::") return;
  throw usage(
    `Cannot join other nodes: --internal-listen ${host} does not say where they reach this one`,
    `Add --node-url ${scheme}://ADDRESS:PORT.`,
  );
}

function checkRedis({ redisUrl, backends = [] }: ClusterServeOptions): ResolvedCluster["shared"] {
  if (backends.length > 0) {
    throw usage(
      "Cannot have both the role backend and --backend: a backend node asks Redis itself",
      "Leave --backend out, or the role: --roles hub,proxy",
    );
  }
  if (redisUrl === undefined) throw usage("Cannot join other nodes: they share no Redis", "Add --redis URL.");
  return { kind: "redis", url: redisUrl };
}

function checkBackends(
  { redisUrl, backends = [] }: ClusterServeOptions,
  { internalTls }: Surroundings,
): ResolvedCluster["shared"] {
  if (redisUrl !== undefined) {
    throw usage(
      "Cannot use --redis without the role backend: only backend nodes know Redis",
      "Add --backend URL instead, the internal listener of a node with --roles backend.",
    );
  }
  if (backends.length === 0) {
    throw usage(
      "Cannot start without the role backend: no node is named that has it",
      "Add --backend URL, the internal listener of a node with --roles backend.",
    );
  }
  if (backends.length > MAX_BACKENDS) throw usage(`Cannot know more than ${MAX_BACKENDS} backend nodes`);
  const origins = [...new Set(backends.map(checkOrigin))];
  const secure = origins.find((origin) => origin.startsWith("https:"));
  if (internalTls === null && secure !== undefined) {
    throw usage(
      `Cannot ask the backend ${secure}: this node has no certificate to show it`,
      "Add --internal-tls-cert, --internal-tls-key and --internal-tls-ca, or write http://, as the backend node has it.",
    );
  }
  return { kind: "nodes", origins };
}

function checkOrigin(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : null;
  const isOrigin = url !== null && (url.protocol === "http:" || url.protocol === "https:") && url.pathname === "/";
  if (isOrigin && url.search === "" && url.hash === "" && url.username === "") return url.origin;
  throw usage(`Cannot use the backend "${text}": it is not an address`, "Write --backend http://10.0.0.7:7071.");
}

function usage(message: string, hint?: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", message, { hint });
}
