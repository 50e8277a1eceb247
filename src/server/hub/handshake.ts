// What a client must show before the hub talks to it: our sub-protocol, a common version. Pure.

import type { IncomingMessage } from "node:http";
import { DuplexityError, PROTOCOL_VERSIONS, SUBPROTOCOL } from "../../protocol/index.ts";

/** Here too, because an error answer of `ws` would have none of our codes. */
export function checkHandshake({ method, headers }: IncomingMessage): void {
  const isHandshake = method === "GET" && headers.upgrade?.toLowerCase() === "websocket";
  if (!isHandshake || headers["sec-websocket-version"] !== "13" || headers["sec-websocket-key"] === undefined) {
    throw new DuplexityError("DPX_PROTOCOL", "Expected a WebSocket handshake of version 13 (RFC 6455 §4.2.1)");
  }
  const offered = (headers["sec-websocket-protocol"] ?? "").split(",").map((name) => name.trim());
  if (offered.includes(SUBPROTOCOL)) return;
  throw new DuplexityError(
    "DPX_PROTOCOL_VERSION",
    `The client offers "${offered.join(", ")}", this server speaks ${SUBPROTOCOL}`,
  );
}

/** @throws {DuplexityError} `DPX_PROTOCOL_VERSION` with which side to upgrade. */
export function highestCommon(versions: readonly number[]): number {
  const common = PROTOCOL_VERSIONS.filter((version) => versions.includes(version)).at(-1);
  if (common !== undefined) return common;
  const side = Math.max(...versions) < Math.max(...PROTOCOL_VERSIONS) ? "client" : "server";
  throw new DuplexityError(
    "DPX_PROTOCOL_VERSION",
    `Cannot talk: the client speaks versions ${versions.join(", ")}, this server ${PROTOCOL_VERSIONS.join(", ")}`,
    { hint: `Upgrade the ${side}.` },
  );
}
