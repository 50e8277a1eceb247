// What node:http makes of the same bytes: a real http.Server, fed through a
// Duplex in memory (its "connection" event is public API), so that 100,000
// connections cost seconds.

import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  request as sendRequest,
} from "node:http";
import { Duplex } from "node:stream";

/** A request as node:http read it. */
export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  readonly version: string;
  readonly rawHeaders: readonly string[];
  readonly isUpgrade: boolean;
  readonly keepAlive: boolean;
  bodyBytes: number;
  isComplete: boolean;
}

export interface Seen {
  readonly requests: SeenRequest[];
  /** Why it refused the rest, or null. */
  error: string | null;
}

/** The other end of a connection that says `bytes` and ends. Swallows answers. */
class ScriptedSocket extends Duplex {
  constructor(bytes: Buffer) {
    super({ allowHalfOpen: true });
    this.push(bytes);
    this.push(null);
  }

  override _read(): void {}

  override _write(_chunk: Buffer, _encoding: string, callback: () => void): void {
    callback();
  }
}

export class NodeHttp {
  readonly #server: Server;
  readonly #seen = new WeakMap<Duplex, Seen>();

  /** @param listensToUpgrades Without, node:http reads an upgrade as an ordinary request, as we do with h2c. */
  constructor(listensToUpgrades: boolean) {
    this.#server = createServer({ maxHeaderSize: 131_072, requestTimeout: 0, headersTimeout: 0 });
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#onRequest(request, response);
    this.#server.on("request", answer);
    this.#server.on("checkContinue", answer);
    this.#server.on("checkExpectation", answer);
    if (listensToUpgrades) {
      this.#server.on("upgrade", (request: IncomingMessage, socket: Duplex) => {
        this.#note(request, true, true);
        socket.destroy();
      });
    }
    this.#server.on("clientError", (error, socket) => {
      const seen = this.#seen.get(socket);
      if (seen !== undefined) seen.error ??= error.message;
      socket.destroy();
    });
  }

  /** Reads `bytes` as one connection, to its end. */
  async read(bytes: Buffer): Promise<Seen> {
    const socket = new ScriptedSocket(bytes);
    const seen: Seen = { requests: [], error: null };
    this.#seen.set(socket, seen);
    socket.on("error", () => {});
    const ended = new Promise<void>((resolve) => {
      socket.once("end", resolve);
      socket.once("close", resolve);
    });
    this.#server.emit("connection", socket);
    await ended;
    // What node put off to the next ticks: a body's last events.
    await new Promise<void>((resolve) => setImmediate(resolve));
    socket.destroy();
    return seen;
  }

  close(): void {
    this.#server.close();
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const noted = this.#note(request, false, response.shouldKeepAlive);
    request.on("data", (chunk: Buffer) => {
      noted.bodyBytes += chunk.length;
    });
    request.on("end", () => {
      noted.isComplete = true;
      response.end();
    });
    request.on("error", () => {});
  }

  #note(request: IncomingMessage, isUpgrade: boolean, keepAlive: boolean): SeenRequest {
    const noted: SeenRequest = {
      method: request.method ?? "",
      url: request.url ?? "",
      version: request.httpVersion,
      rawHeaders: request.rawHeaders,
      isUpgrade,
      keepAlive,
      bodyBytes: 0,
      isComplete: isUpgrade,
    };
    this.#seen.get(request.socket)?.requests.push(noted);
    return noted;
  }
}

/** An answer to a GET as node:http's client read it; a string says why it refused it. */
export interface SeenResponse {
  readonly status: number;
  readonly rawHeaders: readonly string[];
  readonly bodyBytes: number;
}

export function readResponse(bytes: Buffer): Promise<SeenResponse | string> {
  return new Promise((resolve) => {
    const socket = new ScriptedSocket(bytes);
    const request = sendRequest({ createConnection: () => socket, maxHeaderSize: 131_072 });
    request.on("response", (response) => {
      let bodyBytes = 0;
      response.on("data", (chunk: Buffer) => {
        bodyBytes += chunk.length;
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, rawHeaders: response.rawHeaders, bodyBytes });
        socket.destroy();
      });
      response.on("error", (error) => resolve(error.message));
    });
    request.on("upgrade", () => resolve("upgrade"));
    request.on("error", (error) => resolve(error.message));
    request.end();
  });
}
