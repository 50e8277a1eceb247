// Every flag of every command as a table: from it come --help, the environment
// variables and the keys of the config file. Loads nothing: `--help` needs it.

import type { ServeLimits } from "../server/index.ts";

/** How a flag's value is read. `switch` has none; `list` may come more than once. */
export type FlagKind = "text" | "switch" | "list" | "count" | "size" | "duration";

export interface Flag {
  /** Its key in the config file. The environment variable follows from it: `tcpPorts` → `DUPLEXITY_TCP_PORTS`. */
  readonly key: string;
  /** As commander reads it. */
  readonly syntax: string;
  readonly kind: FlagKind;
  readonly help: string;
  /** Shown in --help. The default itself belongs to whoever uses the value. */
  readonly fallback?: string;
  /** Heading in --help. */
  readonly group?: string;
  /** No key in the config file: it belongs to one run. */
  readonly isPerRun?: true;
  /** No environment variable either: it says what to do, not how. */
  readonly isAction?: true;
}

export interface LimitFlag extends Flag {
  readonly kind: "count" | "size" | "duration";
  readonly limit: keyof ServeLimits;
}

/** The environment variable of a flag. */
export function variableOf(key: string): string {
  return `DUPLEXITY_${key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`;
}

/** `--tcp-ports` out of `--tcp-ports <from-to>`. */
export function longName(flag: Flag): string {
  return /--[a-z-]+/.exec(flag.syntax)?.[0] ?? flag.syntax;
}

const CONFIG: Flag = {
  ...text("config", "--config <file>", "config file", "./duplexity.json if it exists"),
  isPerRun: true,
};
const JSON_LINES: Flag = { ...toggle("json", "--json", "JSON lines on stdout, nothing else there"), isPerRun: true };
const NO_COLOR: Flag = { ...toggle("noColor", "--no-color", "no colours (as NO_COLOR)"), isPerRun: true };
const SERVER = text("server", "--server <url>", "the server's address", "http://localhost:8080");
const TOKEN_FILE = text("tokenFile", "--token-file <file>", "file with the server's token; or set DUPLEXITY_TOKEN");

/** Limits of `serve`, each with the field of ServeLimits that it sets. */
export const LIMIT_FLAGS: readonly LimitFlag[] = [
  limit("maxClients", "count", "maxClients", "clients", "10000"),
  limit("maxPipes", "count", "maxPipes", "pipes of one client", "32"),
  limit("maxStreams", "count", "maxStreams", "requests at once to one client", "4096"),
  limit("maxVisitors", "count", "maxVisitors", "visitors' connections", "20000"),
  limit("maxUnauthenticated", "count", "maxUnauthenticated", "sockets that have not said who they are", "256"),
  limit("maxHeld", "count", "maxHeld", "requests that wait for a client to come back", "1000"),
  limit("maxHeldBytes", "size", "maxHeldBytes", "memory of waiting requests", "16MiB"),
  limit("maxHeadBytes", "size", "maxHeadBytes", "a request's head", "64KiB"),
  limit("holdTimeout", "duration", "holdTimeoutMs", "for a client to come back to a waiting request", "30s"),
  limit("headTimeout", "duration", "headTimeoutMs", "for a request's head to arrive", "30s"),
  limit("bodyIdleTimeout", "duration", "bodyIdleTimeoutMs", "an upload that has stopped; 0s for no limit", "60s"),
  limit("idleTimeout", "duration", "idleTimeoutMs", "a visitor's connection without a request", "75s"),
  limit("resumeWindow", "duration", "resumeWindowMs", "for a client to come back without loss", "30s"),
  limit("nameGrace", "duration", "graceMs", "a name stays its owner's after the client left", "1d"),
  limit("heartbeatIdle", "duration", "heartbeatIdleMs", "silence after which a link is probed", "10s"),
  limit("heartbeatTimeout", "duration", "heartbeatTimeoutMs", "for the answer to a probe", "5s"),
];

export const SERVE_FLAGS: readonly Flag[] = [
  text("listen", "--listen <host:port>", "everything public, visitors and clients", "127.0.0.1:8080"),
  text("internalListen", "--internal-listen <host:port>", "registry, health: never public", "127.0.0.1:7071"),
  text("domain", "--domain <name>", "pipes are subdomains of it", "localhost"),
  text("publicUrl", "--public-url <url>", "its address, when TLS or another port stands in front"),
  toggle("noAuth", "--no-auth", "each client owns its names by its own key; loopback only"),
  text("adminTokenFile", "--admin-token-file <file>", "the token that clients show; or set DUPLEXITY_ADMIN_TOKEN"),
  text("tlsCert", "--tls-cert <file>", "certificate chain, PEM"),
  text("tlsKey", "--tls-key <file>", "its private key, PEM"),
  text("tcpPorts", "--tcp-ports <from-to>", "public ports for tcp:// pipes, e.g. 20000-20099"),
  list("trustProxy", "--trust-proxy <cidr>", "peer whose forwarding headers are believed (repeatable)"),
  { key: "drain", syntax: "--drain <time>", kind: "duration", help: "to finish requests on stop", fallback: "30s" },
  ...LIMIT_FLAGS,
  text("logLevel", "--log-level <level>", "debug, info, warn or error; on stderr", "info"),
  CONFIG,
  JSON_LINES,
  NO_COLOR,
];

export const UP_FLAGS: readonly Flag[] = [
  list("pipe", "--pipe <name:target>", "a name and what it leads to (repeatable)"),
  SERVER,
  TOKEN_FILE,
  text("basicAuth", "--basic-auth <file>", "only visitors with a password; file with user:password lines"),
  list("allowCidr", "--allow-cidr <cidr>", "only visitors from this network (repeatable)"),
  toggle("login", "--login", "only visitors who sign in with the server"),
  toggle("logRequests", "--log-requests", "print each request (always on a terminal)"),
  { ...toggle("detach", "-d, --detach", "run in the background"), isPerRun: true, isAction: true },
  CONFIG,
  JSON_LINES,
  NO_COLOR,
];

export const DOWN_FLAGS: readonly Flag[] = [
  { ...toggle("all", "--all", "everything that runs here"), isPerRun: true, isAction: true },
  NO_COLOR,
];

export const STATUS_FLAGS: readonly Flag[] = [JSON_LINES, NO_COLOR];

export const LIST_FLAGS: readonly Flag[] = [SERVER, TOKEN_FILE, CONFIG, JSON_LINES, NO_COLOR];

function text(key: string, syntax: string, help: string, fallback?: string): Flag {
  return { key, syntax, kind: "text", help, ...(fallback === undefined ? {} : { fallback }) };
}

function toggle(key: string, syntax: string, help: string): Flag {
  return { key, syntax, kind: "switch", help };
}

function list(key: string, syntax: string, help: string): Flag {
  return { key, syntax, kind: "list", help };
}

function limit(
  key: string,
  kind: LimitFlag["kind"],
  field: keyof ServeLimits,
  help: string,
  fallback: string,
): LimitFlag {
  const dashed = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const placeholder = kind === "count" ? "n" : kind === "size" ? "size" : "time";
  return { key, syntax: `--${dashed} <${placeholder}>`, kind, help, fallback, limit: field, group: "Limits:" };
}
