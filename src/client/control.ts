// The control socket: messages to and from the hub, and whether it still
// lives. Knows nothing of links; carries no visitor's bytes.

import { type RawData, WebSocket } from "ws";
import {
  asDuplexityError,
  type ClosePipesRequest,
  type ControlMessage,
  closeReason,
  Deadline,
  type DiscoveryRequest,
  type DiscoveryResponse,
  type DrainRequest,
  DuplexityError,
  decodeMessage,
  ERRORS,
  type ErrorCode,
  encodeMessage,
  errorOfClose,
  type ForceDisconnectRequest,
  type Heartbeat,
  Liveness,
  MAX_MESSAGE_BYTES,
  type PipesAreClosedResponse,
  type PipesAreRegisteredResponse,
  reasonOfFault,
  SUBPROTOCOL,
} from "../protocol/index.ts";
import { dialFailure, readRefusal } from "./dial-errors.ts";
import { ProxyAgent } from "./proxy-agent.ts";
import { proxyFor } from "./proxy-settings.ts";
import { Reply } from "./reply.ts";
import { shownServer } from "./server-url.ts";

export interface ControlHandler {
  onRegistered(message: PipesAreRegisteredResponse): void;
  onForceDisconnect(message: ForceDisconnectRequest): void;
  onDrain(message: DrainRequest): void;
  /** The socket is gone. Once; not called for one's own `close` or `terminate`. */
  onClose(error: DuplexityError): void;
}

export interface ControlDialOptions {
  readonly url: URL;
  readonly authorization: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly handler: ControlHandler;
}

/** Until the hub has said what it wants. */
const FIRST_HEARTBEAT: Heartbeat = { idleMs: 10_000, timeoutMs: 5_000 };
/** How long the hub may take to answer a discoveryRequest. */
const ANSWER_TIMEOUT_MS = 10_000;
/** How long the hub may take to answer a close frame. */
const CLOSE_TIMEOUT_MS = 1_000;

/**
 * Dials `/control`.
 *
 * @throws {DuplexityError} `DPX_SERVER_UNREACHABLE`, or with what the server refused it.
 */
export async function dialControl(options: ControlDialOptions): Promise<Control> {
  const { url, timeoutMs } = options;
  const server = shownServer(url);
  const late = (): Error =>
    new DuplexityError("DPX_SERVER_UNREACHABLE", `Cannot reach ${server}: no answer in ${timeoutMs / 1000} s`);
  const deadline = new Deadline(timeoutMs, options.signal, late);
  try {
    const proxy = proxyFor(url);
    const agent = proxy === null ? undefined : new ProxyAgent(proxy, url, deadline.signal);
    const socket = new ControlWebSocket(url, SUBPROTOCOL, {
      ...(agent === undefined ? {} : { agent }),
      headers: { authorization: options.authorization },
      perMessageDeflate: false,
      skipUTF8Validation: true,
      maxPayload: MAX_MESSAGE_BYTES,
      handshakeTimeout: timeoutMs,
    });
    return await opened(socket, server, deadline.signal, options.handler);
  } catch (error) {
    throw dialFailure(server, error);
  } finally {
    deadline.clear();
  }
}

function opened(socket: WebSocket, server: string, signal: AbortSignal, handler: ControlHandler): Promise<Control> {
  return new Promise((resolve, reject) => {
    const abort = (): void => {
      reject(signal.reason);
      socket.terminate();
    };
    // Also after the handshake: a socket without a listener for errors would end the process.
    socket.on("error", reject);
    socket.once("unexpected-response", (_request, response) => {
      readRefusal(server, response).then((error) => {
        reject(error);
        socket.terminate();
      }, reject);
    });
    socket.once("open", () => {
      signal.removeEventListener("abort", abort);
      // In this turn: what the hub sends first may come in the same read.
      resolve(new Control(socket, handler));
    });
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  });
}

/** ws ends a socket by itself whose bytes it cannot read: with a code alone, which says too little. */
class ControlWebSocket extends WebSocket {
  override close(code?: number, reason?: string | Buffer): void {
    super.close(code, reason ?? reasonOfFault(code));
  }
}

export class Control {
  readonly #socket: WebSocket;
  readonly #handler: ControlHandler;
  #discovery: Reply<DiscoveryResponse> | null = null;
  /** One for each closePipesRequest under way, in their order. */
  #closures: Reply<PipesAreClosedResponse>[] = [];
  #isKnown = false;
  readonly #liveness: Liveness;
  #isClosed = false;
  /** What the hub said in an `error` message before it closed. */
  #lastError: DuplexityError | null = null;

