// Whether the other nodes of a cluster would take this node's certificate: of their authority, at this time, for its address and
// for what it is used. Reads no files.

import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import type { NodeTls } from "./node-tls.ts";

/** Intermediate authorities between a certificate and the one that all nodes trust. */
const MAX_INTERMEDIATES = 8;

/** RFC 5280 §4.2.1.12 */
const USES = [
  { oid: "1.3.6.1.5.5.7.3.1", what: "servers" },
  { oid: "1.3.6.1.5.5.7.3.2", what: "clients, which nodes are to each other" },
] as const;

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * @param now Unix time in ms. @default Date.now
 * @throws {DuplexityError} `DPX_USAGE` if it has run out, is of a later time, or is not of the authority's, or if an authority
 * between has (RFC 5280 §6.1, as far as names, signatures and time go; the rest is looked at with each connection).
 */
export function checkNodeCertificate({ cert, ca }: NodeTls, now: number = Date.now()): void {
  const [own, ...intermediates] = certificatesIn(cert, "--internal-tls-cert");
  const authorities = certificatesIn(ca, "--internal-tls-ca");
  const [first] = authorities;
  if (own === undefined)
    throw refused("there is none in it", "--internal-tls-cert is a PEM file with it and its chain.");
  if (first === undefined) {
    throw refused(
      "there is no authority to be of",
      "--internal-tls-ca is a PEM file with the authority's certificate.",
    );
  }
  if (!authorities.some(isRoot)) {
    throw refused(
      `the authority "${nameOf(first.subject)}" is below another one, which is not there`,
      `Add the certificate of "${nameOf(first.issuer)}" to the file of --internal-tls-ca.`,
    );
  }
  const untimely = untimelyAt(own, now);
  if (untimely !== null) throw refused(`it ${untimely.why}`, untimely.hint);
  const chain = chainOf(own, { authorities, intermediates }, now);
  const last = chain.at(-1) ?? own;
  if (!authorities.some((each) => isRoot(each) && each.fingerprint256 === last.fingerprint256)) {
    const has = `--internal-tls-ca has "${nameOf(first.subject)}", the certificate is of "${nameOf(own.issuer)}"`;
    const ends = last === own ? "" : `, the chain ends with one of "${nameOf(last.issuer)}"`;
    throw refused("it is not of the authority of the cluster's nodes", `${has}${ends}.`);
  }
  for (const authority of chain) {
    const obstacle = untimelyAt(authority, now);
    if (obstacle === null) continue;
    throw refused(`its authority "${nameOf(authority.subject)}" ${obstacle.why}`, obstacle.hint);
  }
}

/**
 * @param host Of the address by which other nodes reach this one, without brackets.
 * @throws {DuplexityError} `DPX_USAGE` if they would not take `cert` from it, or not as that of one who calls them: every
 * connection would fail, and nobody but those who wait would see it.
 */
export function checkNodeUse({ cert }: Pick<NodeTls, "cert">, host: string): void {
  const [own] = certificatesIn(cert, "--internal-tls-cert");
  if (own === undefined) return;
  const isForHost = (isIP(host) === 0 ? own.checkHost(host) : own.checkIP(host)) !== undefined;
  if (!isForHost) {
    const names = own.subjectAltName ?? nameOf(own.subject);
    throw refused(`other nodes reach this one at "${host}", and it is for ${names}`, "Is --node-url right?");
  }
  // node:crypto calls the extendedKeyUsage so. Without that extension it is good for everything; with it OpenSSL takes no other use, "any" included, for these.
  const uses: readonly string[] | undefined = own.keyUsage;
  const missing = USES.find(({ oid }) => uses !== undefined && !uses.includes(oid));
  if (missing === undefined) return;
  throw refused(`it is not good for ${missing.what}`, "Its extendedKeyUsage has to have serverAuth and clientAuth.");
}

/** Why it is not the certificate's time, as the rest of a sentence; null: it is. */
export function untimelyAt({ validFrom, validTo }: X509Certificate, now: number): Untimely | null {
  if (now > Date.parse(validTo)) {
    return { why: `has run out on ${validTo}`, hint: "Have another one issued." };
  }
  if (now >= Date.parse(validFrom)) return null;
  return { why: `is good from ${validFrom} on`, hint: "Is this machine's clock right?" };
}

function certificatesIn(pem: string, flag: string): readonly X509Certificate[] {
  try {
    return (pem.match(PEM) ?? []).map((text) => new X509Certificate(text));
  } catch (error) {
    throw refused(asDuplexityError(error).message, `The file of ${flag} has a certificate that cannot be read.`);
  }
}

interface Untimely {
  readonly why: string;
  readonly hint: string;
}

/** The certificates of which a chain is made, in the order in which TLS tries them. */
interface Links {
  /** What all nodes trust. */
  readonly authorities: readonly X509Certificate[];
  /** What comes with the certificate itself. */
  readonly intermediates: readonly X509Certificate[];
}

/**
 * The certificates from `own`'s issuer on, as OpenSSL puts them together: of several that fit it takes the first whose time it
 * is, those of the authorities before the others, and never goes back; behind one of the authorities it takes no others.
 */
function chainOf(own: X509Certificate, links: Links, now: number): readonly X509Certificate[] {
  const chain: X509Certificate[] = [];
  let at = own;
  let { intermediates } = links;
  while (chain.length <= MAX_INTERMEDIATES) {
    const issuersIn = (certificates: readonly X509Certificate[]): X509Certificate | undefined => {
      const issuers = certificates.filter((each) => isIssuedBy(at, each));
      return issuers.find((each) => untimelyAt(each, now) === null) ?? issuers[0];
    };
    const trusted = issuersIn(links.authorities);
    const next = trusted ?? issuersIn(intermediates);
    if (next === undefined) break;
    chain.push(next);
    if (isRoot(next)) break;
    if (trusted !== undefined) intermediates = [];
    at = next;
  }
  return chain;
}

/** TLS ends a chain at a certificate that has signed itself, and takes no other one's word. */
function isRoot(certificate: X509Certificate): boolean {
  return isIssuedBy(certificate, certificate);
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** A name of several parts, which node:crypto answers in as many lines, in one. */
function nameOf(lines: string): string {
  return lines.replaceAll("\n", ", ");
}

function refused(why: string, hint: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot show other nodes this certificate: ${why}`, { hint });
}
