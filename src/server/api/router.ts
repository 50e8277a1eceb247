// Takes requests under /api to their endpoints: checks that they are meant for this server, who sends them and what they
// may ask, and reads their bodies. Knows no subject.

import type { IncomingMessage, ServerResponse } from "node:http";
import { asDuplexityError, canonicalHostname, DuplexityError, type ErrorCode } from "../../protocol/index.ts";
import { answerError, answerJson } from "../http-answer.ts";
import { challengeFor, identify } from "../identify.ts";
import type { Identity } from "../identity/index.ts";
import { HttpRefusal, readJsonBody, refusal } from "../json-body.ts";
import { isOwnHost } from "../proxy/index.ts";
import { senderOf } from "../sender-of.ts";
import type { ApiEndpoint, ApiEndpoints, ApiOptions, ApiRight } from "./options.ts";

/** What whoever guesses is answered. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(["DPX_AUTH_REQUIRED", "DPX_AUTH_INVALID"]);

export class ApiRouter {
  readonly #options: ApiOptions;
  readonly #endpoints: ReadonlyMap<string, ApiEndpoint>;

  constructor(options: ApiOptions, endpoints: ApiEndpoints) {
    this.#options = options;
    this.#endpoints = new Map(Object.entries(endpoints));
  }

  /** Never rejects. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      this.#checkHost(request.headers.host ?? "");
      const url = urlOf(request);
      const endpoint = this.#find(request.method ?? "", url.pathname, response);
      const from = this.#options.addressOf(request);
      const identity = await this.#identify(request, url.pathname, from);
      checkRight(identity, endpoint.right, `${endpoint.method} ${url.pathname}`);
      const asked = endpoint.method === "POST" ? await readJsonBody(request) : queryOf(url);
      const answer = await endpoint.run({ identity, asked, from });
      answerJson(response, 200, { v: 1, ...answer });
    } catch (error) {
      this.#refuse(response, error);
    }
  }

  /**
   * A web page whose own name was pointed at this address sends that name (DNS rebinding): it could read what it asks for.
   */
  #checkHost(host: string): void {
    const [, name = ""] = /^(\[[^\]]*\]|[^:]*)(?::\d*)?$/.exec(host.trim()) ?? [];
    if (isOwnHost(canonicalHostname(name), this.#options.domain)) return;
    throw refusal(421, `"${host.slice(0, 64)}" is not a name of this server`);
  }

  /** Whoever has shown who they are is never refused for what others at the same address do. */
  async #identify(request: IncomingMessage, path: string, from: string): Promise<Identity> {
    const { authenticator, attempts } = this.#options;
    let identity: Identity;
    try {
      identity = await identify(authenticator, request, path);
    } catch (error) {
      const { code } = asDuplexityError(error);
      if (REFUSALS.has(code)) await attempts.count("api-refused", senderOf(from));
      throw error;
    }
    await attempts.count("api", identity.ownerId);
    return identity;
  }

  #find(method: string, path: string, response: ServerResponse): ApiEndpoint {
    const asked = method === "HEAD" ? "GET" : method;
    const endpoint = this.#endpoints.get(`${asked} ${path}`);
    if (endpoint !== undefined) return endpoint;
    const methods = ["GET", "POST"].filter((other) => this.#endpoints.has(`${other} ${path}`));
    if (methods.length === 0) throw refusal(404, `there is no ${path.slice(0, 64)} here`);
    if (methods.includes("GET")) methods.splice(1, 0, "HEAD");
    response.setHeader("Allow", methods.join(", "));
    throw refusal(405, `${path} does not take ${method.slice(0, 16)}, only ${methods.join(", ")}`);
  }

  #refuse(response: ServerResponse, error: unknown): void {
    if (response.headersSent || response.destroyed) {
      response.destroy();
    } else if (error instanceof HttpRefusal) {
      answerError(response, error.error, { status: error.status });
    } else if (error instanceof DuplexityError) {
      if (error.code === "DPX_STORE") this.#options.log("error", `The API failed: ${error.message}`);
      answerError(response, error, { headers: challengeFor(error, this.#options.authenticator) });
    } else {
      // What a defect of ours says is for our own log.
      this.#options.log("error", `The API failed: ${asDuplexityError(error).message}`);
      answerError(response, new DuplexityError("DPX_INTERNAL", "Cannot serve the request: the server failed"));
    }
  }
}

/** @throws {DuplexityError} `DPX_FORBIDDEN` */
function checkRight({ ownerName, isAdmin, proof }: Identity, right: ApiRight, what: string): void {
  if (right === "anybody") return;
  if (proof.kind === "machine-token") {
    throw new DuplexityError("DPX_FORBIDDEN", `Cannot serve ${what} to ${ownerName}: it is a machine's token`, {
      hint: "Sign in as a person: duplexity login.",
    });
  }
  if (proof.kind === "key") {
    throw new DuplexityError("DPX_FORBIDDEN", `Cannot serve ${what}: this server has no accounts (--no-auth)`, {
      hint: "Start it without --no-auth.",
    });
  }
  if (right === "person" || isAdmin) return;
  throw new DuplexityError("DPX_FORBIDDEN", `Cannot serve ${what} to ${ownerName}: only an admin may ask for it`, {
    hint: "Ask an admin of this server.",
  });
}

/** Also of a target in absolute form (RFC 9112 §3.2.2). */
function urlOf({ url = "/" }: IncomingMessage): URL {
  const target = url.startsWith("/") ? url : url.replace(/^[a-z]+:\/\/[^/?#]*/i, "");
  // A path that starts with two slashes would be read as another host.
  return new URL(`http://server${target.startsWith("/") ? target : `/${target}`}`);
}

/** Whole numbers as numbers, all else as text; the last one counts. */
function queryOf(url: URL): object {
  return Object.fromEntries(
    [...url.searchParams].map(([name, value]) => [name, /^\d{1,9}$/.test(value) ? Number(value) : value]),
  );
}
