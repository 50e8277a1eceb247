// The dialer's socket: opens it with a ticket, says whose it is, and hands it
// over as a link. What the packets on it mean is not its business.

import type { Socket } from "node:net";
import {
  createPacketLink,
  Deadline,
  type DialRequest,
  DuplexityError,
  dialUpgrade,
  encodeMessage,
  type Link,
  MAX_MESSAGE_BYTES,
  MAX_PACKET_BYTES,
  TICKET_HEADER,
  WebSocketConnection,
} from "../protocol/index.ts";
import { dialFailure, readRefusal } from "./dial-errors.ts";
import { ProxyAgent } from "./proxy-agent.ts";
import { proxyFor } from "./proxy-settings.ts";
import { isLoopbackAddress, shownServer } from "./server-url.ts";

export interface DialerOptions {
  readonly url: URL;
  readonly authorization: string;
  readonly ticket: string;
  readonly request: DialRequest;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

/**
 * Dials `/dialer` and sends the dialRequest. Set the link's handler in the same turn.
 *
 * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE`, or with what the server refused it.
 */
export async function dialLink(options: DialerOptions): Promise<Link> {
  const { url, timeoutMs } = options;
  const server = shownServer(url);
  const late = (): Error =>
    new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot reach ${server}: no answer in ${timeoutMs / 1000} s`);
  const deadline = new Deadline(timeoutMs, options.signal, late);
  try {
    const proxy = proxyFor(url);
    const result = await dialUpgrade(url.href, {
      headers: { authorization: options.authorization, [TICKET_HEADER]: options.ticket },
      ...(proxy === null ? {} : { agent: new ProxyAgent(proxy, url, deadline.signal) }),
      handshakeTimeoutMs: timeoutMs,
      signal: deadline.signal,
    });
    if (result.status === "refused") throw await readRefusal(server, result.response);
    const connection = new WebSocketConnection(result.socket, {
      role: "client",
      mask: canGoUnmasked(url, result.socket, proxy !== null) ? "zero" : "random",
      maxMessageBytes: MAX_PACKET_BYTES,
      maxTextBytes: MAX_MESSAGE_BYTES,
      head: result.head,
    });
    connection.sendText(encodeMessage(options.request));
    return createPacketLink(connection);
  } catch (error) {
    throw dialFailure(server, deadline.signal.aborted ? deadline.signal.reason : error);
  } finally {
    deadline.clear();
  }
}

/** Masks keep caches in the middle from being fed (RFC 6455 §10.3): inside TLS and within one machine there are none. */
function canGoUnmasked(url: URL, socket: Socket, isProxied: boolean): boolean {
  return url.protocol === "wss:" || (!isProxied && isLoopbackAddress(socket.remoteAddress));
}
