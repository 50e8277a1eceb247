// What a pipe may be called: pure rules, the same for `up` (before it dials)
// and for the server (before it registers). Knows no registry.

import { DuplexityError } from "./errors.ts";

/** Characters of one DNS label (RFC 1035 §2.3.4). */
export const MAX_LABEL_CHARS = 63;
/** Characters of a whole hostname without its trailing dot (RFC 1035 §2.3.4). */
export const MAX_HOSTNAME_CHARS = 253;

/**
 * Labels directly below the domain that no pipe may take: they are the server's, or people take them for it.
 * Every label that starts with `_` is refused as well, since it is not a host's name (RFC 8552).
 */
export const RESERVED_LABELS: ReadonlySet<string> = new Set([
  ...["www", "auth", "api", "admin", "control", "dialer", "peer", "internal", "status", "duplexity"],
  ...["login", "logout", "account", "oauth", "oidc", "sso", "healthz", "readyz", "metrics"],
  ...["acme-challenge", "autoconfig", "autodiscover", "mta-sts", "wpad", "isatap", "localhost", "localdomain"],
  ...["mail", "smtp", "imap", "pop", "pop3", "ns", "ns1", "ns2", "postmaster", "hostmaster", "webmaster", "abuse"],
]);

// RFC 1123 §2.1: letters, digits and hyphens, neither first nor last a hyphen.
const LABEL = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/;

/** Whether `label`, in lower case, is one label of a host's name (RFC 1123 §2.1), 63 characters at most. */
export function isLabel(label: string): boolean {
  return label.length <= MAX_LABEL_CHARS && LABEL.test(label);
}

/** `name` in canonical form: lower case (ASCII only), without one trailing dot. Says nothing about whether it is valid. */
export function canonicalHostname(name: string): string {
  const lower = name.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  return lower.endsWith(".") ? lower.slice(0, -1) : lower;
}

/**
 * Checks a pipe's name as far as that is possible without knowing the server's domain, and answers it in canonical
 * form: a label (`cat1`) or a hostname (`cat1.example.com`).
 *
 * @throws {DuplexityError} `DPX_NAME_INVALID` or `DPX_NAME_RESERVED`, with what would be right.
 */
export function checkName(name: string): string {
  const canonical = canonicalHostname(name);
  if (canonical === "") throw invalidName(name, "it is empty");
  if (canonical.length > MAX_HOSTNAME_CHARS) {
    throw invalidName(name.slice(0, 64), `it has ${canonical.length} characters, at most ${MAX_HOSTNAME_CHARS} fit`);
  }
  const labels = canonical.split(".");
  for (const label of labels) checkLabel(name, label);
  if (labels.length > 1) {
    // An address is not a name, and "cat1.8080" is somebody's port.
    if (/^\d+$/.test(labels.at(-1) ?? "")) throw invalidName(name, "its last part is a number");
  } else if (RESERVED_LABELS.has(canonical)) {
    throw reservedName(name);
  }
  return canonical;
}

/**
 * The canonical hostname that pipe `name` gets on a server of `domain` (itself canonical): `cat1` and
 * `cat1.example.com` are both `cat1.example.com` on `example.com`. One label below the domain, no deeper, because
 * that is what a wildcard certificate and a wildcard DNS record cover (RFC 6125 §6.4.3).
 *
 * @throws {DuplexityError} `DPX_NAME_INVALID` or `DPX_NAME_RESERVED`, with what would be right.
 */
export function hostnameOf(name: string, domain: string): string {
  const canonical = checkName(name);
  if (canonical === domain) throw reservedName(name, `it is the server's own domain`);
  const suffix = `.${domain}`;
  const label = canonical.endsWith(suffix) ? canonical.slice(0, -suffix.length) : canonical;
  if (label.includes(".")) {
    const why = canonical.endsWith(suffix) ? `more than one label below "${domain}"` : `not below "${domain}"`;
    throw invalidName(name, `it is ${why}`, `Take one label, such as cat1, or cat1.${domain}.`);
  }
  if (RESERVED_LABELS.has(label)) throw reservedName(name);
  const hostname = `${label}${suffix}`;
  if (hostname.length > MAX_HOSTNAME_CHARS) {
    throw invalidName(name, `"${hostname}" has ${hostname.length} characters, at most ${MAX_HOSTNAME_CHARS} fit`);
  }
  return hostname;
}

function checkLabel(name: string, label: string): void {
  if (isLabel(label)) return;
  if (label === "") throw invalidName(name, "it has an empty part between dots");
  if (label.length > MAX_LABEL_CHARS) {
    throw invalidName(name, `a part of it has ${label.length} characters, at most ${MAX_LABEL_CHARS} fit`);
  }
  if (label.startsWith("-") || label.endsWith("-"))
    throw invalidName(name, "a part of it starts or ends with a hyphen");
  throw invalidName(name, "only a-z, 0-9 and hyphens are allowed");
}

function invalidName(
  name: string,
  why: string,
  hint = "Take letters, digits and hyphens, such as cat1.",
): DuplexityError {
  return new DuplexityError("DPX_NAME_INVALID", `Cannot use the name "${name}": ${why}`, { hint });
}

function reservedName(name: string, why = "it is reserved for the server"): DuplexityError {
  return new DuplexityError("DPX_NAME_RESERVED", `Cannot use the name "${name}": ${why}`, {
    hint: "Take another one, such as cat1.",
  });
}
