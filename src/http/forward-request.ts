// The head that goes to the target: hop-by-hop fields off, forwarding fields on.

import { isToken } from "./chars.ts";
import { join } from "./fields.ts";
import type { RequestHead } from "./request-head.ts";

export interface ForwardingOptions {
  /** The visitor's address without port: `192.0.2.1`, `2001:db8::1`. */
  readonly address: string;
  readonly proto: "http" | "https";
  /** The public port that the visitor came to. */
  readonly port: number;
  /** This node's name in Via, a token: `duplexity-3f9a`. RFC 9110 §7.6.3. */
  readonly pseudonym: string;
  /** Whether the peer is in `--trust-proxy`: its forwarding fields are kept and added to, else dropped. */
  readonly isTrusted: boolean;
}

/** Heads longer than this are built anew each time rather than kept for a connection's next request. */
const MAX_KEPT_HEAD_LENGTH = 4_096;

/** What the forwarding fields say about one visitor's connection. Made once for each connection. */
export class Forwarding {
  readonly options: ForwardingOptions;
  /** The node of RFC 7239 §6: an IPv6 address in brackets and quotes. */
  readonly node: string;
  /** All fields that are the same for each request, up to `Forwarded`'s host. */
  readonly lines: string;
  /** By the request's minor version: Via says how we got it. */
  readonly via: readonly [string, string];
  #lastHead: RequestHead | null = null;
  #lastText = "";

  constructor(options: ForwardingOptions) {
    // A dual-stack socket shows an IPv4 visitor as ::ffff:192.0.2.1.
    const address = options.address.replace(/^::ffff:(?=\d+\.)/i, "");
    this.options = { ...options, address };
    this.node = address === "" ? "unknown" : address.includes(":") ? `"[${address}]"` : address;
    this.lines =
      `X-Forwarded-For: ${address === "" ? "unknown" : address}\r\nX-Forwarded-Proto: ${options.proto}\r\n` +
      `X-Forwarded-Port: ${options.port}\r\nForwarded: for=${this.node};proto=${options.proto};host=`;
    const { pseudonym } = options;
    this.via = [`\r\nVia: 1.0 ${pseudonym}\r\n\r\n`, `\r\nVia: 1.1 ${pseudonym}\r\n\r\n`];
  }

  /** See `buildRequestHead`. */
  build(head: RequestHead): string {
    if (head === this.#lastHead) return this.#lastText;
    const text = this.options.isTrusted && head.forwardingFields.length > 0 ? this.#append(head) : this.#set(head);
    if (text.length <= MAX_KEPT_HEAD_LENGTH) {
      this.#lastHead = head;
      this.#lastText = text;
    }
    return text;
  }

  #set(head: RequestHead): string {
    return head.forwarded + forwardedHost(head) + this.lines + quoted(head.hostHeader) + this.via[head.version];
  }

  /** What a trusted proxy said stays, and this hop is added. */
  #append(head: RequestHead): string {
    const { address, proto, port } = this.options;
    let visitors: string | null = null;
    let forwarded: string | null = null;
    let kept = "";
    const said = new Set<string>();
    const fields = head.forwardingFields;
    for (let at = 0; at < fields.length; at += 2) {
      const name = fields[at] ?? "";
      const value = fields[at + 1] ?? "";
      const lower = name.toLowerCase();
      said.add(lower);
      if (lower === "x-forwarded-for") visitors = join(visitors, value);
      else if (lower === "forwarded") forwarded = join(forwarded, value);
      else kept += `${name}: ${value}\r\n`;
    }
    if (!said.has("x-forwarded-proto")) kept += `X-Forwarded-Proto: ${proto}\r\n`;
    if (!said.has("x-forwarded-host")) kept += forwardedHost(head);
    if (!said.has("x-forwarded-port")) kept += `X-Forwarded-Port: ${port}\r\n`;
    // RFC 7239 §7.4: who speaks only X-Forwarded-For is carried over, so that both fields tell of the same visitors.
    const before = forwarded ?? (visitors === null ? null : asForwarded(visitors));
    return (
      `${head.forwarded}X-Forwarded-For: ${join(visitors, address === "" ? "unknown" : address)}\r\n${kept}` +
      `Forwarded: ${join(before, `for=${this.node};proto=${proto};host=`)}${quoted(head.hostHeader)}` +
      this.via[head.version]
    );
  }
}

function forwardedHost(head: RequestHead): string {
  return `X-Forwarded-Host: ${head.hostHeader}\r\n`;
}

/** RFC 7239 §4: a value that is no token (a colon, brackets) is quoted. A valid Host holds nothing to escape. */
function quoted(host: string): string {
  return isToken(host) ? host : `"${host}"`;
}

function asForwarded(visitors: string): string {
  const nodes = visitors.split(",").map((visitor) => visitor.replace(/[^0-9A-Za-z.:_-]/g, ""));
  return nodes.map((node) => (node.includes(":") ? `for="[${node}]"` : `for=${node || "unknown"}`)).join(", ");
}

/**
 * The whole head for the target, ending in CRLFCRLF, as a Latin-1 string: origin-form, HTTP/1.1, Host as it came, no
 * hop-by-hop fields (RFC 9110 §7.6.1), X-Forwarded-*, Forwarded (RFC 7239) and Via set, framing as it came. An upgrade
 * (`head.upgrade`) keeps Connection and Upgrade. Cheap for a head from a cache that this connection sent before.
 */
export function buildRequestHead(head: RequestHead, forwarding: Forwarding): string {
  return forwarding.build(head);
}
