// How a node shows with each call to a backend node that it knows the cluster's secret, and the backend node with each
// answer. The secret is never sent, no clock has to be right, and no proof is good twice: the key of a session comes from
// both sides' nonces, and each call in it has a number.

import { createHmac, timingSafeEqual } from "node:crypto";

/** What both sides have said when a session begins. */
export interface CallExchange {
  readonly backendId: string;
  readonly nodeId: string;
  readonly backendNonce: string;
  readonly nodeNonce: string;
}

export interface ProvenCall {
  readonly number: number;
  readonly path: string;
  readonly body: string;
}

export interface ProvenAnswer {
  /** Of the call. */
  readonly number: number;
  /** HTTP status. */
  readonly status: number;
  readonly body: string;
}

/** The key of a session between two nodes that know `secret`. */
export function sessionKeyOf(secret: string, exchange: CallExchange): Buffer {
  const { backendId, nodeId, backendNonce, nodeNonce } = exchange;
  // JSON, so that no part can run into the next.
  const text = JSON.stringify(["duplexity-call-1", backendId, nodeId, backendNonce, nodeNonce]);
  return createHmac("sha256", secret).update(text).digest();
}

/** HMAC-SHA-256, base64url. */
export function proofOfCall(key: Buffer, { number, path, body }: ProvenCall): string {
  return proof(key, ["call", number, path], body);
}

/** Another one than a call's: what a node has sent cannot be sent back to it as an answer. */
export function proofOfAnswer(key: Buffer, { number, status, body }: ProvenAnswer): string {
  return proof(key, ["answer", number, status], body);
}

/** Takes the same time however wrong `given` is. */
export function isSameProof(given: string, wanted: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(wanted)];
  return one.length === other.length && timingSafeEqual(one, other);
}

function proof(key: Buffer, about: readonly (string | number)[], body: string): string {
  return createHmac("sha256", key)
    .update(`${JSON.stringify(about)}\n`)
    .update(body)
    .digest("base64url");
}
