// The host and port of a Host field or an absolute-form target, in the one
// form that routes are looked up by.

import { isIPv6 } from "node:net";

export interface Authority {
  /** Lower case, no trailing dot; IPv6 in brackets. */
  readonly host: string;
  readonly port: number | null;
}

/** RFC 1035 §2.3.4. */
const MAX_HOST_LENGTH = 253;
const MAX_LABEL_LENGTH = 63;

const DOT = 0x2e;
const COLON = 0x3a;

/**
 * Reads `uri-host [":" port]` (RFC 9110 §7.2). Narrower than RFC 3986's reg-name: what cannot be a DNS name or an IP
 * address cannot be routed, and percent-encoding or userinfo only helps to hide which host is meant.
 *
 * @returns What is wrong, as the end of a sentence, if it is not one.
 */
export function parseAuthority(text: string): Authority | string {
  if (text === "") return "is empty";
  if (text.charCodeAt(0) === 0x5b) return parseIpv6(text);
  let hasUpper = false;
  let labelStart = 0;
  let at = 0;
  for (; at < text.length; at++) {
    const code = text.charCodeAt(at);
    // a-z 0-9 - and _ : the last is no hostname, but a DNS label that people use.
    if ((code >= 0x61 && code <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x2d || code === 0x5f) continue;
    if (code >= 0x41 && code <= 0x5a) {
      hasUpper = true;
    } else if (code === DOT) {
      if (at === labelStart) return "has an empty label";
      if (at - labelStart > MAX_LABEL_LENGTH) return "has a label longer than 63 characters";
      labelStart = at + 1;
    } else if (code === COLON) {
      break;
    } else {
      return code === 0x40 || text.includes("@") ? "has userinfo" : "has a character that no hostname has";
    }
  }
  // One trailing dot is the DNS root: the same host.
  const end = labelStart === at && at > 0 ? at - 1 : at;
  if (end === 0) return "has no hostname";
  if (at - labelStart > MAX_LABEL_LENGTH) return "has a label longer than 63 characters";
  if (end > MAX_HOST_LENGTH) return "has a hostname longer than 253 characters";
  const port = parsePort(text, at);
  if (port === undefined) return text.includes("@") ? "has userinfo" : "has an invalid port";
  const host = text.slice(0, end);
  return { host: hasUpper ? host.toLowerCase() : host, port };
}

function parseIpv6(text: string): Authority | string {
  const close = text.indexOf("]");
  const address = text.slice(1, close);
  // A zone id (RFC 6874) means something on the visitor's machine only.
  if (close < 0 || address.includes("%") || !isIPv6(address)) return "has no valid IPv6 address in its brackets";
  const port = parsePort(text, close + 1);
  if (port === undefined) return "has an invalid port";
  return { host: text.slice(0, close + 1).toLowerCase(), port };
}

/** The port behind the colon at `at`; null if `text` ends there; undefined if it is not 1–65535. */
function parsePort(text: string, at: number): number | null | undefined {
  if (at === text.length) return null;
  if (text.charCodeAt(at) !== COLON || at + 1 === text.length || text.length - at > 6) return undefined;
  let port = 0;
  for (let digit = at + 1; digit < text.length; digit++) {
    const value = text.charCodeAt(digit) - 0x30;
    if (value < 0 || value > 9) return undefined;
    port = port * 10 + value;
  }
  return port >= 1 && port <= 65_535 ? port : undefined;
}