  constructor(socket: WebSocket, handler: ControlHandler) {
    this.#socket = socket;
    this.#handler = handler;
    socket.on("message", (content, isBinary) => this.#receive(content, isBinary));
    socket.on("ping", () => this.#liveness.heard());
    socket.on("pong", () => this.#liveness.heard());
    socket.on("close", (code, reason) => this.#closed(this.#lastError ?? errorOfClose(code, reason.toString("utf8"))));
    this.#liveness = new Liveness({
      heartbeat: FIRST_HEARTBEAT,
      ping: () => socket.ping(),
      dead: () => {
        socket.terminate();
        this.#closed(new DuplexityError("DPX_LINK_DEAD", "The control socket went silent, a ping stayed unanswered"));
      },
    });
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  /** Whether the hub knows whose socket it is: before that it takes nothing but a discoveryRequest. */
  get isKnown(): boolean {
    return this.#isKnown && !this.#isClosed;
  }

  /**
   * Asks where the data plane is, and for a ticket.
   *
   * @throws {DuplexityError} with what the hub answered, `DPX_LINK_LOST` when the socket closes meanwhile, `DPX_LINK_DEAD`
   * when nothing comes.
   */
  async discover(request: DiscoveryRequest): Promise<DiscoveryResponse> {
    const late = (): DuplexityError =>
      new DuplexityError("DPX_LINK_DEAD", "The server did not answer discoveryRequest");
    const reply = new Reply<DiscoveryResponse>(ANSWER_TIMEOUT_MS, late);
    this.#discovery = reply;
    this.send(request);
    try {
      const response = await reply.promise;
      this.#isKnown = true;
      this.#liveness.follow(response.heartbeat);
      return response;
    } finally {
      this.#discovery = null;
    }
  }

  /**
   * Gives pipes up; resolves when their names are free.
   *
   * @throws {DuplexityError} `DPX_LINK_LOST` when the socket closes meanwhile, `DPX_LINK_DEAD` when nothing comes.
   */
  async closePipes(request: ClosePipesRequest): Promise<void> {
    const late = (): DuplexityError =>
      new DuplexityError("DPX_LINK_DEAD", "The server did not answer closePipesRequest");
    const reply = new Reply<PipesAreClosedResponse>(ANSWER_TIMEOUT_MS, late);
    this.#closures.push(reply);
    this.send(request);
    await reply.promise;
  }

  /** Sends a message; a closed socket drops it, its end is told by `onClose`. */
  send(message: ControlMessage): void {
    if (this.#isClosed) {
      this.#discovery?.reject(new DuplexityError("DPX_LINK_LOST", "The control socket is closed"));
      return;
    }
    this.#socket.send(encodeMessage(message));
  }

  /** Says goodbye and resolves when the socket is closed, at most a second later. */
  async close(code: ErrorCode, reason: string): Promise<void> {
    if (this.#isClosed) return;
    this.#stop(new DuplexityError(code, reason));
    const socket = this.#socket;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => socket.terminate(), CLOSE_TIMEOUT_MS);
      socket.once("close", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.close(ERRORS[code].closeCode, closeReason(code, reason));
    });
  }

  /** Drops the socket without a word. */
  terminate(error: DuplexityError): void {
    if (this.#isClosed) return;
    this.#stop(error);
    this.#socket.terminate();
  }

  #receive(content: RawData, isBinary: boolean): void {
    this.#liveness.heard();
    if (this.#isClosed) return;
    try {
      if (isBinary) throw new DuplexityError("DPX_PROTOCOL", "A binary message came on the control socket");
      const message = decodeMessage(textOf(content));
      if (message !== null) this.#handle(message);
    } catch (error) {
      const { code, message } = asDuplexityError(error);
      this.#socket.close(ERRORS[code].closeCode, closeReason(code, message));
      this.#closed(asDuplexityError(error));
    }
  }

  #handle(message: ControlMessage): void {
    switch (message.type) {
      case "discoveryResponse":
        this.#discovery?.resolve(message);
        return;
      case "pipesAreClosedResponse":
        this.#closures.shift()?.resolve(message);
        return;
      case "pipesAreRegisteredResponse":
        this.#handler.onRegistered(message);
        return;
      case "forceDisconnectRequest":
        this.#handler.onForceDisconnect(message);
        return;
      case "drainRequest":
        this.#handler.onDrain(message);
        return;
      case "error":
        this.#lastError = new DuplexityError(message.code, message.message, {
          ...{ hint: message.hint, retryAfterMs: message.retryAfterMs, elsewhere: message.dataPlaneUris ?? [] },
        });
        this.#discovery?.reject(this.#lastError);
        return;
      default:
        throw new DuplexityError("DPX_PROTOCOL", `The hub sent a ${message.type}, which only clients send`);
    }
  }

  #closed(error: DuplexityError): void {
    if (this.#isClosed) return;
    this.#stop(error);
    this.#handler.onClose(error);
  }

  #stop(error: DuplexityError): void {
    this.#isClosed = true;
    this.#liveness.stop();
    this.#discovery?.reject(error);
    for (const closure of this.#closures) closure.reject(error);
    this.#closures = [];
  }
}

function textOf(content: RawData): string {
  if (Array.isArray(content)) return Buffer.concat(content).toString("utf8");
  return Buffer.isBuffer(content) ? content.toString("utf8") : Buffer.from(content).toString("utf8");
}
