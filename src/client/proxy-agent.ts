// Carries one WebSocket through an HTTP proxy by CONNECT (RFC 9110 §9.3.6).
// Used for one dial and then forgotten; pools nothing.

import { Agent, type ClientRequestArgs, request as httpRequest, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { isIP, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { DuplexityError } from "../protocol/index.ts";

type OnConnection = (error: Error | null, socket: Duplex) => void;

export class ProxyAgent extends Agent {
  /** What `http.request` and `https.request` ask of their agents. */
  readonly protocol: string;
  readonly #proxy: URL;
  readonly #url: URL;
  readonly #signal: AbortSignal;

  /** @param signal Ends the dial: the connection to the proxy, too. */
  constructor(proxy: URL, url: URL, signal: AbortSignal) {
    super({ keepAlive: false });
    this.protocol = url.protocol === "wss:" ? "https:" : "http:";
    this.#proxy = proxy;
    this.#url = url;
    this.#signal = signal;
  }

  override createConnection(_options: ClientRequestArgs, callback?: OnConnection): undefined {
    this.#connect(callback ?? (() => {}));
  }

  #connect(callback: OnConnection): void {
    const proxy = this.#proxy;
    const isTls = this.#url.protocol === "wss:";
    const port = this.#url.port === "" ? (isTls ? "443" : "80") : this.#url.port;
    const authority = `${this.#url.hostname}:${port}`;
    const request = (proxy.protocol === "https:" ? httpsRequest : httpRequest)({
      host: bareHost(proxy.hostname),
      ...(proxy.port === "" ? {} : { port: proxy.port }),
      method: "CONNECT",
      path: authority,
      headers: { host: authority, ...credentials(proxy) },
      signal: this.#signal,
      agent: false,
    });
    const fail = (why: string, cause?: unknown): void => {
      const message = `Cannot reach ${authority}: the proxy ${proxy.host} ${why}`;
      const hint =
        why === "answered 407"
          ? "Put the user and the password into HTTPS_PROXY: http://user:password@host:port"
          : undefined;
      // Nobody looks at the socket of a failure; the type asks for one.
      callback(new DuplexityError("DPX_SERVER_UNREACHABLE", message, { cause, hint }), new Socket());
    };
    request.on("error", (error) => fail(`failed: ${error.message || "no connection"}`, error));
    request.on("response", (response) => {
      response.destroy();
      fail(`answered ${response.statusCode}`);
    });
    request.on("connect", (response: IncomingMessage, socket: Socket, head: Buffer) => {
      if (response.statusCode !== 200) {
        socket.destroy();
        fail(`answered ${response.statusCode}`);
        return;
      }
      if (head.length > 0) socket.unshift(head);
      callback(null, isTls ? secure(socket, bareHost(this.#url.hostname)) : socket);
    });
    request.end();
  }
}

/** Speaks TLS with the server, not with the proxy. */
function secure(socket: Socket, host: string): Duplex {
  return connectTls({ socket, host, ...(isIP(host) === 0 ? { servername: host } : {}), ALPNProtocols: ["http/1.1"] });
}

function credentials(proxy: URL): Record<string, string> {
  if (proxy.username === "" && proxy.password === "") return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { "proxy-authorization": `Basic ${Buffer.from(pair).toString("base64")}` };
}

function bareHost(host: string): string {
  return host.replace(/^\[|\]$/g, "");
}
