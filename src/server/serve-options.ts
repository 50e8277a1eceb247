// What `serve()` was asked for, checked, with every default filled in. Opens nothing.

import { X509Certificate } from "node:crypto";
import { BlockList, isIP, isIPv6 } from "node:net";
import { createSecureContext } from "node:tls";
import {
  asDuplexityError,
  canonicalHostname,
  DuplexityError,
  isLabel,
  MAX_HOSTNAME_CHARS,
  RESUME_WINDOW_MS,
} from "../protocol/index.ts";
import { NODE_ROLES, type NodeRole } from "./backend/index.ts";
import { checkCluster, checkRoles, type ResolvedCluster } from "./cluster-options.ts";
import { isLoopbackHost } from "./identity/index.ts";
import type { IdentityOptions, ListenAddress, ServeLimits, ServeOptions } from "./index.ts";
import { checkNodeCertificate, checkNodeUse } from "./node-certificate.ts";
import type { NodeTls } from "./node-tls.ts";
import { DEFAULT_PROXY_LIMITS, isOwnHost } from "./proxy/index.ts";

export const DEFAULT_LIMITS: ServeLimits = {
  ...DEFAULT_PROXY_LIMITS,
  maxUnauthenticated: 256,
  maxClients: 10_000,
  maxPipes: 32,
  maxClientsPerOwner: 100,
  maxPipesPerOwner: 200,
  maxConnectionsPerOwner: 4_096,
  maxBytesPerSecondPerOwner: 0,
  maxStreams: 4_096,
  resumeWindowMs: RESUME_WINDOW_MS,
  graceMs: 86_400_000,
  heartbeatIdleMs: 10_000,
  heartbeatTimeoutMs: 5_000,
};

/** What each limit may be at most: a message has no room for more pipes, a timer counts in 31 bits. */
const HIGHEST: Partial<Record<keyof ServeLimits, number>> = {
  maxPipes: 64,
  maxHeadBytes: 1_048_576,
  holdTimeoutMs: 2 ** 31 - 1,
  headTimeoutMs: 2 ** 31 - 1,
  bodyIdleTimeoutMs: 2 ** 31 - 1,
  idleTimeoutMs: 2 ** 31 - 1,
  resumeWindowMs: 2 ** 31 - 1,
  heartbeatIdleMs: 2 ** 31 - 1,
  heartbeatTimeoutMs: 2 ** 31 - 1,
};
/** Zero makes sense for these alone: no rate, nothing is held, no upload is cut, nobody resumes, names are free at once. */
const MAY_BE_ZERO: ReadonlySet<keyof ServeLimits> = new Set([
  "maxBytesPerSecondPerOwner",
  "maxHeld",
  "maxHeldBytes",
  "holdTimeoutMs",
  "bodyIdleTimeoutMs",
  "resumeWindowMs",
  "graceMs",
]);

export interface ResolvedServeOptions {
  readonly identity: IdentityOptions;
  readonly roles: readonly NodeRole[];
  readonly cluster: ResolvedCluster | null;
  readonly listen: ListenAddress;
  readonly internalListen: ListenAddress;
  readonly mayInternalBePublic: boolean;
  readonly domain: string;
  readonly publicUrl: URL | null;
  readonly tls: { readonly cert: string; readonly key: string } | null;
  readonly internalTls: NodeTls | null;
  readonly tcpPorts: { readonly from: number; readonly to: number } | null;
  readonly trustProxy: BlockList;
  readonly limits: ServeLimits;
  readonly log: NonNullable<ServeOptions["log"]>;
}

/** @throws {DuplexityError} `DPX_USAGE` with what would be right. */
export function resolveServeOptions(options: ServeOptions): ResolvedServeOptions {
  const listen = checkAddress(options.listen ?? { host: "127.0.0.1", port: 8080 }, "--listen");
  const internalListen = checkAddress(options.internalListen ?? { host: "127.0.0.1", port: 7071 }, "--internal-listen");
  checkIdentity(options.identity, [
    { flag: "--listen", host: listen.host },
    { flag: "--internal-listen", host: internalListen.host },
  ]);
  const domain = checkDomain(options.domain ?? "localhost");
  const roles = checkRoles(options.roles ?? NODE_ROLES);
  const tcpPorts = options.tcpPorts === undefined ? null : checkPorts(options.tcpPorts, [listen, internalListen]);
  const internalTls = options.internalTls === undefined ? null : checkTls(options.internalTls, "--internal-tls");
  if (internalTls !== null) checkNodeCertificate(internalTls);
  const { identity } = options;
  const cluster = checkCluster(options.cluster ?? null, { roles, identity, internalListen, tcpPorts, internalTls });
  if (cluster !== null && internalTls !== null) {
    const host = cluster.nodeUrl === undefined ? internalListen.host : new URL(cluster.nodeUrl).hostname;
    checkNodeUse(internalTls, host.replace(/^\[|\]$/g, ""));
  }
  return {
    ...{ identity, roles, tcpPorts, internalTls, cluster },
    listen,
    internalListen,
    mayInternalBePublic: options.mayInternalBePublic ?? false,
    domain,
    publicUrl: options.publicUrl === undefined ? null : checkPublicUrl(options.publicUrl, domain),
    tls: options.tls === undefined ? null : checkTls(options.tls, "--tls"),
    trustProxy: checkNetworks(options.trustProxy ?? []),
    limits: checkLimits(options.limits ?? {}),
    log: options.log ?? (() => {}),
  };
}

