// The head that goes to the target: hop-by-hop fields off, forwarding fields on.

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

/** What the forwarding fields say about one visitor's connection. Made once for each connection. */
export class Forwarding {
  readonly options: ForwardingOptions;

  constructor(options: ForwardingOptions) {
    this.options = options;
  }
}

/**
 * The whole head for the target, ending in CRLFCRLF, as a Latin-1 string: origin-form, HTTP/1.1, Host as it came, no
 * hop-by-hop fields (RFC 9110 §7.6.1), X-Forwarded-*, Forwarded (RFC 7239) and Via set, framing as it came. An upgrade
 * (`head.upgrade`) keeps Connection and Upgrade. Cheap for a head from a `HeadCache`.
 */
export function buildRequestHead(_head: RequestHead, _forwarding: Forwarding): string {
  throw new Error("soon");
}
