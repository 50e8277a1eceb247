// What the server answers under its own name: the clients' two sockets, a page that says what this is, and, by others, the
// API and the sign-in. One request for each connection.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type BlockList, isIPv6, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import type { Api } from "./api/index.ts";
import type { Attempts } from "./attempts.ts";
import type { AuthService } from "./auth/index.ts";
import { forwardRequest, forwardUpgrade } from "./forward.ts";
import type { ForwardedFrom } from "./forwarded-proof.ts";
import { answerError, answerText, endSocket, refuseSocket } from "./http-answer.ts";
import type { Hub } from "./hub/index.ts";
import { Lobby, type LobbyPlace, senderOf, ticketNode } from "./hub/index.ts";
import { challengeFor, identify } from "./identify.ts";
import { type Authenticator, isLoopbackHost } from "./identity/index.ts";
import type { OwnPlaces } from "./own-places.ts";
import { plainAddress } from "./proxy/index.ts";

export interface OwnEndpointsOptions {
  readonly hub: Hub;
  readonly authenticator: Authenticator;
  readonly attempts: Attempts;
  readonly api: Api;
  /** Null: nobody signs in here (--no-auth). */
  readonly auth: Pick<AuthService, "handle"> | null;
  /** What other nodes have to answer; null where there are none. */
  readonly places: OwnPlaces | null;
  /** Whom a request comes from, for audit log and rate limits. */
  readonly addressOf: (request: IncomingMessage) => string;
  readonly domain: string;
  /** Sockets that have not said who they are. */
  readonly maxUnauthenticated: number;
  /** Peers that stand for many clients, as loopback does: they have no share of these sockets to keep to. */
  readonly trustProxy?: BlockList;
  /** How long such a socket may take for its request, and then for its first message. @default 10_000 */
  readonly idleSocketMs?: number;
  readonly maxHeadBytes: number;
}

