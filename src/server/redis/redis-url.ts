// Reads where the shared Redis is. Holds its password and shows it to nobody: `shown` is what messages may say.

import { DuplexityError } from "../../protocol/index.ts";

export interface HostAndPort {
  readonly host: string;
  readonly port: number;
}

export interface RedisAddress {
  /** Sentinels, or any nodes of a Redis Cluster, or the one Redis. At least one. */
  readonly hosts: readonly HostAndPort[];
  /** The name under which the Sentinels know the primary; null: without Sentinels. */
  readonly sentinelName: string | null;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  readonly isTls: boolean;
  readonly shown: string;
}

const DEFAULT_PORT = 6379;
const DEFAULT_SENTINEL_PORT = 26_379;
const MAX_HOSTS = 64;
const URL_FORM = /^(rediss?)(\+sentinel)?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^/?#]*))?(?:\/([^/?#]*))?$/;
const HOST_FORM = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d{1,5}))?$/;

/**
 * - `redis://[user:password@]host[:port][,host[:port]…][/database]`: a single Redis, or nodes of a Redis Cluster.
 * - `redis+sentinel://[user:password@]host[:port][,…]/name[/database]`: the primary that the Sentinels call `name`. User
 *   and password are those of Redis.
 * - `rediss://`, `rediss+sentinel://`: over TLS.
 *
 * @throws {DuplexityError} `DPX_USAGE` if it is none of these.
 */
export function parseRedisUrl(text: string): RedisAddress {
  const [, scheme, sentinel, credentials, hostList, first = "", second] = URL_FORM.exec(text) ?? [];
  if (scheme === undefined || hostList === undefined) throw unusable();
  const isSentinel = sentinel !== undefined;
  if (isSentinel ? first === "" : second !== undefined) throw unusable();
  const hosts = hostList.split(",").map((host) => readHost(host, isSentinel ? DEFAULT_SENTINEL_PORT : DEFAULT_PORT));
  if (hosts.length > MAX_HOSTS) throw unusable();
  const database = readDatabase(isSentinel ? (second ?? "") : first);
  const name = isSentinel ? decoded(first) : null;
  const [username, password] = readCredentials(credentials ?? "");
  const shownName = name === null ? "" : `/${name}`;
  return {
    hosts,
    sentinelName: name,
    username,
    password,
    database,
    isTls: scheme === "rediss",
    shown: `${scheme}${sentinel ?? ""}://${hostList}${shownName}/${database}`,
  };
}

function readHost(text: string, defaultPort: number): HostAndPort {
  const [, bracketed, plain, port] = HOST_FORM.exec(text) ?? [];
  const host = bracketed ?? plain;
  const number = port === undefined ? defaultPort : Number(port);
  if (host === undefined || number < 1 || number > 65_535) throw unusable();
  return { host, port: number };
}

function readDatabase(text: string): number {
  if (!/^\d{0,5}$/.test(text)) throw unusable();
  return Number(text);
}

/** `user:password`, `:password`, or nothing. */
function readCredentials(text: string): readonly [string | undefined, string | undefined] {
  if (text === "") return [undefined, undefined];
  const colon = text.indexOf(":");
  if (colon === -1) throw unusable();
  const username = decoded(text.slice(0, colon));
  return [username === "" ? undefined : username, decoded(text.slice(colon + 1))];
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw unusable();
  }
}

/** Neither the text nor a parser's error, which holds it: there may be a password in it. */
function unusable(): DuplexityError {
  return new DuplexityError(
    "DPX_USAGE",
    "Cannot read the Redis URL: wanted redis://[user:password@]host[:port][/database], several hosts for a Redis Cluster, or redis+sentinel://host[:port],…/name",
    { hint: "Over TLS it is rediss://. Write special characters of the password as %XX." },
  );
}
