// What stands in front of everything below /auth: keeps out what is not for this origin, finds who answers, and turns
// failures into pages, or JSON for programs. Knows no page by itself.

import type { IncomingMessage, ServerResponse } from "node:http";
import { asDuplexityError, DuplexityError, ERRORS } from "../../protocol/index.ts";
import { answerError, retryHeader } from "../http-answer.ts";
import { isLoopbackHost } from "../identity/index.ts";
import { outwardOf } from "../outward.ts";
import type { Browsers } from "./browsers.ts";
import type { Answer, Handler } from "./exchange.ts";
import type { AuthServiceOptions } from "./options.ts";
import { COMMON_HEADERS, documentOf, headersOf, type Page } from "./page.ts";
import { errorPage } from "./pages.ts";
import { DISCOVERY_PATH, MACHINE_PATHS, type ProviderHost } from "./provider-host.ts";

export interface Route {
  readonly get: Handler;
  readonly post?: Handler;
}

export interface FrontOptions {
  readonly origin: URL;
  readonly browsers: Browsers;
  readonly provider: ProviderHost;
  /** By path below /auth. */
  readonly routes: ReadonlyMap<string, Route>;
  readonly addressOf: AuthServiceOptions["addressOf"];
  readonly log: AuthServiceOptions["log"];
}

interface Refusal {
  readonly error: DuplexityError;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
}

export class Front {
  readonly #options: FrontOptions;
  readonly #hosts: readonly string[];

  constructor(options: FrontOptions) {
    this.#options = options;
    const { host, hostname, port, protocol } = options.origin;
    const defaultPort = protocol === "https:" ? "443" : "80";
    this.#hosts = port === "" ? [host, `${hostname}:${defaultPort}`] : [host];
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    for (const [name, value] of Object.entries(COMMON_HEADERS)) response.setHeader(name, value);
    const { path, query } = targetOf(request);
    try {
      const refusal = await this.#answer(request, response, { path, query });
      if (refusal !== null) this.#refuse(request, response, path, refusal);
    } catch (error) {
      this.#refuse(request, response, path, { error: asDuplexityError(error) });
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    { path, query }: { readonly path: string; readonly query: string },
  ): Promise<Refusal | null> {
    const { provider, routes, browsers, addressOf } = this.#options;
    this.#checkOrigin(request, path);
    const { method = "" } = request;
    const route = routes.get(path);
    const own = route === undefined ? [] : ["GET", ...(route.post === undefined ? [] : ["POST"])];
    const methods = provider.methodsAt(path) ?? own;
    if (methods.length === 0) return notThere(path);
    if (!methods.includes(method)) return badMethod(method, path, methods);
    const exchange = {
      ...{ request, response, query: new URLSearchParams(query), address: addressOf(request) },
      // Programs keep no cookies.
      browser: browsers.of(request, MACHINE_PATHS.has(path) ? null : response),
    };
    const handler = method === "POST" ? route?.post : route?.get;
    const answer = handler === undefined ? await provider.serve(exchange, path) : await handler(exchange);
    if (answer !== null) this.#send(response, answer);
    return null;
  }

  /** @throws {DuplexityError} The origin is what the options say: no header of a request can make it another one. */
  #checkOrigin(request: IncomingMessage, path: string): void {
    const { origin, protocol, hostname } = this.#options.origin;
    const [, authority] = /^[a-z]+:\/\/([^/?#]*)/i.exec(request.url ?? "") ?? [];
    for (const host of [request.headers.host ?? "", authority]) {
      if (host === undefined || this.#hosts.includes(host.toLowerCase())) continue;
      if (path !== DISCOVERY_PATH || !this.#isSameHere(host)) {
        // That document only command lines ask for.
        const hint = path === DISCOVERY_PATH ? `duplexity login ${origin}` : `Open ${origin} instead.`;
        throw new DuplexityError("DPX_MISDIRECTED", `Cannot sign you in at this address: it is ${origin}`, { hint });
      }
    }
    if (protocol === "http:" && !isLoopbackHost(hostname)) {
      throw new DuplexityError("DPX_FORBIDDEN", "Cannot sign you in: without TLS others could read your password", {
        hint: "Whoever runs this server sets --public-url https://… with TLS in front of it, or --tls-cert.",
      });
    }
  }

  /** On one machine, by another of its names: a command line that asks there is told the right one. */
  #isSameHere(host: string): boolean {
    const { protocol, hostname, port } = this.#options.origin;
    if (!isLoopbackHost(hostname) || !URL.canParse(`${protocol}//${host}`)) return false;
    const asked = new URL(`${protocol}//${host}`);
    return isLoopbackHost(asked.hostname) && asked.port === port;
  }

  #send(response: ServerResponse, answer: Answer): void {
    switch (answer.kind) {
      case "page":
        this.#sendPage(response, answer.page);
        return;
      case "redirect":
        response.writeHead(303, { Location: answer.location, "Content-Length": 0, Connection: "close" });
        response.end();
    }
  }

  #sendPage(response: ServerResponse, page: Page): void {
    const body = documentOf(page, this.#options.origin.host);
    const headers = { ...headersOf(page), "Content-Length": Buffer.byteLength(body), Connection: "close" };
    response.writeHead(page.status ?? 200, headers);
    response.end(body);
  }

  #refuse(request: IncomingMessage, response: ServerResponse, path: string, { error, status, headers }: Refusal): void {
    if (error.code === "DPX_INTERNAL" || error.code === "DPX_STORE") {
      this.#options.log("error", `sign-in has failed at /auth${path}: ${error.message}`);
    }
    if (response.headersSent) {
      response.destroy();
      return;
    }
    // What a defect says is for the log.
    const isDefect = error.code === "DPX_INTERNAL";
    const shown = isDefect
      ? new DuplexityError("DPX_INTERNAL", "Cannot go on: this server has failed")
      : outwardOf(error);
    response.setHeader("Duplexity-Error", shown.code);
    const options = { ...(status === undefined ? {} : { status }), headers: { ...retryHeader(shown), ...headers } };
    if (MACHINE_PATHS.has(path)) answerMachine(response, shown);
    else if (/\btext\/html\b/.test(request.headers.accept ?? "")) {
      this.#sendPage(response, { ...errorPage(shown), ...options });
    } else answerError(response, shown, options);
  }
}

