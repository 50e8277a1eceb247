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
const SERVER = text(
  "server",
  "--server <url>",
  "the server's address",
  "where you signed in last, else http://localhost:8080",
);
const TOKEN_FILE = text(
  "tokenFile",
  "--token-file <file>",
  "file with a token; or set DUPLEXITY_TOKEN",
  "your sign-in",
);

/** Limits of `serve`, each with the field of ServeLimits that it sets. */
export const LIMIT_FLAGS: readonly LimitFlag[] = [
  limit("maxClients", "count", "maxClients", "clients", "10000"),
  limit("maxPipes", "count", "maxPipes", "pipes of one client", "32"),
  limit("maxClientsPerOwner", "count", "maxClientsPerOwner", "clients of one user", "100"),
  limit("maxPipesPerOwner", "count", "maxPipesPerOwner", "pipes of one user, over all clients", "200"),
  limit("maxConnectionsPerOwner", "count", "maxConnectionsPerOwner", "connections at once to one user's pipes", "4096"),
  limit(
    "maxBytesPerSecondPerOwner",
    "size",
    "maxBytesPerSecondPerOwner",
    "bytes a second to and from one user's pipes; 0 for no limit",
    "0",
  ),
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

/** Several nodes that act as one. */
const CLUSTER_FLAGS: readonly Flag[] = [
  text("roles", "--roles <list>", "what this node does, e.g. hub,proxy", "auth,backend,hub,proxy"),
  list("backend", "--backend <url>", "a backend node's --internal-listen, for nodes without that role (repeatable)"),
  text(
    "clusterSecretFile",
    "--cluster-secret-file <file>",
    "shared by all nodes, two while it is changed; or set DUPLEXITY_CLUSTER_SECRET",
  ),
  text("nodeUrl", "--node-url <url>", "how other nodes reach --internal-listen", "its address"),
  text("nodePublicUrl", "--node-public-url <url>", "how clients reach this very node, for a second link to it"),
  text("internalTlsCert", "--internal-tls-cert <file>", "certificate for --internal-listen, shown to other nodes too"),
  text("internalTlsKey", "--internal-tls-key <file>", "its private key"),
  text("internalTlsCa", "--internal-tls-ca <file>", "whose certificates other nodes have"),
].map((flag) => ({ ...flag, group: "Many nodes:" }));

/** People who sign in at another provider. */
const OIDC_FLAGS: readonly Flag[] = [
  text("oidcIssuer", "--oidc-issuer <url>", "let people sign in there"),
  text("oidcClientId", "--oidc-client-id <id>", "what this server is called there"),
  text("oidcClientSecretFile", "--oidc-client-secret-file <file>", "its secret; or set DUPLEXITY_OIDC_CLIENT_SECRET"),
  list("oidcDomain", "--oidc-domain <domain>", "only addresses of it (repeatable)"),
  list("oidcGroup", "--oidc-group <group>", "only members of it (repeatable)"),
  text("oidcAdmin", "--oidc-admin <claim=value>", "who has this claim is an admin"),
  toggle("oidcOnly", "--oidc-only", "no passwords of this server's own"),
].map((flag) => ({ ...flag, group: "People from another OpenID provider:" }));

export const SERVE_FLAGS: readonly Flag[] = [
  text("listen", "--listen <host:port>", "everything public, visitors and clients", "127.0.0.1:8080"),
  text("internalListen", "--internal-listen <host:port>", "registry, health: never public", "127.0.0.1:7071"),
  toggle("internalPublic", "--internal-public", "let --internal-listen be an address that strangers reach"),
  text("domain", "--domain <name>", "pipes are subdomains of it", "localhost"),
  text("publicUrl", "--public-url <url>", "its address, when TLS or another port stands in front"),
  text("data", "--data <dir>", "accounts, tokens, bans, keys: a folder of its own", "the platform's data folder"),
  text("redis", "--redis <url>", "keep them in Redis instead; with a password: set DUPLEXITY_REDIS"),
  ...CLUSTER_FLAGS,
  toggle("noAuth", "--no-auth", "no accounts: each client owns its names by its own key; loopback only"),
  text("adminTokenFile", "--admin-token-file <file>", "an admin's token, for automation; or set DUPLEXITY_ADMIN_TOKEN"),
  ...OIDC_FLAGS,
  text("tlsCert", "--tls-cert <file>", "certificate chain, PEM"),
  text("tlsKey", "--tls-key <file>", "its private key, PEM"),
  text("tcpPorts", "--tcp-ports <from-to>", "public ports for tcp:// pipes, e.g. 20000-20099"),
  list("trustProxy", "--trust-proxy <cidr>", "peer whose forwarding headers are believed (repeatable)"),
  { key: "drain", syntax: "--drain <time>", kind: "duration", help: "to finish requests on stop", fallback: "30s" },
  ...LIMIT_FLAGS,
  action(
    toggle("printConfig", "--print-config", "print what all this comes to, and from where, as JSON; start nothing"),
  ),
  text("logLevel", "--log-level <level>", "debug, info, warn or error; on stderr", "info"),
  text("logFormat", "--log-format <format>", "json or pretty", "pretty on a terminal, else json"),
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
  count("links", "--links <n>", "links to different hubs of a cluster at once, 1 or 2", "2"),
  toggle("logRequests", "--log-requests", "print each request (always on a terminal)"),
  action(toggle("detach", "-d, --detach", "run in the background")),
  CONFIG,
  JSON_LINES,
  NO_COLOR,
];

export const DOWN_FLAGS: readonly Flag[] = [action(toggle("all", "--all", "everything that runs here")), NO_COLOR];

export const STATUS_FLAGS: readonly Flag[] = [JSON_LINES, NO_COLOR];

/** Of the commands that ask the server's API. */
export const API_FLAGS: readonly Flag[] = [SERVER, TOKEN_FILE, CONFIG, JSON_LINES, NO_COLOR];

export const LIST_FLAGS: readonly Flag[] = [action(toggle("bans", "--bans", "who is banned (admin)")), ...API_FLAGS];

export const LOGIN_FLAGS: readonly Flag[] = [
  action(toggle("device", "--device", "sign in on another device, by a code: for a machine without a browser")),
  action(toggle("noBrowser", "--no-browser", "print the address, open nothing")),
  action(toggle("qr", "--qr", "show the address as a QR code, for a phone (with --device's code)")),
  action(toggle("withToken", "--with-token", "read a token from stdin instead of signing in")),
  ...[SERVER, CONFIG, JSON_LINES, NO_COLOR],
];

export const LOGOUT_FLAGS: readonly Flag[] = [SERVER, CONFIG, NO_COLOR];

export const KICK_FLAGS: readonly Flag[] = [
  action(text("reason", "--reason <text>", "why: its owner reads it")),
  action(text("ban", "--ban <time>", "keep it out as well: 10m, 2h, 7d or forever")),
  action(toggle("yes", "-y, --yes", "don't ask")),
  ...API_FLAGS,
];

export const AUDIT_FLAGS: readonly Flag[] = [
  action(count("limit", "--limit <n>", "the newest so many events", "100")),
  ...API_FLAGS,
];

export const USER_ADD_FLAGS: readonly Flag[] = [
  action(toggle("admin", "--admin", "may see and end what belongs to others, and manage people")),
  action(list("names", "--names <pattern>", "may open these names only, e.g. ben-* (repeatable)")),
  ...API_FLAGS,
];

export const TOKEN_CREATE_FLAGS: readonly Flag[] = [
  action(list("names", "--names <pattern>", "good for these names only, e.g. ci-* (repeatable)")),
  action(text("expires", "--expires <time>", "ends after this: 12h, 30d", "never")),
  action(text("user", "--user <name>", "whose token it is (admin)", "yours")),
  ...API_FLAGS,
];

/** Every flag of every command, for whoever looks for one by its variable. */
export const ALL_FLAGS: readonly Flag[] = [
  ...[...UP_FLAGS, ...DOWN_FLAGS, ...STATUS_FLAGS, ...LIST_FLAGS, ...SERVE_FLAGS, ...LOGIN_FLAGS, ...LOGOUT_FLAGS],
  ...[...KICK_FLAGS, ...AUDIT_FLAGS, ...USER_ADD_FLAGS, ...TOKEN_CREATE_FLAGS],
];

function text(key: string, syntax: string, help: string, fallback?: string): Flag {
  return { key, syntax, kind: "text", help, ...(fallback === undefined ? {} : { fallback }) };
}

function toggle(key: string, syntax: string, help: string): Flag {
  return { key, syntax, kind: "switch", help };
}

function list(key: string, syntax: string, help: string): Flag {
  return { key, syntax, kind: "list", help };
}

function count(key: string, syntax: string, help: string, fallback: string): Flag {
  return { key, syntax, kind: "count", help, fallback };
}

/** Says what to do, not how: it stands on the command line or nowhere. */
function action(flag: Flag): Flag {
  return { ...flag, isPerRun: true, isAction: true };
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
