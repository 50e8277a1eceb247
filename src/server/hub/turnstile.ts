// Whether a hub takes one more client, sends it to another hub, or asks it to come later. Knows no sockets; clients that
// the hub has already do not come here.

import { type DiscoveryRequest, DuplexityError } from "../../protocol/index.ts";
import type { Load } from "../load-level.ts";

export interface TurnstileOptions {
  /** Whether this node takes no new clients any more. */
  isDraining(): boolean;
  /** How much this node has to do. @default normal */
  readonly load?: () => Load;
  /** Null or left out: there are no others. `lightHubs`: `ws(s)://…/dialer` of those that have little to do. No I/O. */
  readonly cluster?: { readonly lightHubs: () => readonly string[] } | null;
}

/** Who has been sent on so often is taken wherever it is, if at all possible: nobody is passed around for ever. */
export const MAX_REDIRECTS = 3;
/** After it, a hub that was overloaded may not be so any more. */
export const OVERLOADED_RETRY_MS = 5_000;

/** @throws {DuplexityError} `DPX_OVERLOADED` or `DPX_DRAINING`, with where to go instead, or when to come back. */
export function checkNewcomer({ redirects }: DiscoveryRequest, options: TurnstileOptions): void {
  const { load, cluster = null } = options;
  const level = load?.() ?? "normal";
  const isDraining = options.isDraining();
  if (level === "normal" && !isDraining) return;
  const maySend = redirects !== undefined && redirects < MAX_REDIRECTS;
  const elsewhere = maySend && cluster !== null ? cluster.lightHubs() : [];
  if (isDraining) {
    throw new DuplexityError("DPX_DRAINING", "This node is shutting down and takes no new clients", { elsewhere });
  }
  if (elsewhere.length > 0) {
    const message = "This node has much to do, and others have less";
    throw new DuplexityError("DPX_OVERLOADED", message, { elsewhere, retryAfterMs: OVERLOADED_RETRY_MS });
  }
  if (level === "busy") return;
  throw new DuplexityError("DPX_OVERLOADED", "Cannot take another client: this node has too much to do", {
    ...{ hint: "Try again in a few seconds.", retryAfterMs: OVERLOADED_RETRY_MS },
  });
}
