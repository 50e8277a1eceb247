// Holds the provider and its keys, makes another provider when the keys change, and hands requests to it: only those of the
// endpoints named here, and only after the browser or the address has been looked at.

import type { IncomingMessage } from "node:http";
import type { JSONWebKeySet } from "jose";
import type { Provider } from "oidc-provider";
import type { Attempts } from "../attempts.ts";
import { senderOf } from "../sender-of.ts";
import { checkSameOrigin } from "./browsers.ts";
import { type Answer, type Exchange, redirectTo } from "./exchange.ts";
import type { KeyRing } from "./key-ring.ts";
import { createProvider, type ProviderOptions, type ProviderParts } from "./provider.ts";
import { ROUTES } from "./provider-options.ts";
import { Sessions } from "./sessions.ts";

/** Says where the sign-in is, and holds nothing else. */
export const DISCOVERY_PATH = "/.well-known/openid-configuration";

/** What of the provider can be reached, and by which methods: nothing else of it, whatever else it has. */
const METHODS = new Map<string, readonly string[]>([
  [DISCOVERY_PATH, ["GET"]],
  ["/.well-known/oauth-authorization-server", ["GET"]],
  [ROUTES.authorization, ["GET"]],
  [ROUTES.token, ["POST"]],
  [ROUTES.jwks, ["GET"]],
  [ROUTES.revocation, ["POST"]],
  [ROUTES.device_authorization, ["POST"]],
  [ROUTES.code_verification, ["GET", "POST"]],
]);

/** Endpoints that programs ask: refusals are JSON, as RFC 6749 §5.2 has them. */
export const MACHINE_PATHS: ReadonlySet<string> = new Set([
  ROUTES.token,
  ROUTES.revocation,
  ROUTES.device_authorization,
]);

export interface ProviderHostOptions extends ProviderParts {
  readonly origin: URL;
  readonly attempts: Attempts;
}

export class ProviderHost {
  readonly sessions: Sessions;
  readonly #options: ProviderHostOptions;
  readonly #ring: KeyRing;
  /** What has gone wrong here with a request that the provider is serving. */
  readonly #failures = new WeakMap<IncomingMessage, unknown>();
  #provider: Provider;
  #serve: ReturnType<Provider["callback"]>;

  constructor(ring: KeyRing, options: ProviderHostOptions) {
    const { people, isSecure } = options;
    this.#options = options;
    this.#ring = ring;
    const common: ProviderOptions = {
      ...options,
      onFailure: (request, error) => void this.#failures.set(request, error),
    };
    this.#provider = createProvider(ring.keys, common);
    this.#serve = this.#provider.callback();
    this.sessions = new Sessions({ people, isSecure, provider: () => this.#provider });
    ring.onChange((keys) => {
      this.#provider = createProvider(keys, common);
      this.#serve = this.#provider.callback();
    });
  }

  /** The methods of an endpoint of the provider's; null if there is none at `path`. */
  methodsAt(path: string): readonly string[] | null {
    return METHODS.get(path) ?? null;
  }

  async publicKeys(): Promise<JSONWebKeySet> {
    await this.#ring.refresh();
    const kind = { kty: "EC", crv: "P-256", alg: "ES256", use: "sig" };
    return { keys: this.#ring.keys.signing.map(({ kid, x, y }) => ({ ...kind, kid, x, y })) };
  }

  /**
   * Answers the request by the provider, or says with what else.
   *
   * @throws {DuplexityError} `DPX_RATE_LIMIT`, `DPX_FORBIDDEN`, and whatever has gone wrong on the way: `DPX_STORE`
   */
  async serve(exchange: Exchange, path: string): Promise<Answer | null> {
    const { request, response, query, address } = exchange;
    if (path === ROUTES.device_authorization) {
      await this.#options.attempts.count("device", senderOf(address));
      await this.#options.attempts.count("begin", "");
    }
    if (path === ROUTES.code_verification) {
      const refusal = await this.#checkDevicePage(exchange);
      if (refusal !== null) return refusal;
    }
    // A link with a user code in it would let people approve what they have not looked at.
    const isBare = path === ROUTES.code_verification || query.size === 0;
    this.#mount(request, isBare ? path : `${path}?${query}`, address);
    await this.#serve(request, response);
    if (this.#failures.has(request)) throw this.#failures.get(request);
    return null;
  }

  async #checkDevicePage({ request, response, browser, address }: Exchange): Promise<Answer | null> {
    const { people, origin, attempts } = this.#options;
    const account = await this.sessions.current(request, response);
    if (account === null || people.banOf(account) !== null) {
      return redirectTo(
        `/auth/sign-in?next=${encodeURIComponent(browser.keepPath(`/auth${ROUTES.code_verification}`))}`,
      );
    }
    if (request.method !== "POST") return null;
    checkSameOrigin(request, origin.origin);
    await attempts.count("user-code", account.userId);
    await attempts.count("user-code", senderOf(address));
    return null;
  }

  /** Where the provider is and who asks it, as it reads that: whatever the request itself says of it is dropped. */
  #mount(request: IncomingMessage, url: string, address: string): void {
    const { headers } = request;
    for (const name of Object.keys(headers)) if (/^(x-)?forwarded/.test(name)) delete headers[name];
    headers["x-forwarded-proto"] = this.#options.isSecure ? "https" : "http";
    headers["x-forwarded-host"] = this.#options.origin.host;
    headers["x-forwarded-for"] = address;
    Object.assign(request, { originalUrl: `/auth${url}`, url });
  }
}
