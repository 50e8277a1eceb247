// Reads the address of a Redis. Holds its password and shows it to nobody: `shown` is what messages may say.

import { DuplexityError } from "../../protocol/index.ts";

export interface RedisAddress {
  readonly host: string;
  readonly port: number;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  readonly isTls: boolean;
  /** `redis://redis.example.com:6379/0` */
  readonly shown: string;
}

const DEFAULT_PORT = 6379;

/** @throws {DuplexityError} `DPX_USAGE` if it is none. */
export function parseRedisUrl(text: string): RedisAddress {
  // Neither the text nor the parser's error, which holds it: there may be a password in it.
  const url = URL.canParse(text) ? new URL(text) : null;
  if (url === null || (url.protocol !== "redis:" && url.protocol !== "rediss:") || url.hostname === "")
    throw unusable();
  const database = /^\/?(\d{0,5})\/?$/.exec(url.pathname)?.[1];
  if (database === undefined || url.search !== "" || url.hash !== "") throw unusable();
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  const port = url.port === "" ? DEFAULT_PORT : Number(url.port);
  return {
    host,
    port,
    username: decoded(url.username),
    password: decoded(url.password),
    database: Number(database),
    isTls: url.protocol === "rediss:",
    shown: `${url.protocol}//${url.hostname}:${port}/${Number(database)}`,
  };
}

function decoded(part: string): string | undefined {
  if (part === "") return undefined;
  try {
    return decodeURIComponent(part);
  } catch {
    throw unusable();
  }
}

function unusable(): DuplexityError {
  return new DuplexityError(
    "DPX_USAGE",
    "Cannot read the Redis URL: wanted redis://[user:password@]host[:port][/database], or rediss:// over TLS",
    { hint: "Write special characters of the password as %XX." },
  );
}