/** There is no default way in: a server without a rule for who may use it does not start. */
function checkIdentity(
  identity: IdentityOptions | undefined,
  listeners: readonly { flag: string; host: string }[],
): void {
  if (identity === undefined) {
    throw usage("Cannot start: nothing says who may open pipes on this server, wanted accounts or no-auth");
  }
  if (identity.kind === "accounts") {
    if (identity.hasPasswords === false && identity.outside === undefined && identity.adminToken === undefined) {
      throw usage("Cannot start: nobody could sign in, with neither passwords nor another provider nor an admin token");
    }
    return;
  }
  for (const { flag, host } of listeners) {
    if (isLoopbackHost(host)) continue;
    throw usage(`Cannot start with --no-auth: ${flag} ${host} can be reached from other machines`, {
      hint: "Listen on 127.0.0.1, or let people sign in: leave --no-auth out.",
    });
  }
}

function checkAddress(address: ListenAddress, flag: string): ListenAddress {
  const { port } = address;
  const host = address.host.startsWith("[") && address.host.endsWith("]") ? address.host.slice(1, -1) : address.host;
  const isName = canonicalHostname(host).split(".").every(isLabel);
  if (isIP(host) === 0 && !isName)
    throw usage(`Cannot listen on "${host}" (${flag}): it is neither an address nor a name`);
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return { host, port };
  throw usage(`Cannot listen on port ${port} (${flag}): a port is a number from 0 to 65535`);
}

function checkDomain(text: string): string {
  const domain = canonicalHostname(text);
  const isName = domain.split(".").every(isLabel) && isIP(domain) === 0;
  if (isName && domain.length <= MAX_HOSTNAME_CHARS) return domain;
  throw usage(`Cannot use the domain "${text}": it is not a DNS name`, {
    hint: "Write --domain tunnel.example.com; pipes are then at <name>.tunnel.example.com.",
  });
}

function checkPublicUrl(text: string, domain: string): URL {
  const hint = "Write --public-url https://tunnel.example.com.";
  if (!URL.canParse(text)) throw usage(`Cannot use the public URL "${text}": it is not a URL`, { hint });
  const url = new URL(text);
  if (url.username !== "" || url.password !== "")
    throw usage("Cannot use the public URL: it has a user in it", { hint });
  const isBare = url.pathname === "/" && url.search === "" && url.hash === "";
  if ((url.protocol === "http:" || url.protocol === "https:") && isBare) return checkPublicHost(url, domain);
  throw usage(`Cannot use the public URL "${text}": it is http:// or https://, a host and nothing behind it`, { hint });
}

/** Clients dial this host: it has to be the server itself, not a pipe that nobody has. */
function checkPublicHost(url: URL, domain: string): URL {
  const host = canonicalHostname(url.hostname);
  if (isOwnHost(host, domain)) return url;
  throw usage(`Cannot use the public URL "${url.origin}": its host is not the domain, which is "${domain}"`, {
    hint: `Write --domain ${host} as well.`,
  });
}

/** @param flags How they begin: `--tls`. */
function checkTls<T extends { readonly cert: string; readonly key: string; readonly ca?: string }>(
  tls: T,
  flags: string,
): T {
  try {
    createSecureContext({ ...tls });
    // An empty file would do for the context.
    new X509Certificate(tls.cert);
  } catch (cause) {
    const why = asDuplexityError(cause).message;
    throw usage(`Cannot serve TLS: certificate and key do not fit (${why})`, {
      hint: `${flags}-cert is a PEM file with the certificate and its chain, ${flags}-key one with its private key.`,
      cause,
    });
  }
  return tls;
}

function checkPorts(
  range: { readonly from: number; readonly to: number },
  listeners: readonly ListenAddress[],
): { readonly from: number; readonly to: number } {
  const { from, to } = range;
  if (!Number.isInteger(from) || !Number.isInteger(to) || from < 1 || to > 65_535 || from > to) {
    throw usage(`Cannot use the TCP ports ${from}-${to}: write a range from 1 to 65535, such as 20000-20099`);
  }
  const inside = listeners.find(({ port }) => port >= from && port <= to);
  if (inside === undefined) return range;
  throw usage(`Cannot use the TCP ports ${from}-${to}: the server itself listens on ${inside.port}`);
}

function checkNetworks(cidrs: readonly string[]): BlockList {
  const networks = new BlockList();
  for (const cidr of cidrs) {
    const [, address = "", bits] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(cidr.trim()) ?? [];
    const most = isIPv6(address) ? 128 : 32;
    const prefix = bits === undefined ? most : Number(bits);
    if (isIP(address) === 0 || prefix > most) {
      throw usage(`Cannot trust the proxy "${cidr}": it is not a network such as 10.0.0.0/8 or ::1/128`);
    }
    networks.addSubnet(address, prefix, isIPv6(address) ? "ipv6" : "ipv4");
  }
  return networks;
}

function checkLimits(limits: Partial<ServeLimits>): ServeLimits {
  const given: ServeLimits = { ...DEFAULT_LIMITS, ...limits };
  for (const name of Object.keys(DEFAULT_LIMITS)) {
    if (!isLimit(name)) continue;
    const lowest = MAY_BE_ZERO.has(name) ? 0 : 1;
    const highest = HIGHEST[name] ?? Number.MAX_SAFE_INTEGER;
    const value = given[name];
    if (Number.isSafeInteger(value) && value >= lowest && value <= highest) continue;
    const range = highest === Number.MAX_SAFE_INTEGER ? `at least ${lowest}` : `from ${lowest} to ${highest}`;
    throw usage(`Cannot use the limit ${name} = ${value}: it is a whole number, ${range}`);
  }
  return given;
}

function isLimit(name: string): name is keyof ServeLimits {
  return Object.hasOwn(DEFAULT_LIMITS, name);
}

function usage(message: string, options: { hint?: string; cause?: unknown } = {}): DuplexityError {
  return new DuplexityError("DPX_USAGE", message, options);
}
