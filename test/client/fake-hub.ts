// A hub that a test drives by hand: real sockets on loopback, the protocol's own
// Session behind them, and every step can be refused, cut or left out.

import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import {
  acceptUpgrade,
  type ControlMessage,
  createPacketLink,
  type DialRequest,
  type DiscoveryResponse,
  type DuplexityError,
  decodeMessage,
  ERRORS,
  type ErrorCode,
  type ErrorMessage,
  encodeMessage,
  MAX_PACKET_BYTES,
  newSessionId,
  type OpenRequest,
  type PipeResult,
  Session,
  SessionLink,
  type Stream,
  type StreamHandler,
  SUBPROTOCOL,
  TICKET_HEADER,
  WebSocketConnection,
} from "../../src/protocol/index.ts";

export interface Refusal {
  readonly code: ErrorCode;
  readonly message: string;
  readonly hint?: string;
  /** Of the answer's header, in seconds. */
  readonly retryAfter?: number;
}

export class FakeHub {
  readonly server: Server = createServer((_request, response) => response.writeHead(404).end("no"));
  readonly #websockets = new WebSocketServer({ noServer: true, autoPong: false, handleProtocols: () => SUBPROTOCOL });
  readonly sockets = new Set<Socket>();
  readonly #waiting: { test: (event: HubEvent) => boolean; resolve: (event: HubEvent) => void }[] = [];
  readonly events: HubEvent[] = [];

  // What it does:
  refuseControl: Refusal | null = null;
  /** What a discoveryRequest is answered with instead, and the socket closed. */
  refuseDiscovery: Omit<ErrorMessage, "type"> | null = null;
  refuseDialer: Refusal | null = null;
  refuseBody: string | null = null;
  refusePipes: Refusal | null = null;
  /** Of the pipes these alone are refused, if the client takes the others: else all of them. */
  refuseOnly: readonly string[] | null = null;
  /** Other hubs, for discovery. */
  alternatives: readonly string[] = [];
  isSilent = false;
  /** Of the control socket. */
  answersPings = true;
  registers = true;
  version = 1;
  /** Null: it is of the time before there were any. */
  features: readonly string[] | null = null;
  heartbeat = { idleMs: 10_000, timeoutMs: 5_000 };
  resumeWindowMs = 30_000;
  /** Null: it does not say. */
  moveDelayMs: number | null = null;
  domain = "localhost";
  nodeId = "n1";
  dataPlaneUri: string | null = null;

  // What it has:
  control: WebSocket | null = null;
  link: SessionLink | null = null;
  session: Session | null = null;
  upgrades: IncomingMessage[] = [];
  tickets = 0;
  lastDial: DialRequest | null = null;
  /** Answers the last dialRequest. */
  registerNow = (): void => {};

  constructor() {
    this.server.on("connection", (socket: Socket) => {
      this.sockets.add(socket);
      socket.on("close", () => this.sockets.delete(socket));
      socket.on("error", () => {});
    });
    this.server.on("upgrade", (request, socket, head) => this.#upgrade(request, socket, head));
  }

  async listen(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.server.listen(port, "127.0.0.1", resolve));
    return this;
  }

