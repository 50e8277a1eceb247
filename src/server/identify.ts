// Takes out of an HTTP request what says who sent it, for the public listener
// and the internal one alike. Decides nothing: the authenticator does.

import type { IncomingMessage } from "node:http";
import { DuplexityError } from "../protocol/index.ts";
import type { Authenticator, Identity } from "./identity/index.ts";

/**
 * @param path The request's path, without a query.
 * @throws {DuplexityError} `DPX_AUTH_REQUIRED` or `DPX_AUTH_INVALID`.
 */
export async function identify(
  authenticator: Authenticator,
  request: IncomingMessage,
  path: string,
): Promise<Identity> {
  // Two of them would let one be checked and the other be meant.
  const [authorization, another] = request.headersDistinct.authorization ?? [];
  if (another !== undefined) {
    throw new DuplexityError("DPX_AUTH_INVALID", "Cannot let you in: there are two Authorization headers");
  }
  return authenticator.authenticate({
    authorization,
    method: request.method ?? "",
    host: request.headers.host ?? "",
    path,
  });
}

/** For `WWW-Authenticate` (RFC 9110 §11.6.1), where the refusal is one of identity. */
export function challengeFor({ code }: DuplexityError, authenticator: Authenticator): Record<string, string> {
  const isIdentity = code === "DPX_AUTH_REQUIRED" || code === "DPX_AUTH_INVALID";
  return isIdentity ? { "WWW-Authenticate": authenticator.challenge } : {};
}
