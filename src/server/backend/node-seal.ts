// Proves that a node's record was made by somebody who knows the cluster's secret, so that whoever can only write to Redis
// sends no node to an address of theirs.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { NodeRecord } from "./presence.ts";

/**
 * What a seal is of and how it is made. A record says it beside its seal, one of an older version does not: a node that seals
 * in another way would be taken for one with another secret.
 */
export const SEAL_VERSION = 1;

/** Empty without a secret: then nothing is proved. */
export function sealOf(node: NodeRecord, secrets: readonly string[]): string {
  const [newest] = secrets;
  return newest === undefined ? "" : seal(node, newest).toString("base64url");
}

/** Whether one of `secrets` made it: two, while one takes the other's place. */
export function isSealed(node: NodeRecord, text: string, secrets: readonly string[]): boolean {
  if (secrets.length === 0) return true;
  const given = Buffer.from(text, "base64url");
  return secrets.some((secret) => {
    const wanted = seal(node, secret);
    return wanted.length === given.length && timingSafeEqual(wanted, given);
  });
}

/**
 * Of a node that drains not the same as of one of an older version, which does not say whether it does. A node with accounts
 * has the seal of those that do not say what they have; one without has another, which those do not take: they have accounts.
 */
function seal(node: NodeRecord, secret: string): Buffer {
  const { nodeId, internalUrl, dialerUri, roles, isDraining, identity } = node;
  const more = [...(isDraining ? [true] : []), ...(identity === "no-auth" ? [identity] : [])];
  return createHmac("sha256", secret)
    .update(JSON.stringify(["duplexity node", nodeId, internalUrl, dialerUri, roles, ...more]))
    .digest();
}
