// What a pipe leads to: reads the forms that `up` understands. Pure: resolves
// no name and dials nothing.

import { isIP, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";
import { DuplexityError, type PipeProtocol } from "../protocol/index.ts";

export type TargetAddress =
  | { readonly kind: "host"; readonly host: string; readonly port: number }
  | { readonly kind: "unix"; readonly path: string };

export interface Target {
  /** What the server's side speaks on it. */
  readonly protocol: PipeProtocol;
  readonly address: TargetAddress;
  /** `insecure`: encrypted, but any certificate will do. */
  readonly tls: "none" | "verified" | "insecure";
  /** Canonical form: `http://localhost:9090`, `tcp://[::1]:5432`, `unix:/run/app.sock`. */
  readonly text: string;
}

/** Named in hints. */
export const TARGET_FORMS =
  "9090, host:port, http://host:port, https://host:port, https+insecure://host:port, tcp://host:port or unix:/path";

interface Scheme {
  readonly protocol: PipeProtocol;
  readonly tls: Target["tls"];
  /** Null: the port must be given. */
  readonly defaultPort: number | null;
}

const SCHEMES: ReadonlyMap<string, Scheme> = new Map<string, Scheme>([
  ["http", { protocol: "http", tls: "none", defaultPort: 80 }],
  ["https", { protocol: "http", tls: "verified", defaultPort: 443 }],
  ["https+insecure", { protocol: "http", tls: "insecure", defaultPort: 443 }],
  ["tcp", { protocol: "tcp", tls: "none", defaultPort: null }],
]);

/** A longer path does not fit into a `sockaddr_un` (unix(7)) and would be cut. */
const MAX_UNIX_PATH_BYTES = 107;
const MAX_HOST_CHARS = 253;
/** Underscores are in no hostname, but in the names of containers. */
const HOST_LABEL = /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/;

/**
 * Reads a target: `9090`, `host:port`, `http://host:port`, `https://…`, `https+insecure://…`, `tcp://host:port` or
 * `unix:/path`. A port alone is one of `localhost`.
 *
 * @throws {DuplexityError} `DPX_TARGET_INVALID`, with what would be right.
 */
export function parseTarget(value: string | number): Target {
  const text = String(value).trim();
  if (text === "") throw invalid(text, "it is empty");
  if (/^\d+$/.test(text)) return hostTarget(text, "http", "localhost", text);
  if (/^unix:/i.test(text)) return unixTarget(text);
  const [, scheme = "http", rest = text] = /^([a-z][a-z0-9+.-]*):\/\/(.*)$/is.exec(text) ?? [];
  const isBare = rest === text;
  const { host, port } = splitAuthority(text, rest);
  if (isBare && port === null) {
    throw invalid(text, "it has no port", `Write ${host}:PORT, such as ${host}:9090, or http://${host} for port 80.`);
  }
  return hostTarget(text, scheme.toLowerCase(), host, port);
}

function hostTarget(text: string, schemeName: string, hostText: string, portText: string | null): Target {
  const scheme = SCHEMES.get(schemeName);
  if (scheme === undefined) throw invalid(text, `"${schemeName}://" is not a scheme of a target`);
  const host = checkHost(text, hostText);
  if (portText === null && scheme.defaultPort === null) {
    throw invalid(text, "it has no port", `Write ${schemeName}://${hostText}:PORT.`);
  }
  const port = portText === null ? (scheme.defaultPort ?? 0) : Number(portText);
  if (!/^\d{1,5}$/.test(portText ?? "80") || port < 1 || port > 65_535) {
    throw invalid(text, `"${portText}" is not a port`, "A port is a number from 1 to 65535.");
  }
  const shown = host.includes(":") ? `[${host}]` : host;
  return {
    protocol: scheme.protocol,
    tls: scheme.tls,
    address: { kind: "host", host, port },
    text: `${schemeName}://${shown}:${port}`,
  };
}

function unixTarget(text: string): Target {
  const path = text.slice("unix:".length).replace(/^\/\/(?=\/)/, "");
  // Windows has named pipes in that place.
  if (!path.startsWith("/") && !path.startsWith("\\\\.\\pipe\\") && !path.startsWith("\\\\?\\pipe\\")) {
    throw invalid(text, `"${path}" is not an absolute path`, "Write unix:/path/to/socket.");
  }
  if (path.includes("\0")) throw invalid(text, "its path has a NUL character");
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_UNIX_PATH_BYTES) {
    throw invalid(text, `its path has ${bytes} bytes, a socket's has at most ${MAX_UNIX_PATH_BYTES}`);
  }
  return { protocol: "http", tls: "none", address: { kind: "unix", path }, text: `unix:${path}` };
}

/** `host:port`, `host`, `[v6]:port`, with a bare `/` allowed at the end; everything else of a URL is refused by name. */
function splitAuthority(text: string, rest: string): { host: string; port: string | null } {
  const authority = rest.endsWith("/") ? rest.slice(0, -1) : rest;
  if (authority.includes("@")) {
    throw invalid(text, "it has a user or a password", "Leave out what stands before the @; visitors send their own.");
  }
  const extra = /[/?#]/.exec(authority);
  if (extra !== null) {
    const part = authority.slice(extra.index);
    throw invalid(
      text,
      `it has a path, "${part}"`,
      `Leave out "${part}": visitors' paths reach the target as they are.`,
    );
  }
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(authority);
  if (bracketed !== null) return { host: bracketed[1] ?? "", port: bracketed[2] ?? null };
  if (isIPv6(authority)) {
    throw invalid(text, "its IPv6 address has no brackets", `Write [${authority}]:PORT.`);
  }
  const colon = authority.indexOf(":");
  if (colon === -1) return { host: authority, port: null };
  return { host: authority.slice(0, colon), port: authority.slice(colon + 1) };
}

function checkHost(text: string, hostText: string): string {
  if (hostText === "") throw invalid(text, "it has no host", "Write localhost:9090, or just 9090.");
  if (hostText.includes(":") || hostText.includes("%")) {
    if (isIPv6(hostText)) return hostText.toLowerCase();
    throw invalid(text, `"${hostText}" is not an IPv6 address`);
  }
  // 10.1 and 0x7f000001 are read as addresses by some resolvers: what is meant is written in full.
  if (/^[\d.]+$/.test(hostText) && isIP(hostText) === 0) throw invalid(text, `"${hostText}" is not an IPv4 address`);
  // Line breaks and tabs would be left out by domainToASCII, as URLs have it.
  const host = /[\s\p{Cc}]/u.test(hostText) ? "" : domainToASCII(hostText).replace(/\.$/, "");
  const isName = host.length <= MAX_HOST_CHARS && host.split(".").every((label) => HOST_LABEL.test(label));
  if (!isName) throw invalid(text, `"${hostText}" is not a host's name or address`);
  return host;
}

function invalid(text: string, why: string, hint = `A target is ${TARGET_FORMS}.`): DuplexityError {
  return new DuplexityError("DPX_TARGET_INVALID", `Cannot use "${text.slice(0, 256)}" as a target: ${why}`, { hint });
}
