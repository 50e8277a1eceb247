// Which hostnames are the server itself and never a pipe.

import { isIPv4 } from "node:net";

const BRACKET = "[".charCodeAt(0);
const NINE = "9".charCodeAt(0);

/** @param host Canonical: lower case, no port, IPv6 in brackets. */
export function isOwnHost(host: string, domain: string): boolean {
  if (host === domain || host === "localhost") return true;
  const first = host.charCodeAt(0);
  return first === BRACKET || (first <= NINE && isIPv4(host));
}
