// Whether the other nodes of a cluster would take this node's certificate: of their authority, and at this time. Reads no files.

import { X509Certificate } from "node:crypto";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import type { NodeTls } from "./node-tls.ts";

/** Intermediate authorities between a certificate and the one that all nodes trust. */
const MAX_INTERMEDIATES = 8;

const PEM = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/**
 * @param now Unix time in ms. @default Date.now
 * @throws {DuplexityError} `DPX_USAGE` if it has run out, is of a later time, or is not of the authority's (RFC 5280 §6.1, as
 * far as names, signatures and time go; the rest is looked at with each connection).
 */
export function checkNodeCertificate({ cert, ca }: NodeTls, now: number = Date.now()): void {
  const [own, ...intermediates] = certificatesIn(cert, "--internal-tls-cert");
  const roots = certificatesIn(ca, "--internal-tls-ca");
  if (own === undefined)
    throw refused("there is none in it", "--internal-tls-cert is a PEM file with it and its chain.");
  if (roots.length === 0) {
    throw refused(
      "there is no authority to be of",
      "--internal-tls-ca is a PEM file with the authority's certificate.",
    );
  }
  const issuer = `--internal-tls-ca has "${roots[0]?.subject ?? ""}", the certificate is of "${own.issuer}".`;
  if (!leadsTo(roots, own, intermediates)) throw refused("it is not of the authority of the cluster's nodes", issuer);
  if (now > Date.parse(own.validTo)) throw refused(`it has run out on ${own.validTo}`, RENEW);
  if (now < Date.parse(own.validFrom)) {
    throw refused(`it is good from ${own.validFrom} on`, "Is this machine's clock right?");
  }
}

const RENEW = "Have the cluster's authority issue another one.";

function certificatesIn(pem: string, flag: string): readonly X509Certificate[] {
  try {
    return (pem.match(PEM) ?? []).map((text) => new X509Certificate(text));
  } catch (error) {
    throw refused(asDuplexityError(error).message, `The file of ${flag} has a certificate that cannot be read.`);
  }
}

/** Whether a certificate was issued by one of `roots`, over any of `intermediates`. */
function leadsTo(
  roots: readonly X509Certificate[],
  own: X509Certificate,
  intermediates: readonly X509Certificate[],
): boolean {
  let at = own;
  for (let steps = 0; steps <= MAX_INTERMEDIATES; steps += 1) {
    if (roots.some((root) => isIssuedBy(at, root))) return true;
    const next = intermediates.find((other) => other !== at && isIssuedBy(at, other));
    if (next === undefined) return false;
    at = next;
  }
  return false;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function refused(why: string, hint: string): DuplexityError {
  return new DuplexityError("DPX_USAGE", `Cannot show other nodes this certificate: ${why}`, { hint });
}