/** How long the server may take for its answer: a kick waits for every hub. */
const ANSWER_MS = 30_000;

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
    // Before it waits for its turn: the peer's end may come meanwhile, and nothing can be put back after that.
    socket.pause();
    if (head.length > 0) socket.unshift(head);
    this.#admit(socket, this.#senderOf(socket), () => {
      this.#http.emit("connection", socket);
      socket.resume();
    });
  }

  /**
   * Takes a request over that has come to the internal listener, if another node passes it on. It is looked at like any
   * other; where it comes from says the other node.
   */
  takeForwarded(request: IncomingMessage, response: ServerResponse): void {
    try {
      const { places } = this.#options;
      if (places === null) throw outside();
      places.accept(request);
      this.#checkOwn(pathOf(request));
      this.#answer(request, response);
    } catch (error) {
      answerError(response, asDuplexityError(error));
    }
  }

  /** The same for a request to upgrade: a client's control socket or dialer. */
  takeForwardedUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#isClosed || !(socket instanceof Socket)) {
      socket.destroy();
      return;
    }
    let sender: string | null;
    try {
      const { places } = this.#options;
      if (places === null) throw outside();
      ({ sender } = places.accept(request));
      this.#checkOwn(pathOf(request));
    } catch (error) {
      refuseSocket(socket, asDuplexityError(error));
      return;
    }
    this.#admit(socket, sender, () => void this.#upgrade(request, socket, head));
  }

  /** Cuts the sockets that are not the hub's. */
  close(): void {
    this.#isClosed = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#http.close();
  }

  /** Gives `socket` a place in the lobby and calls `begin` when it is its turn; or refuses it. */
  #admit(socket: Socket, sender: string | null, begin: () => void): void {
    try {
      this.#places.set(socket, this.#lobby.enter(socket, sender));
    } catch (error) {
      refuseSocket(socket, asDuplexityError(error));
      return;
    }
    this.#track(socket);
    const giveUp = this.#options.hub.turns.run(() => {
      socket.off("close", giveUp);
      if (!socket.destroyed) begin();
    });
    socket.once("close", giveUp);
  }

  /** Apart from what begins: its listener lives as long as the socket, and so would a request's head that it knew. */
  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("error", ignore);
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const place = this.#places.get(request.socket);
    // What is here in full waits for us, and not we for it.
    if (hasBody(request)) request.once("end", () => place?.restart(ANSWER_MS));
    else place?.restart(ANSWER_MS);
    try {
      const { places } = this.#options;
      const nodes = places?.elsewhere({ path: pathOf(request), nodeId: null }) ?? null;
      if (places === null || nodes === null) this.#answer(request, response);
      else void forwardRequest(places.targets(nodes, request, this.#fromOf(request)), request, response);
    } catch (error) {
      const refusal = asDuplexityError(error);
      answerError(response, refusal, { headers: this.#headersFor(refusal) });
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    try {
      const path = pathOf(request);
      const { api, auth } = this.#options;
      if (isBelow(path, "/api")) api.handle(request, response);
      else if (auth !== null && isBelow(path, "/auth")) auth.handle(request, response);
      else if (path === "/") this.#answerRoot(request, response);
      else throw this.#notHere(path, response);
    } catch (error) {
      const refusal = asDuplexityError(error);
      if (response.headersSent) response.destroy();
      else if (refusal.code === "DPX_REQUEST_INVALID") answerError(response, refusal, { status: 404 });
      else answerError(response, refusal, { headers: this.#headersFor(refusal) });
    }
  }

  #answerRoot({ method }: IncomingMessage, response: ServerResponse): void {
    if (method === "GET" || method === "HEAD") {
      const { domain } = this.#options;
      answerText(response, 200, `This is a duplexity server: a tunnel. Pipes are at <name>.${domain}.\n`);
      return;
    }
    const error = new DuplexityError("DPX_REQUEST_INVALID", `Cannot serve ${method} /: GET is expected`);
    answerError(response, error, { status: 405, headers: { Allow: "GET, HEAD" } });
  }

  #notHere(path: string, response: ServerResponse): DuplexityError {
    if (path !== "/control" && path !== "/dialer") {
      return new DuplexityError("DPX_REQUEST_INVALID", `Cannot serve ${path.slice(0, 64)}: nothing is there`);
    }
    response.setHeader("Upgrade", "websocket");
    return new DuplexityError("DPX_PROTOCOL_VERSION", `${path} is a WebSocket, for duplexity up`);
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const place = this.#places.get(socket);
    if (!(socket instanceof Socket) || place === undefined) {
      socket.destroy();
      return;
    }
    try {
      const path = pathOf(request);
      if (path !== "/control" && path !== "/dialer") {
        throw new DuplexityError("DPX_REQUEST_INVALID", `Cannot upgrade ${path.slice(0, 64)}: it is not a WebSocket`);
      }
      const { attempts, authenticator, hub, places } = this.#options;
      const from = places?.fromOf(socket) ?? null;
      const sender = from === null ? this.#senderOf(socket) : from.sender;
      if (sender !== null) await attempts.count("upgrade", sender);
      const nodeId = path === "/dialer" ? ticketNode(request) : null;
      // A request goes over one other node at most.
      const nodes = from === null ? (places?.elsewhere({ path, nodeId }) ?? null) : null;
      if (places !== null && nodes !== null) {
        const targets = places.targets(nodes, request, this.#fromOf(request));
        await forwardUpgrade(targets, request, socket, { head, onAnswer: () => place.leave() });
        return;
      }
      const identity = await identify(authenticator, request, path);
      await attempts.count("upgrade", identity.ownerId);
      // It left, or the server stopped, while its proof was looked at.
      if (socket.destroyed) return;
      const upgrade = { request, socket, head, identity, place, sender };
      if (path === "/control") hub.acceptControl(upgrade);
      else hub.acceptDialer(upgrade);
      this.#sockets.delete(socket);
    } catch (error) {
      const refusal = asDuplexityError(error);
      refuseSocket(socket, refusal, this.#headersFor(refusal));
      // It has got its answer, and is closed soon: who comes next may have its place.
      socket.once("finish", place.leave);
    }
  }

  /** Another node has passed it on: this one has to be the one for it. @throws {DuplexityError} `DPX_LOOP` */
  #checkOwn(path: string): void {
    if (this.#options.places?.mustRefuse(path) !== true) return;
    throw new DuplexityError(
      "DPX_LOOP",
      `Cannot serve ${path.slice(0, 64)}: it was passed on to a node without that role`,
    );
  }

  #fromOf(request: IncomingMessage): ForwardedFrom {
    return { address: this.#options.addressOf(request) || "unknown", sender: this.#senderOf(request.socket) };
  }

  /** Null for a TLS terminator on this machine, or a trusted one: behind it are many. */
  #senderOf(socket: Socket): string | null {
    const address = plainAddress(socket.remoteAddress ?? "");
    if (address === "" || isLoopbackHost(address)) return null;
    const isTrusted = this.#options.trustProxy?.check(address, isIPv6(address) ? "ipv6" : "ipv4") === true;
    return isTrusted ? null : senderOf(address);
  }

  #headersFor(error: DuplexityError): Record<string, string> {
    // RFC 9110 §15.5.22: 426 says what to upgrade to.
    if (error.code === "DPX_PROTOCOL_VERSION") return { Upgrade: "websocket" };
    if (error.code === "DPX_SERVER_UNREACHABLE") return { "Retry-After": "1" };
    return challengeFor(error, this.#options.authenticator);
  }
}

function outside(): DuplexityError {
  return new DuplexityError("DPX_FORBIDDEN", "Cannot take the request: this node is in no cluster");
}

/** RFC 9112 §6.3: a request without either header has none. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > 0;
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

/** The path without its query; of an absolute-form target, too (RFC 9112 §3.2.2). */
function pathOf(request: IncomingMessage): string {
  const target = request.url ?? "/";
  const path = target.startsWith("/") ? target : target.replace(/^[a-z]+:\/\/[^/?#]*/i, "");
  const [plain = ""] = path.split(/[?#]/, 1);
  return plain === "" ? "/" : plain;
}
