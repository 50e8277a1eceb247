// Certificates that nodes show each other on their internal listeners: both sides one of the same authority.

import type { IncomingMessage } from "node:http";
import { Agent } from "node:https";
import { TLSSocket } from "node:tls";
import { DuplexityError } from "../protocol/index.ts";

/** PEM. */
export interface NodeTls {
  /** This node's, with its chain; for the host of its --node-url. */
  readonly cert: string;
  readonly key: string;
  /** Of those that all nodes' certificates are from. */
  readonly ca: string;
}

/** Whether a request has come with a certificate of the cluster, where one is asked for. */
export function hasCertificate({ socket }: IncomingMessage): boolean {
  if (!(socket instanceof TLSSocket)) return true;
  // A session that was begun without a certificate and is resumed by TLS 1.3 counts as authorized (seen on Node 20).
  return socket.authorized && socket.getPeerX509Certificate() !== undefined;
}

export function noCertificate(): DuplexityError {
  return new DuplexityError("DPX_FORBIDDEN", "Cannot take the request: it shows no certificate of this cluster", {
    hint: "Give all nodes certificates of one authority: --internal-tls-cert, --internal-tls-key, --internal-tls-ca.",
  });
}

/** For dials of node:http; undefined: without certificates. */
export function agentOf(tls: NodeTls | null): Agent | undefined {
  return tls === null ? undefined : new Agent({ ...tls, minVersion: "TLSv1.2" });
}
