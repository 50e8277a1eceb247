// What the Connection and Upgrade fields of one message say together.

import { isToken, tokenList, trimSpace } from "./chars.ts";

export interface ConnectionOptions {
  readonly tokens: readonly string[];
  readonly close: boolean;
  readonly keepAlive: boolean;
  readonly upgrade: boolean;
  /** Names of fields that go no further than this hop, or null when there is none but the usual. */
  readonly named: ReadonlySet<string> | null;
}

export const NO_OPTIONS: ConnectionOptions = {
  tokens: [],
  close: false,
  keepAlive: false,
  upgrade: false,
  named: null,
};
const KEEP_ALIVE: ConnectionOptions = { ...NO_OPTIONS, tokens: ["keep-alive"], keepAlive: true };
const CLOSE: ConnectionOptions = { ...NO_OPTIONS, tokens: ["close"], close: true };

/** Options that name no field, or fields that are handled wherever they stand. */
const USUAL = new Set(["close", "keep-alive", "upgrade", "te", "http2-settings", "proxy-connection"]);
/** A sender must not name what all recipients need (RFC 9110 §7.6.1): taking it off would change the message's meaning. */
const NEVER_HOP_BY_HOP = new Set(["host", "content-length", "transfer-encoding"]);

/** Reads the joined value of all Connection fields. Returns what is wrong, if it is no list of options. */
export function parseConnection(value: string): ConnectionOptions | string {
  // Nearly all there is.
  if (value === "keep-alive" || value === "Keep-Alive") return KEEP_ALIVE;
  if (value === "close") return CLOSE;
  const tokens = tokenList(value);
  if (tokens === null) return "Connection is not a list of tokens";
  let named: Set<string> | null = null;
  for (const token of tokens) {
    if (NEVER_HOP_BY_HOP.has(token)) return `Connection names ${token}, which is not the connection's`;
    if (USUAL.has(token)) continue;
    named ??= new Set();
    named.add(token);
  }
  return {
    tokens,
    close: tokens.includes("close"),
    keepAlive: tokens.includes("keep-alive"),
    upgrade: tokens.includes("upgrade"),
    named,
  };
}

/**
 * The Upgrade field as it may be forwarded: RFC 9110 §7.8's list of `protocol ["/" version]`, or null if it is none or
 * names h2c. HTTP/2 by upgrade is obsolete (RFC 9113 §3.1), and inside it requests would pass that nobody has read.
 */
export function parseUpgrade(value: string): string | null {
  for (const part of value.split(",")) {
    const protocol = trimSpace(part);
    const slash = protocol.indexOf("/");
    if (slash < 0 ? !isToken(protocol) : !isToken(protocol.slice(0, slash)) || !isToken(protocol.slice(slash + 1))) {
      return null;
    }
    if (/^h2c?(\/|$)/i.test(protocol)) return null;
  }
  return value;
}
