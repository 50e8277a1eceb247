// A hub on a real listener, and clients that are driven by hand, one step at a time.

import { once } from "node:events";
import type { IncomingMessage } from "node:http";
import { createServer, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { authorizationFor, newClientKey } from "../../../src/client/index.ts";
import {
  type ControlMessage,
  createPacketLink,
  type DialRequest,
  type DiscoveryResponse,
  type DuplexityError,
  decodeMessage,
  dialUpgrade,
  encodeMessage,
  errorOfClose,
  type PipeRequest,
  type PipesAreRegisteredResponse,
  Session,
  SessionLink,
  type Stream,
  SUBPROTOCOL,
  TICKET_HEADER,
  WebSocketConnection,
} from "../../../src/protocol/index.ts";
import { type ApiOptions, createApi } from "../../../src/server/api/index.ts";
import { createAttempts } from "../../../src/server/attempts.ts";
import { MemoryRegistry, type Registry } from "../../../src/server/backend/index.ts";
import { Hub, type HubOptions } from "../../../src/server/hub/index.ts";
import { type Authenticator, KeyProofAuthenticator } from "../../../src/server/identity/index.ts";
import { OwnEndpoints } from "../../../src/server/own-endpoints.ts";
import { DEFAULT_LIMITS } from "../../../src/server/serve-options.ts";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import type { Stage } from "../../support/stage.ts";
import { poll, within } from "../../support/wait.ts";
import { apiHub } from "./api-hub.ts";
import { NO_PEOPLE } from "./no-people.ts";

export interface HubStage {
  readonly hub: Hub;
  readonly registry: Registry;
  readonly own: OwnEndpoints;
  readonly port: number;
  readonly url: string;
  readonly log: string[];
  client(options?: { readonly clientId?: string; readonly key?: ClientKey; readonly token?: string }): HandClient;
  /** Connections of the listener that are not destroyed. */
  openSockets(): number;
  /** Waits until all tables are empty. */
  settled(): Promise<void>;
}

type ClientKey = ReturnType<typeof newClientKey>;

export interface HubStageOptions extends Partial<HubOptions> {
  readonly maxUnauthenticated?: number;
  readonly idleSocketMs?: number;
  readonly authenticator?: Authenticator;
  readonly tcpPorts?: { readonly from: number; readonly to: number };
  readonly people?: Pick<ApiOptions, "accounts" | "tokens" | "bans" | "audit">;
}

export async function startHub(stage: Stage, options: HubStageOptions = {}): Promise<HubStage> {
  const {
    maxUnauthenticated = 256,
    idleSocketMs,
    authenticator = new KeyProofAuthenticator(),
    tcpPorts,
    people = NO_PEOPLE,
    attempts = createAttempts(),
    ...more
  } = options;
  const registry = options.registry ?? new MemoryRegistry({ tcpPorts: tcpPorts ?? null });
  const log: string[] = [];
  const hub = new Hub({
    ...{ registry, authenticator, attempts, admission: NO_PEOPLE.bans },
    nodeId: "node-1",
    domain: "test",
    software: "duplexity/test",
    dataPlaneUri: (host) => `ws://${host}/dialer`,
    urlOf: (hostname, tcpPort) => (tcpPort === undefined ? `http://${hostname}` : `tcp://test:${tcpPort}`),
    limits: DEFAULT_LIMITS,
    ports: null,
    log: (level, message) => log.push(`${level} ${message}`),
    ...more,
  });
  const own = new OwnEndpoints({
    ...{ hub, authenticator, attempts, auth: null, domain: "test", places: null },
    addressOf: ({ socket }) => socket.remoteAddress ?? "",
    api: createApi({
      ...{ hub: apiHub(hub), authenticator, attempts, domain: "test", ...people },
      inviteUrl: (code) => `http://test/auth/invite#${code}`,
      addressOf: ({ socket }) => socket.remoteAddress ?? "",
      log: (level, message) => log.push(`${level} ${message}`),
      ...(options.now === undefined ? {} : { now: options.now }),
    }),
    maxUnauthenticated,
    maxHeadBytes: 65_536,
    ...(idleSocketMs === undefined ? {} : { idleSocketMs }),
  });
  const sockets = new Set<Socket>();
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    own.take(socket, Buffer.alloc(0));
  });
  closeWithSockets(stage, server);
  const port = await listen(server);
  stage.defer(async () => {
    hub.close();
    own.close();
    await registry.close();
  });
  const url = `http://127.0.0.1:${port}`;
  return {
    ...{ hub, registry, own, port, url, log },
    client: ({ clientId, key, token } = {}) => new HandClient(stage, url, { clientId, key, token }),
    openSockets: () => sockets.size,
    settled: async () => {
      const left = (): number => {
        const { clients, controls, dialers, tickets, waiters } = hub.statistics;
        return clients + controls + dialers + tickets + waiters + own.unauthenticated;
      };
      await poll(() => left() === 0, 10_000, "all tables to be at zero", 5).catch((error) => {
        throw new Error(`${JSON.stringify(hub.statistics)}, ${own.unauthenticated} unknown`, { cause: error });
      });
    },
  };
}

