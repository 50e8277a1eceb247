// How two nodes show each other that they know the cluster's secret, without
// sending it. Each side answers the other's nonce, so no clock has to be right
// and no proof is good twice.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";

/** The cluster's secrets: the first is shown, any is accepted, so that a new one can be brought in node by node. */
export type ClusterSecrets = readonly string[];

/** Two during a rotation. */
export const MAX_CLUSTER_SECRETS = 2;
/** What is shorter could be guessed. */
export const MIN_SECRET_CHARS = 16;
const NONCE_BYTES = 24;

/** Which side shows the proof: one's own cannot be sent back to it. */
export type PeerRole = "hub" | "node";

/** What both sides have said so far: the hub is the one that was dialled. */
export interface PeerExchange {
  readonly hubId: string;
  readonly nodeId: string;
  readonly hubNonce: string;
  readonly nodeNonce: string;
}

export function newNonce(): string {
  return randomBytes(NONCE_BYTES).toString("base64url");
}

/** @throws {DuplexityError} `DPX_USAGE` if there is none, more than two, or one that could be guessed. */
export function checkSecrets(secrets: ClusterSecrets): void {
  const isRight = secrets.length >= 1 && secrets.length <= MAX_CLUSTER_SECRETS;
  if (isRight && secrets.every((secret) => secret.length >= MIN_SECRET_CHARS)) return;
  throw new DuplexityError(
    "DPX_USAGE",
    `Cannot use the cluster secrets: expected one or ${MAX_CLUSTER_SECRETS} of at least ${MIN_SECRET_CHARS} characters`,
    { hint: "Make one: openssl rand -hex 32" },
  );
}

/** The proof of `role`: HMAC-SHA-256, base64url. */
export function proofOf(secret: string, role: PeerRole, exchange: PeerExchange): string {
  const { hubId, nodeId, hubNonce, nodeNonce } = exchange;
  // JSON, so that no part can run into the next.
  const text = JSON.stringify(["duplexity-peer-1", role, hubId, nodeId, hubNonce, nodeNonce]);
  return createHmac("sha256", secret).update(text).digest("base64url");
}

/** Whether `mac` is the proof of `role` by one of `secrets`. Takes the same time whichever it is, and however wrong. */
export function isProof(secrets: ClusterSecrets, role: PeerRole, exchange: PeerExchange, mac: string): boolean {
  const given = Buffer.from(mac);
  let isRight = false;
  for (const secret of secrets) {
    const expected = Buffer.from(proofOf(secret, role, exchange));
    if (given.length === expected.length && timingSafeEqual(given, expected)) isRight = true;
  }
  return isRight;
}