/** RFC 6749 §5.2, with RFC 8628 §3.5's word for whoever comes too often. */
function answerMachine(response: ServerResponse, error: DuplexityError): void {
  const { code, message } = error;
  const words: Partial<Record<typeof code, string>> = {
    DPX_RATE_LIMIT: "slow_down",
    DPX_STORE: "temporarily_unavailable",
    DPX_INTERNAL: "server_error",
  };
  const body = `${JSON.stringify({ error: words[code] ?? "invalid_request", error_description: message })}\n`;
  const headers = {
    ...retryHeader(error),
    ...{ "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body), Connection: "close" },
  };
  response.writeHead(ERRORS[code].httpStatus, headers);
  response.end(body);
}

/** Below /auth; also of an absolute-form target (RFC 9112 §3.2.2). */
function targetOf(request: IncomingMessage): { path: string; query: string } {
  const [target = ""] = (request.url ?? "/").replace(/^[a-z]+:\/\/[^/?#]*/i, "").split("#", 1);
  const mark = target.indexOf("?");
  const path = (mark === -1 ? target : target.slice(0, mark)).slice("/auth".length);
  return { path: path === "" ? "/" : path, query: mark === -1 ? "" : target.slice(mark + 1) };
}

function notThere(path: string): Refusal {
  return { error: new DuplexityError("DPX_NOT_FOUND", `Cannot show /auth${path.slice(0, 64)}: nothing is there`) };
}

function badMethod(method: string, path: string, methods: readonly string[]): Refusal {
  const message = `Cannot ${method} /auth${path}: ${methods.join(" or ")} is expected`;
  const error = new DuplexityError("DPX_REQUEST_INVALID", message);
  return { error, status: 405, headers: { Allow: methods.join(", ") } };
}