let clientCount = 0;

/** One control socket as a test sees it. */
export class HandControl {
  readonly socket: WebSocket;
  readonly messages: ControlMessage[] = [];
  readonly closed: Promise<DuplexityError & { readonly closeCode?: number }>;
  /** As the peer sent it. */
  closeCode = 0;
  #wake: () => void = () => {};

  constructor(socket: WebSocket) {
    this.socket = socket;
    socket.on("error", () => {});
    socket.on("message", (content: Buffer) => {
      const message = decodeMessage(content.toString("utf8"));
      if (message !== null) this.messages.push(message);
      this.#wake();
    });
    this.closed = new Promise((resolve) => {
      socket.on("close", (code, reason) => {
        this.closeCode = code;
        this.#wake();
        resolve(errorOfClose(code, reason.toString("utf8")));
      });
    });
  }

  send(message: ControlMessage): void {
    this.socket.send(encodeMessage(message));
  }

  /** The next message of `type` that was not taken yet; those before it are passed over. */
  next<T extends ControlMessage["type"]>(type: T): Promise<Extract<ControlMessage, { type: T }>> {
    return within(this.#next(type), 10_000, `${type}, have ${JSON.stringify(this.messages)}, close ${this.closeCode}`);
  }

  async #next<T extends ControlMessage["type"]>(type: T): Promise<Extract<ControlMessage, { type: T }>> {
    for (;;) {
      const index = this.messages.findIndex((message) => message.type === type);
      if (index !== -1) {
        const [message] = this.messages.splice(0, index + 1).slice(-1);
        if (isOfType(message, type)) return message;
      }
      if (this.closeCode !== 0) throw new Error(`Control closed with ${this.closeCode} before ${type}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

function isOfType<T extends ControlMessage["type"]>(
  message: ControlMessage | undefined,
  type: T,
): message is Extract<ControlMessage, { type: T }> {
  return message?.type === type;
}

/** A client that does nothing by itself. */
export class HandClient {
  readonly clientId: string;
  readonly key: ClientKey;
  /** Shown instead of a proof by the key. */
  token: string | null;
  readonly sessions: Session[] = [];
  readonly opened: { readonly stream: Stream; readonly hostname: string }[] = [];
  control: HandControl | null = null;
  link: SessionLink | null = null;
  /** Of the last dialer. */
  dialerSocket: Duplex | null = null;
  readonly #stage: Stage;
  readonly #url: string;

  constructor(
    stage: Stage,
    url: string,
    options: {
      readonly clientId?: string | undefined;
      readonly key?: ClientKey | undefined;
      token?: string | undefined;
    },
  ) {
    this.#stage = stage;
    this.#url = url;
    this.clientId = options.clientId ?? `client-${String(++clientCount).padStart(4, "0")}`;
    this.key = options.key ?? newClientKey();
    this.token = options.token ?? null;
  }

  /** `Authorization` for one request to `path`. */
  async authorization(path: string, method = "GET"): Promise<string> {
    if (this.token !== null) return `Bearer ${this.token}`;
    return authorizationFor({ url: new URL(path, this.#url), method, key: this.key });
  }

  async openControl(): Promise<HandControl> {
    const socket = new WebSocket(`${this.#url.replace("http", "ws")}/control`, SUBPROTOCOL, {
      headers: { authorization: await this.authorization("/control") },
      perMessageDeflate: false,
    });
    this.#stage.defer(() => socket.terminate());
    const control = new HandControl(socket);
    const refused = once(socket, "unexpected-response").then(async ([, response]) => {
      throw await refusalOf(response);
    });
    await Promise.race([once(socket, "open"), refused]);
    this.control = control;
    return control;
  }

  async discover(control = this.control): Promise<DiscoveryResponse> {
    const used = control ?? (await this.openControl());
    used.send(this.discovery());
    return used.next("discoveryResponse");
  }

  discovery(clientId = this.clientId): Extract<ControlMessage, { type: "discoveryRequest" }> {
    return { type: "discoveryRequest", clientId, protocolVersions: [1], software: "hand/1", features: [] };
  }

  /** Dials with `ticket` and sends the dialRequest. Answers the link and what comes of it. */
  async dial(ticket: string, names: readonly (string | PipeRequest)[], options: DialOptions = {}): Promise<HandDial> {
    const connection = await this.upgrade(ticket, options.authorization);
    let close: (error: DuplexityError) => void = () => {};
    const closed = new Promise<DuplexityError>((resolve) => {
      close = resolve;
    });
    const pipes = names.map((name) => (typeof name === "string" ? { name, protocol: "http" as const } : name));
    const request: ControlMessage = {
      ...{ type: "dialRequest", pipes, wants: options.wants ?? [] },
      clientId: options.clientId ?? this.clientId,
    };
    connection.sendText(encodeMessage(request));
    const link = new SessionLink(createPacketLink(connection), {
      heartbeat: { idleMs: 60_000, timeoutMs: 60_000 },
      acceptSession: (id) => this.#accept(id),
      onClose: close,
    });
    this.link = link;
    return { link, closed };
  }

  async upgrade(ticket: string, authorization?: string): Promise<WebSocketConnection> {
    const result = await dialUpgrade(`${this.#url.replace("http", "ws")}/dialer`, {
      headers: { authorization: authorization ?? (await this.authorization("/dialer")), [TICKET_HEADER]: ticket },
    });
    if (result.status === "refused") throw await refusalOf(result.response);
    this.#stage.defer(() => result.socket.destroy());
    this.dialerSocket = result.socket;
    return new WebSocketConnection(result.socket, {
      ...{ role: "client", mask: "zero", head: result.head },
      ...{ maxMessageBytes: 1_048_576, maxTextBytes: 65_536 },
    });
  }

  /** Everything: control, ticket, dialer, registered. */
  async up(...names: (string | PipeRequest)[]): Promise<PipesAreRegisteredResponse> {
    const { ticket } = await this.discover();
    await this.dial(ticket, names);
    return this.registered();
  }

  async registered(): Promise<PipesAreRegisteredResponse> {
    if (this.control === null) throw new Error("there is no control");
    return this.control.next("pipesAreRegisteredResponse");
  }

  /** Cuts both sockets without a word. */
  vanish(): void {
    this.control?.socket.terminate();
    this.control = null;
    this.link?.abort(errorOfClose(1006, ""));
    this.link = null;
  }

  #accept(id: number): Session {
    const known = this.sessions.find((session) => session.id === id);
    if (known !== undefined) return known;
    const session = new Session({
      ...{ role: "acceptor", id },
      onOpen: (stream, request) => {
        stream.handler = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset() {} };
        this.opened.push({ stream, hostname: request.hostname });
        stream.accept();
      },
      onClose: () => {},
    });
    this.#stage.defer(() => session.close("DPX_CANCELLED", "the test is over"));
    this.sessions.push(session);
    return session;
  }
}

async function refusalOf(response: IncomingMessage): Promise<Error> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk);
  return Object.assign(new Error("refused"), {
    status: response.statusCode,
    code: response.headers["duplexity-error"],
    body: JSON.parse(Buffer.concat(chunks).toString("utf8")),
  });
}

export interface DialOptions {
  readonly wants?: DialRequest["wants"];
  readonly clientId?: string;
  readonly authorization?: string;
}

export interface HandDial {
  readonly link: SessionLink;
  readonly closed: Promise<DuplexityError>;
}
