// Puts the sign-in together: keys, provider, people, pages. Decides nothing by itself.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { JSONWebKeySet } from "jose";
import { DuplexityError } from "../../protocol/index.ts";
import { isLoopbackHost } from "../identity/index.ts";
import type { VisitorSignIn } from "../visitor-sign-in.ts";
import { Browsers } from "./browsers.ts";
import { redirectTo } from "./exchange.ts";
import { Front, type Route } from "./front.ts";
import { KeyRing } from "./key-ring.ts";
import type { AuthService, AuthServiceOptions } from "./options.ts";
import { Outside } from "./outside.ts";
import { People } from "./people.ts";
import { ProviderHost } from "./provider-host.ts";
import { SignIn } from "./sign-in.ts";
import { Visits } from "./visits.ts";
import { Welcome } from "./welcome.ts";

interface Parts {
  readonly issuer: string;
  readonly ring: KeyRing;
  readonly provider: ProviderHost;
  readonly visits: Visits;
  readonly front: Front;
}

class Service implements AuthService {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get issuer(): string {
    return this.#parts.issuer;
  }

  get visitors(): VisitorSignIn {
    return this.#parts.visits;
  }

  handle(request: IncomingMessage, response: ServerResponse): void {
    void this.#parts.front.handle(request, response);
  }

  keys(): Promise<JSONWebKeySet> {
    return this.#parts.provider.publicKeys();
  }

  claimUrl(code: string): string {
    return `${this.issuer}/claim#${encodeURIComponent(code)}`;
  }

  inviteUrl(code: string): string {
    return `${this.issuer}/invite#${encodeURIComponent(code)}`;
  }

  async close(): Promise<void> {
    this.#parts.ring.close();
  }
}

/** What createAuthService() does, once it has loaded all this. */
export async function openAuthService(options: AuthServiceOptions): Promise<AuthService> {
  const { store, accounts, audit, attempts, bans, log, addressOf, hasLocalAccounts, now = Date.now } = options;
  const origin = originOf(options.origin);
  const settings = options.outside;
  if (settings !== null) checkIssuer(settings.issuer);
  const issuer = `${origin.origin}/auth`;
  const isSecure = origin.protocol === "https:";
  const domain = (options.domain ?? origin.hostname).toLowerCase();
  const ring = await KeyRing.open({
    ...{ store, now },
    onError: ({ message }) => log("warn", `sign-in: the keys could not be looked at again: ${message}`),
  });
  try {
    const people = new People({ accounts, bans, store, now });
    const browsers = new Browsers({ origin: origin.origin, now, secrets: () => ring.keys.cookieSecrets });
    const provider = new ProviderHost(ring, {
      ...{ origin, issuer, site: origin.host, isSecure, store, people, browsers, audit, attempts, addressOf, log },
    });
    const { sessions } = provider;
    const visits = new Visits({ origin, domain, store, people, sessions });
    const port = origin.port === "" ? "" : `:${origin.port}`;
    const signIn = new SignIn({
      ...{ accounts, attempts, audit, people, sessions, hasLocalAccounts },
      outside: settings === null ? null : new URL(settings.issuer).host,
      pipeTargets: [`${origin.protocol}//*.${domain}${port}`],
    });
    const welcome = new Welcome({ accounts, attempts, audit, people, signIn });
    const common = { origin: origin.origin, store, accounts, audit, attempts, signIn, log, now };
    const outside = settings === null ? null : new Outside({ ...common, settings });
    const routes = routesOf(signIn, welcome, visits, outside);
    const front = new Front({ origin, browsers, provider, routes, addressOf, log });
    return new Service({ issuer, ring, provider, visits, front });
  } catch (error) {
    ring.close();
    throw error;
  }
}

function routesOf(
  signIn: SignIn,
  welcome: Welcome,
  visits: Visits,
  outside: Outside | null,
): ReadonlyMap<string, Route> {
  const toAccount: Route["get"] = async () => redirectTo("/auth/account");
  const routes = new Map<string, Route>([
    ["/", { get: toAccount }],
    ["/sign-in", { get: (exchange) => signIn.show(exchange), post: (exchange) => signIn.submit(exchange) }],
    ["/sign-out", { get: toAccount, post: (exchange) => signIn.signOut(exchange) }],
    ["/continue", { get: toAccount, post: (exchange) => signIn.confirm(exchange) }],
    ["/claim", { get: (exchange) => welcome.showClaim(exchange), post: (exchange) => welcome.claim(exchange) }],
    ["/invite", { get: (exchange) => welcome.showInvite(exchange), post: (exchange) => welcome.accept(exchange) }],
    [
      "/account",
      { get: (exchange) => signIn.showAccount(exchange), post: (exchange) => signIn.changePassword(exchange) },
    ],
    ["/done", { get: (exchange) => signIn.showDone(exchange) }],
    ["/visit", { get: (exchange) => visits.show(exchange) }],
  ]);
  if (outside !== null) {
    routes.set("/outside", { get: (exchange) => outside.begin(exchange) });
    routes.set("/outside/callback", { get: (exchange) => outside.finish(exchange) });
  }
  return routes;
}

/** @throws {DuplexityError} `DPX_USAGE` if it is no origin. */
function originOf(text: string): URL {
  if (URL.canParse(text)) {
    const url = new URL(text);
    if (/^https?:$/.test(url.protocol) && `${url.origin}/` === url.href) return url;
  }
  throw new DuplexityError("DPX_USAGE", `Cannot sign people in at "${text}": an origin is wanted`, {
    hint: "For example https://tunnel.example.com",
  });
}

/** @throws {DuplexityError} `DPX_USAGE` if nobody could trust what it says. */
function checkIssuer(issuer: string): void {
  const url = URL.canParse(issuer) ? new URL(issuer) : null;
  const isFine = url?.protocol === "https:" || (url?.protocol === "http:" && isLoopbackHost(url.hostname));
  if (isFine && url?.search === "" && url.hash === "") return;
  throw new DuplexityError("DPX_USAGE", `Cannot use the provider "${issuer}": an issuer's https:// URL is wanted`, {
    hint: "Take the issuer from the provider's discovery document, without /.well-known/openid-configuration.",
  });
}
