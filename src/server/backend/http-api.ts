// The registry over HTTP, for the internal listener only: /register, /locate,
// /remove, and the health and the metrics of this process. Answers no browser page of others,
// and about the registry nobody on another machine nor, where there is a token,
// anybody without it.

import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import { asDuplexityError, DuplexityError, fields, hostnameOf, readGate } from "../../protocol/index.ts";
import { answerError, answerJson, answerText } from "../http-answer.ts";
import { challengeFor, identify } from "../identify.ts";
import { type Authenticator, isLoopbackHost } from "../identity/index.ts";
import { HttpRefusal, readFields, readJsonBody, refusal } from "../json-body.ts";
import type { Registration, Registry, RegistryRecord } from "./registry.ts";

export interface BackendApiOptions {
  readonly registry: Registry;
  /** The server's domain: names are below it. */
  readonly domain: string;
  /** Rejects with why this process should get no new work; `ignoreStore`: although its store may be out of reach. */
  readonly checkReady: (options: { readonly ignoreStore: boolean }) => Promise<void>;
  /** What a scraper is told. */
  readonly scrape: () => Promise<{ readonly contentType: string; readonly text: string }>;
  /** Whom /register, /locate and /remove ask for a proof; null lets in all of this machine. */
  readonly authenticator: Authenticator | null;
  /** Names by which the internal listener may be called besides IP addresses and `localhost`. @default [] */
  readonly hostnames?: readonly string[];
}

type Run = (request: IncomingMessage, response: ServerResponse, url: URL) => Promise<void>;

interface Endpoint {
  readonly methods: readonly string[];
  /** Whether all may ask, from other machines and without a token: a health check may. */
  readonly isForAll: boolean;
  readonly run: Run;
}

/** Handles every request of the internal listener. */
export function createBackendApi(
  options: BackendApiOptions,
): (request: IncomingMessage, response: ServerResponse) => void {
  const api = new BackendApi(options);
  return (request, response) => void api.handle(request, response);
}

class BackendApi {
  readonly #options: BackendApiOptions;
  readonly #endpoints: ReadonlyMap<string, Endpoint>;

