// Which address a request to the server itself comes from, for audit log and rate limits. Decides nothing.

import type { IncomingMessage } from "node:http";
import { type BlockList, isIPv6, type Socket } from "node:net";
import { addressBehind, plainAddress } from "./proxy/index.ts";

/**
 * The peer's, or what a trusted proxy says (X-Forwarded-For); without a port.
 *
 * @param passedOn What another node of the cluster says of a socket that it passes on; null: it does not.
 */
export function createAddressOf(
  trustProxy: BlockList,
  passedOn: (socket: Socket) => string | null,
): (request: IncomingMessage) => string {
  return ({ socket, headersDistinct }) => {
    const said = passedOn(socket);
    if (said !== null) return said;
    const peer = plainAddress(socket.remoteAddress ?? "");
    if (peer === "" || !trustProxy.check(peer, isIPv6(peer) ? "ipv6" : "ipv4")) return peer;
    return addressBehind(headersDistinct["x-forwarded-for"] ?? [], trustProxy) || peer;
  };
}