  get port(): number {
    const address = this.server.address();
    return (address as AddressInfo).port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Resolves with the next event of that type (or one that has not been looked at yet). */
  next<T extends HubEvent["type"]>(type: T): Promise<HubEvent & { type: T }> {
    const isWanted = (event: HubEvent): event is HubEvent & { type: T } => event.type === type;
    const index = this.events.findIndex(isWanted);
    const [event] = index === -1 ? [] : this.events.splice(index, 1);
    if (event !== undefined && isWanted(event)) return Promise.resolve(event);
    return new Promise((resolve) => {
      this.#waiting.push({
        test: isWanted,
        resolve: (found) => {
          if (isWanted(found)) resolve(found);
        },
      });
    });
  }

  send(message: ControlMessage): void {
    this.control?.send(encodeMessage(message));
  }

  open(hostname: string, handler: StreamHandler, protocol: OpenRequest["protocol"] = "http"): Stream {
    if (this.session === null) throw new Error("no session");
    return this.session.open({ hostname, protocol, visitor: "127.0.0.1:1", isTls: false }, handler);
  }

  /** Cuts every connection as a cable would. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Stops listening, cuts all, forgets all. */
  async die(): Promise<void> {
    const closed = new Promise((resolve) => this.server.close(resolve));
    this.cut();
    this.session?.close("DPX_SESSION_EXPIRED", "the hub died");
    this.session = null;
    await closed;
  }

  async close(): Promise<void> {
    await this.die();
    this.#websockets.close();
  }

  #emit(event: HubEvent): void {
    const index = this.#waiting.findIndex(({ test }) => test(event));
    const [waiting] = index === -1 ? [] : this.#waiting.splice(index, 1);
    if (waiting === undefined) this.events.push(event);
    else waiting.resolve(event);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    this.upgrades.push(request);
    this.#emit({ type: "upgrade", path: request.url ?? "" });
    if (this.isSilent) return;
    const isControl = request.url === "/control";
    const refusal = isControl ? this.refuseControl : this.refuseDialer;
    if (this.refuseBody !== null) {
      socket.end(`HTTP/1.1 502 Bad Gateway\r\ncontent-length: ${this.refuseBody.length}\r\n\r\n${this.refuseBody}`);
    } else if (refusal !== null) {
      const { retryAfter, ...error } = refusal;
      const body = JSON.stringify({ error });
      const later = retryAfter === undefined ? "" : `retry-after: ${retryAfter}\r\n`;
      socket.end(
        `HTTP/1.1 ${ERRORS[refusal.code].httpStatus} No\r\nduplexity-error: ${refusal.code}\r\n${later}content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      );
    } else if (isControl) {
      this.#websockets.handleUpgrade(request, socket as Socket, head, (ws) => this.#acceptControl(ws));
    } else {
      acceptUpgrade(request, socket);
      this.#acceptDialer(request, socket as Socket, head);
    }
  }

  #acceptControl(ws: WebSocket): void {
    this.control = ws;
    ws.on("error", () => {});
    ws.on("ping", () => {
      if (this.answersPings) ws.pong();
    });
    ws.on("message", (content) => {
      const message = decodeMessage(content.toString());
      if (message === null) return;
      if (message.type === "discoveryRequest") this.#answerDiscovery(ws);
      this.#emit({ type: "message", message });
    });
    ws.on("close", (code, reason) => this.#emit({ type: "controlClosed", code, reason: reason.toString() }));
  }

  #answerDiscovery(ws: WebSocket): void {
    if (this.refuseDiscovery === null) {
      this.send(this.#discovery());
      return;
    }
    this.send({ type: "error", ...this.refuseDiscovery });
    ws.close(ERRORS[this.refuseDiscovery.code].closeCode, `${this.refuseDiscovery.code}: no`);
  }

  #discovery(): DiscoveryResponse {
    this.tickets += 1;
    return {
      type: "discoveryResponse",
      dataPlaneUri: this.dataPlaneUri ?? `ws://127.0.0.1:${this.port}/dialer`,
      alternatives: this.alternatives,
      protocolVersion: this.version,
      nodeId: this.nodeId,
      software: "fake/9.9",
      domain: this.domain,
      owner: "tester",
      ticket: `ticket-${this.tickets}`,
      ticketTtlMs: 10_000,
      heartbeat: this.heartbeat,
      resumeWindowMs: this.resumeWindowMs,
      ...(this.moveDelayMs === null ? {} : { moveDelayMs: this.moveDelayMs }),
      limits: { maxPipes: 32, maxStreams: 4096, maxPacketBytes: MAX_PACKET_BYTES },
      ...(this.features === null ? {} : { features: this.features }),
    };
  }

  #acceptDialer(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const connection = new WebSocketConnection(socket, {
      role: "server",
      maxMessageBytes: MAX_PACKET_BYTES,
      maxTextBytes: 65_536,
      head,
    });
    connection.handler = {
      onBinary: () => {},
      onDrain: () => {},
      onClose: () => {},
      onText: (text) => {
        const message = decodeMessage(text);
        if (message?.type !== "dialRequest") return;
        this.lastDial = message;
        this.#emit({ type: "dial", message, ticket: String(request.headers[TICKET_HEADER]) });
        this.registerNow = () => this.register(connection, message);
        if (this.registers) this.registerNow();
      },
    };
  }

  register(connection: WebSocketConnection, { clientId, pipes, wants }: DialRequest): void {
    const { refusePipes: refusal, refuseOnly } = this;
    const refused = refusal === null ? [] : pipes.filter(({ name }) => refuseOnly?.includes(name) ?? true);
    const isTaken = refused.length === 0 || (refused.length < pipes.length && wants.includes("partial"));
    const results = pipes.map((pipe): PipeResult => {
      const { name, protocol } = pipe;
      if (refusal !== null && (!isTaken || refused.includes(pipe))) return { status: "refused", name, ...refusal };
      const hostname = name.includes(".") ? name : `${name}.${this.domain}`;
      return { status: "registered", name, protocol, hostname, url: `http://${hostname}:${this.port}`, epoch: 1 };
    });
    const response: ControlMessage = { type: "pipesAreRegisteredResponse", clientId, pipes: results };
    if (isTaken) {
      this.#attach(connection);
      this.send(response);
      return;
    }
    // The worst order: the dialer's end is known before its reason.
    connection.handler = {
      onBinary: () => {},
      onDrain: () => {},
      onText: () => {},
      onClose: () => this.send(response),
    };
    connection.close(4409, `${this.refusePipes?.code}: At least one pipe was refused`);
  }

  #attach(connection: WebSocketConnection): void {
    const link = new SessionLink(createPacketLink(connection), {
      heartbeat: this.heartbeat,
      onClose: (error) => this.#emit({ type: "linkClosed", error }),
    });
    this.link = link;
    if (this.session === null || this.session.isClosed) {
      this.session = new Session({
        role: "opener",
        id: newSessionId(),
        onLive: () => this.#emit({ type: "live" }),
        onClose: (error) => this.#emit({ type: "sessionClosed", error }),
      });
    }
    this.session.attach(link);
  }
}

export type HubEvent =
  | { readonly type: "upgrade"; readonly path: string }
  | { readonly type: "message"; readonly message: ControlMessage }
  | { readonly type: "dial"; readonly message: DialRequest; readonly ticket: string }
  | { readonly type: "live" }
  | { readonly type: "controlClosed"; readonly code: number; readonly reason: string }
  | { readonly type: "linkClosed"; readonly error: DuplexityError }
  | { readonly type: "sessionClosed"; readonly error: DuplexityError };