  constructor(options: BackendApiOptions) {
    this.#options = options;
    const registry = (methods: readonly string[], run: Run): Endpoint => ({ methods, isForAll: false, run });
    const health = (run: Run): Endpoint => ({ methods: ["GET", "HEAD"], isForAll: true, run });
    this.#endpoints = new Map([
      ["/register", registry(["POST"], (request, response) => this.#register(request, response))],
      ["/locate", registry(["GET", "HEAD", "POST"], (request, response, url) => this.#locate(request, response, url))],
      ["/remove", registry(["POST"], (request, response) => this.#remove(request, response))],
      ["/healthz", health(async (_request, response) => answerText(response, 200, "ok\n"))],
      ["/readyz", health((_request, response, url) => this.#ready(response, url))],
      ["/metrics", health((_request, response) => this.#metrics(response))],
    ]);
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#checkHost(request.headers.host ?? "");
      const url = new URL(request.url ?? "/", "http://internal");
      const endpoint = this.#endpoints.get(url.pathname);
      if (endpoint === undefined) {
        throw refusal(
          404,
          `there is no ${url.pathname.slice(0, 64)} here`,
          `There are ${[...this.#endpoints.keys()].join(", ")}.`,
        );
      }
      if (!endpoint.methods.includes(request.method ?? "")) {
        response.setHeader("Allow", endpoint.methods.join(", "));
        throw refusal(405, `${url.pathname} does not take ${request.method}, only ${endpoint.methods.join(", ")}`);
      }
      if (!endpoint.isForAll) await this.#checkPeer(request, url.pathname);
      await endpoint.run(request, response, url);
    } catch (error) {
      if (response.headersSent || response.destroyed) response.destroy();
      else if (error instanceof HttpRefusal) answerError(response, error.error, { status: error.status });
      else this.#refuse(response, asDuplexityError(error));
    }
  }

  #refuse(response: ServerResponse, error: DuplexityError): void {
    const { authenticator } = this.#options;
    answerError(response, error, authenticator === null ? {} : { headers: challengeFor(error, authenticator) });
  }

  /** This machine may have users who must not take each other's names away: being on it is not enough. */
  async #checkPeer(request: IncomingMessage, path: string): Promise<void> {
    const { remoteAddress = "" } = request.socket;
    if (!isLoopbackHost(remoteAddress)) {
      throw new DuplexityError("DPX_FORBIDDEN", `Cannot serve ${path} to ${remoteAddress}: only this machine may ask`);
    }
    const { authenticator } = this.#options;
    if (authenticator === null) return;
    const { isAdmin, ownerName } = await identify(authenticator, request, path);
    if (!isAdmin)
      throw new DuplexityError("DPX_FORBIDDEN", `Cannot serve ${path} to ${ownerName}: only admins may ask`);
  }

  /**
   * A web page whose own name was pointed at this address sends that name (DNS rebinding): only addresses and the
   * listener's own names are served.
   */
  #checkHost(host: string): void {
    const name = hostWithoutPort(host);
    const names = ["localhost", ...(this.#options.hostnames ?? [])];
    if (isIP(name) !== 0 || names.includes(name)) return;
    throw refusal(421, `"${host.slice(0, 64)}" is not a name of this listener`);
  }

  async #register(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const registration = this.#registrationIn(await readJsonBody(request));
    const result = await this.#options.registry.register(registration);
    if (result.status === "registered") {
      answerJson(response, 200, { record: told(result.record), replaced: result.replaced && told(result.replaced) });
      return;
    }
    const since = new Date(result.since).toISOString();
    const message = `Cannot register "${registration.hostname}": ${result.ownerName} holds it since ${since}`;
    throw new DuplexityError("DPX_NAME_TAKEN", message);
  }

  async #locate(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const hostname =
      request.method === "POST"
        ? readFields(await readJsonBody(request), (body) => fields.field(body, "hostname", fields.readName))
        : url.searchParams.get("hostname");
    if (hostname === null) throw refusal(400, "it has no hostname", "Ask for /locate?hostname=cat1.example.com.");
    const canonical = hostnameOf(hostname, this.#options.domain);
    const record = await this.#options.registry.locate(canonical);
    if (record === null)
      throw new DuplexityError("DPX_NAME_UNKNOWN", `Cannot locate "${canonical}": nobody has registered it`);
    answerJson(response, 200, { record: told(record) });
  }

  async #remove(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const wanted = readFields(await readJsonBody(request), (body) => ({
      hostname: fields.field(body, "hostname", fields.readName),
      clientId: fields.field(body, "clientId", fields.readClientId),
      epoch: fields.field(body, "epoch", fields.integerReader(0, Number.MAX_SAFE_INTEGER)),
      reason: fields.field(body, "reason", fields.oneOfReader(["left", "lost"])),
    }));
    const hostname = hostnameOf(wanted.hostname, this.#options.domain);
    const removed = await this.#options.registry.remove(hostname, wanted.clientId, wanted.epoch, wanted.reason);
    answerJson(response, 200, { removed });
  }

  async #ready(response: ServerResponse, url: URL): Promise<void> {
    const ignoreStore = url.searchParams.getAll("exclude").includes("store");
    try {
      await this.#options.checkReady({ ignoreStore });
    } catch (error) {
      // Whatever it is: who balances the load knows one status for it.
      answerError(response, asDuplexityError(error), { status: 503 });
      return;
    }
    answerText(response, 200, "ready\n");
  }

  async #metrics(response: ServerResponse): Promise<void> {
    const { contentType, text } = await this.#options.scrape();
    answerText(response, 200, text, contentType);
  }

  #registrationIn(value: unknown): Registration {
    return readFields(value, (body) => ({
      hostname: hostnameOf(fields.field(body, "hostname", fields.readName), this.#options.domain),
      protocol: fields.field(body, "protocol", fields.oneOfReader(["http", "tcp"])),
      clientId: fields.field(body, "clientId", fields.readClientId),
      ownerId: fields.field(body, "ownerId", fields.readWord),
      ownerName: fields.field(body, "ownerName", fields.readName),
      nodeId: fields.field(body, "nodeId", fields.readWord),
      wantsReports: fields.field(body, "wantsReports", fields.readBoolean),
      ...fields.optionalField(body, "gate", readGate),
    }));
  }
}

/** Lower case; an IPv6 address without its brackets. */
function hostWithoutPort(host: string): string {
  const [, bracketed, plain] = /^(?:\[([^\]]*)\]|([^:]*))(?::\d*)?$/.exec(host.trim().toLowerCase()) ?? [];
  return bracketed ?? plain ?? "";
}

/** Without the gate: the hashes of its passwords are nobody's business. */
function told({ gate: _hidden, ...record }: RegistryRecord): Omit<RegistryRecord, "gate"> {
  return record;
}
