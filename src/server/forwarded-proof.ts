// What a node adds to a request of the server's own that it passes on to another node: whom it came from, with a proof
// that a node of the cluster says so. Only then is it believed.

import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { DuplexityError, fields } from "../protocol/index.ts";

export const FORWARDED_HEADER = "duplexity-forwarded";

/** Then whoever passed it on has heard what node is there now, unless it hears nothing. */
const RETRY_AFTER_MS = 1_000;

/** Whom a request has come from to the node that passes it on. */
export interface ForwardedFrom {
  /** Without a port. */
  readonly address: string;
  /** Whom its attempts count for; null: behind the address are many. */
  readonly sender: string | null;
}

/** The field's value, for the node `to`. It is good for no other request than this one. */
export function forwardedField(
  from: ForwardedFrom,
  request: IncomingMessage,
  o: { readonly to: string; readonly secret: string },
): string {
  const about = { address: from.address, sender: from.sender, to: o.to };
  const text = Buffer.from(JSON.stringify(about)).toString("base64url");
  return `${text}.${proofOf(text, request, o).toString("base64url")}`;
}

/**
 * What the field says.
 *
 * @throws {DuplexityError} `DPX_FORBIDDEN` if no node of the cluster says so, `DPX_DRAINING` if one does that takes this
 *   node for another: for the one that had its address before, as long as it has not heard that that one is gone.
 */
export function readForwarded(
  request: IncomingMessage,
  o: { readonly to: string; readonly secrets: readonly string[] },
): ForwardedFrom {
  const value = request.headers[FORWARDED_HEADER];
  const [text = "", proof = ""] = typeof value === "string" ? value.split(".") : [];
  const given = Buffer.from(proof, "base64url");
  const isFor = (to: string): boolean =>
    o.secrets.some((secret) => {
      const wanted = proofOf(text, request, { to, secret });
      return wanted.length === given.length && timingSafeEqual(wanted, given);
    });
  if (!isFor(o.to)) throw isFor(wantedNode(text)) ? misdirected() : forged();
  const from = fields.readObject(JSON.parse(decoded(text)), "");
  const readSender = (word: unknown, path: string): string | null =>
    word === null ? null : fields.readWord(word, path);
  return { address: fields.field(from, "address", fields.readWord), sender: fields.field(from, "sender", readSender) };
}

/** Whom the field says that it is for; empty if it says nothing. Whoever sends it can write that: it is not proven yet. */
function wantedNode(text: string): string {
  try {
    return fields.field(fields.readObject(JSON.parse(decoded(text)), ""), "to", fields.readWord);
  } catch {
    return "";
  }
}

function decoded(text: string): string {
  return Buffer.from(text, "base64url").toString("utf8");
}

function forged(): DuplexityError {
  return new DuplexityError("DPX_FORBIDDEN", "Cannot take the request: no node of the cluster passes it on");
}

function misdirected(): DuplexityError {
  return new DuplexityError(
    "DPX_DRAINING",
    "Cannot take the request: it is for the node that was at this address before",
    { hint: "Try again in a second.", retryAfterMs: RETRY_AFTER_MS },
  );
}

function proofOf(text: string, request: IncomingMessage, { to, secret }: { to: string; secret: string }): Buffer {
  const { method = "", url = "", headers } = request;
  const about = ["duplexity-forward-1", to, method, url, headers.host ?? "", headers.authorization ?? "", text];
  return createHmac("sha256", secret).update(JSON.stringify(about)).digest();
}
