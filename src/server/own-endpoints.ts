// What the server answers under its own name: the clients' two sockets, the list
// of clients, and a page that says what this is. One request for each connection.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type BlockList, isIPv6, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import { answerError, answerJson, answerText, endSocket, refuseSocket } from "./http-answer.ts";
import type { Hub } from "./hub/index.ts";
import { Lobby, type LobbyPlace, senderOf } from "./hub/index.ts";
import { challengeFor, identify } from "./identify.ts";
import { type Authenticator, type Identity, isLoopbackHost } from "./identity/index.ts";
import { plainAddress } from "./proxy/index.ts";

export interface OwnEndpointsOptions {
  readonly hub: Hub;
  readonly authenticator: Authenticator;
  readonly domain: string;
  /** Sockets that have not said who they are. */
  readonly maxUnauthenticated: number;
  /** Peers that stand for many clients, as loopback does: they have no share of these sockets to keep to. */
  readonly trustProxy?: BlockList;
  /** How long such a socket may take for its request, and then for its first message. @default 10_000 */
  readonly idleSocketMs?: number;
  readonly maxHeadBytes: number;
}

const ignore = (): void => {};

export class OwnEndpoints {
  readonly #options: OwnEndpointsOptions;
  readonly #lobby: Lobby;
  /** Parses requests; it never listens. */
  readonly #http;
  readonly #places = new WeakMap<Duplex, LobbyPlace>();
  readonly #sockets = new Set<Socket>();
  #isClosed = false;

  constructor(options: OwnEndpointsOptions) {
    this.#options = options;
    const { maxUnauthenticated, idleSocketMs } = options;
    this.#lobby = new Lobby({
      maxSockets: maxUnauthenticated,
      ...(idleSocketMs === undefined ? {} : { deadlineMs: idleSocketMs }),
    });
    this.#http = createServer({ maxHeaderSize: options.maxHeadBytes });
    // A second request on the connection may be for a pipe: only the proxy can tell, and it has given the socket away.
    this.#http.maxRequestsPerSocket = 1;
    this.#http.on("request", (request, response) => void this.#serve(request, response));
    this.#http.on("upgrade", (request, socket, head) => void this.#upgrade(request, socket, head));
    this.#http.on("clientError", (_error, socket) => {
      if (socket.writable)
        endSocket(socket, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    });
  }

  /** Sockets that have not said who they are at this moment. */
  get unauthenticated(): number {
    return this.#lobby.size;
  }

  /** Takes a socket over whose next request is for the server itself; `head` was read from it and not used. */
  take(socket: Socket, head: Buffer): void {
    if (this.#isClosed) {
      socket.destroy();
      return;
    }
    try {
      this.#places.set(socket, this.#lobby.enter(socket, this.#senderOf(socket)));
    } catch (error) {
      refuseSocket(socket, asDuplexityError(error), { "Retry-After": "5" });
      return;
    }
    this.#sockets.add(socket);
    socket.once("close", () => this.#sockets.delete(socket));
    if (head.length > 0) socket.unshift(head);
    this.#http.emit("connection", socket);
    socket.resume();
  }

  /** Cuts the sockets that are not the hub's. */
  close(): void {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#http.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const path = pathOf(request);
      if (path !== "/" && path !== "/api/clients") {
        if (path === "/control" || path === "/dialer") {
          response.setHeader("Upgrade", "websocket");
          throw new DuplexityError("DPX_PROTOCOL_VERSION", `${path} is a WebSocket, for duplexity up`);
        }
        answerError(
          response,
          new DuplexityError("DPX_REQUEST_INVALID", `Cannot serve ${path.slice(0, 64)}: nothing is there`),
          {
            status: 404,
          },
        );
        return;
      }
      if (request.method !== "GET" && request.method !== "HEAD") {
        const error = new DuplexityError(
          "DPX_REQUEST_INVALID",
          `Cannot serve ${request.method} ${path}: GET is expected`,
        );
        answerError(response, error, { status: 405, headers: { Allow: "GET, HEAD" } });
        return;
      }
      if (path === "/") {
        answerText(
          response,
          200,
          `This is a duplexity server: a tunnel. Pipes are at <name>.${this.#options.domain}.\n`,
        );
        return;
      }
      const identity = await this.#identify(request, path);
      answerJson(response, 200, { v: 1, clients: this.#options.hub.list(identity) });
    } catch (error) {
      const refusal = asDuplexityError(error);
      if (response.headersSent) response.destroy();
      else answerError(response, refusal, { headers: this.#challengeFor(refusal) });
    }
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const place = this.#places.get(socket);
    if (!(socket instanceof Socket) || place === undefined) {
      socket.destroy();
      return;
    }
    socket.on("error", ignore);
    try {
      const path = pathOf(request);
      if (path !== "/control" && path !== "/dialer") {
        throw new DuplexityError("DPX_REQUEST_INVALID", `Cannot upgrade ${path.slice(0, 64)}: it is not a WebSocket`);
      }
      const identity = await this.#identify(request, path);
      // It left, or the server stopped, while its proof was looked at.
      if (socket.destroyed) return;
      const upgrade = { request, socket, head, identity, place };
      if (path === "/control") this.#options.hub.acceptControl(upgrade);
      else this.#options.hub.acceptDialer(upgrade);
      this.#sockets.delete(socket);
    } catch (error) {
      const refusal = asDuplexityError(error);
      refuseSocket(socket, refusal, this.#challengeFor(refusal));
      // It has got its answer, and is closed soon: who comes next may have its place.
      socket.once("finish", place.leave);
    }
  }

  /** Null for a TLS terminator on this machine, or a trusted one: behind it are many. */
  #senderOf(socket: Socket): string | null {
    const address = plainAddress(socket.remoteAddress ?? "");
    if (address === "" || isLoopbackHost(address)) return null;
    const isTrusted = this.#options.trustProxy?.check(address, isIPv6(address) ? "ipv6" : "ipv4") === true;
    return isTrusted ? null : senderOf(address);
  }

  #identify(request: IncomingMessage, path: string): Promise<Identity> {
    return identify(this.#options.authenticator, request, path);
  }

  #challengeFor(error: DuplexityError): Record<string, string> {
    // RFC 9110 §15.5.22: 426 says what to upgrade to.
    if (error.code === "DPX_PROTOCOL_VERSION") return { Upgrade: "websocket" };
    return challengeFor(error, this.#options.authenticator);
  }
}

/** The path without its query; of an absolute-form target, too (RFC 9112 §3.2.2). */
function pathOf(request: IncomingMessage): string {
  const target = request.url ?? "/";
  const path = target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/?#]*/i, "");
  const [plain = ""] = path.split(/[?#]/, 1);
  return plain === "" ? "/" : plain;
}
