// The two listeners of a node, made and not opened yet: the public one, and the internal one, which takes what other nodes
// and operators ask. Answers nothing itself.

import {
  createServer as createHttpServer,
  type Server as HttpServer,
  type IncomingMessage,
  type ServerResponse,
} from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import { createServer as createTcpServer, type Socket, type Server as TcpServer } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";
import { DuplexityError } from "../protocol/index.ts";
import { CALLS_PATH, type CallServer } from "./calls/index.ts";
import { answerError, refuseSocket } from "./http-answer.ts";
import { PEER_PATH } from "./hub/index.ts";
import { answerNodeId, NODE_ID_PATH } from "./node-id.ts";
import { hasCertificate, noCertificate } from "./node-tls.ts";
import type { OwnEndpoints } from "./own-endpoints.ts";
import type { OwnPlaces } from "./own-places.ts";
import type { ResolvedServeOptions } from "./serve-options.ts";

/** Connections of the internal listener besides those that carry clients: other nodes, a scraper, a probe. */
const MAX_INTERNAL_CONNECTIONS = 256;
/** The same for a backend node: each other node has some. */
const MAX_CALL_CONNECTIONS = 4_096;
/** How long a request on the internal listener may take to arrive. */
const INTERNAL_REQUEST_MS = 10_000;
/** What another node adds to the head of what it passes on is less. */
const PASSED_ON_BYTES = 4_096;
/** A TLS handshake that takes longer is cut. */
const TLS_HANDSHAKE_MS = 10_000;

/** Asked for, and looked at where it matters. */
const CERTIFICATES: TlsOptions = {
  ...{ requestCert: true, rejectUnauthorized: false, minVersion: "TLSv1.2", handshakeTimeout: TLS_HANDSHAKE_MS },
};

export type InternalListener = HttpServer | HttpsServer;

export interface PublicListener {
  readonly server: TcpServer;
  /** Cuts the connections whose TLS handshake is under way: nobody else knows them. */
  cut(): void;
}

export function createPublicListener(
  { tls, limits }: Pick<ResolvedServeOptions, "limits" | "tls">,
  handle: (socket: Socket) => void,
): PublicListener {
  /** What TLS connections run over: while one shakes hands, nobody else knows it. */
  const rawSockets = new Set<Socket>();
  let server: TcpServer;
  if (tls === null) {
    server = createTcpServer({ noDelay: true, allowHalfOpen: true }, handle);
  } else {
    const secure = createTlsServer({
      ...{ cert: tls.cert, key: tls.key, noDelay: true, allowHalfOpen: true },
      ...{ minVersion: "TLSv1.2", ALPNProtocols: ["http/1.1"], handshakeTimeout: TLS_HANDSHAKE_MS },
    });
    secure.on("secureConnection", handle);
    secure.on("tlsClientError", (_error, socket) => socket.destroy());
    secure.on("connection", (socket: Socket) => {
      rawSockets.add(socket);
      socket.once("close", () => rawSockets.delete(socket));
    });
    server = secure;
  }
  // Above what visitors and clients may have, so that their own limits answer first.
  server.maxConnections = limits.maxVisitors + 2 * limits.maxClients + limits.maxUnauthenticated;
  return {
    server,
    cut: () => {
      for (const socket of rawSockets) socket.destroy();
    },
  };
}

export interface InternalParts {
  readonly nodeId: string;
  /** Health, metrics, and the registry for operators. */
  readonly api: (request: IncomingMessage, response: ServerResponse) => void;
  readonly own: Pick<OwnEndpoints, "takeForwarded" | "takeForwardedUpgrade">;
  /** Null: there are no other nodes. */
  readonly places: Pick<OwnPlaces, "isForwarded"> | null;
  /** Null: other nodes reach nothing by way of this one. */
  readonly calls: Pick<CallServer, "handle"> | null;
  readonly acceptPeer: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

export function createInternalListener(
  { limits, internalTls, cluster }: Pick<ResolvedServeOptions, "cluster" | "internalTls" | "limits">,
  { nodeId, api, own, places, calls, acceptPeer }: InternalParts,
): InternalListener {
  const isPassedOn = (request: IncomingMessage): boolean => places?.isForwarded(request) === true;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    const path = pathOf(request);
    const isCall = calls !== null && path.startsWith(`${CALLS_PATH}/`);
    const isWhoAsked = cluster !== null && path === NODE_ID_PATH;
    // Health checks have none: the rest asks for more where it matters.
    if (!isCall && !isWhoAsked && !isPassedOn(request)) api(request, response);
    else if (!hasCertificate(request)) answerError(response, noCertificate());
    else if (isPassedOn(request)) own.takeForwarded(request, response);
    else if (isWhoAsked) answerNodeId(request, response, { nodeId, secrets: cluster.secrets });
    else void calls?.handle(request, response, path);
  };
  const bounds = {
    ...{ requestTimeout: INTERNAL_REQUEST_MS, headersTimeout: INTERNAL_REQUEST_MS },
    maxHeaderSize: limits.maxHeadBytes + PASSED_ON_BYTES,
  };
  const server =
    internalTls === null
      ? createHttpServer(bounds, answer)
      : createHttpsServer({ ...bounds, ...internalTls, ...CERTIFICATES }, answer);
  // Clients that come to other nodes are passed on to here.
  const ofClients = places === null ? 0 : 2 * limits.maxClients + limits.maxUnauthenticated;
  server.maxConnections = (calls === null ? MAX_INTERNAL_CONNECTIONS : MAX_CALL_CONNECTIONS) + ofClients;
  server.on("upgrade", (request, socket, head) => {
    if (!hasCertificate(request)) refuseSocket(socket, noCertificate());
    else if (pathOf(request) === PEER_PATH) acceptPeer(request, socket, head);
    else if (isPassedOn(request)) own.takeForwardedUpgrade(request, socket, head);
    else refuseSocket(socket, notPublic(request));
  });
  return server;
}

function notPublic(request: IncomingMessage): DuplexityError {
  const message = `Cannot serve ${pathOf(request).slice(0, 64)}: this is the internal listener, for other nodes`;
  return new DuplexityError("DPX_REQUEST_INVALID", message, { hint: "Clients and visitors come to --listen." });
}

function pathOf({ url = "" }: IncomingMessage): string {
  return url.split("?", 1)[0] ?? "";
}
