// Signing in at an outside OpenID provider: sends the browser there, checks what it brings back (openid-client does), and
// finds or makes the account. A sign-in that this server did not begin, in this browser, just now, is none.

import * as client from "openid-client";
import { DuplexityError } from "../../protocol/index.ts";
import type { Account, Accounts, AuditLog } from "../accounts/index.ts";
import type { Attempts } from "../attempts.ts";
import { digestOf } from "../digest.ts";
import { isLoopbackHost } from "../identity/index.ts";
import { senderOf } from "../sender-of.ts";
import type { Store } from "../store/index.ts";
import { type Answer, type Exchange, redirectTo, showPage } from "./exchange.ts";
import { OUTSIDE_SIGN_IN_S } from "./lifetimes.ts";
import type { AuthServiceOptions, OutsideProviderOptions } from "./options.ts";
import { type Claims, neededClaims, parsedAdminClaim, personOf } from "./outside-claims.ts";
import { goOnPage } from "./pages.ts";
import type { SignIn } from "./sign-in.ts";

/** Each request to the provider. */
const REQUEST_TIMEOUT_S = 10;
/** Its discovery document is read again after so long. Its keys have a shorter life, and one that is not known is looked for
 * at most once a minute: both are openid-client's. */
const DISCOVERY_KEPT_MS = 3_600_000;
const SCOPES = ["openid", "profile", "email", "groups"];

export interface OutsideOptions {
  readonly settings: OutsideProviderOptions;
  /** `https://tunnel.example.com` */
  readonly origin: string;
  readonly store: Store;
  readonly accounts: Accounts;
  readonly audit: AuditLog;
  readonly attempts: Attempts;
  readonly signIn: SignIn;
  readonly log: AuthServiceOptions["log"];
  /** Unix time in ms. */
  readonly now: () => number;
}

export class Outside {
  readonly #options: OutsideOptions;
  #discovered: { readonly at: number; readonly configuration: Promise<client.Configuration> } | null = null;

  /** @throws {DuplexityError} `DPX_USAGE` if the settings cannot be used. */
  constructor(options: OutsideOptions) {
    this.#options = options;
    if (options.settings.adminClaim !== null) parsedAdminClaim(options.settings.adminClaim);
  }

  /** GET /auth/outside */
  async begin({ query, browser, address }: Exchange): Promise<Answer> {
    const { attempts, store } = this.#options;
    await attempts.count("sign-in", senderOf(address));
    await attempts.count("begin", "");
    const configuration = await this.#configuration();
    const state = client.randomState();
    const next = query.get("next") ?? "";
    // Only what this server has sealed, which is not long, is kept.
    const entry = { browser: digestOf(browser.id), next: browser.keptPath(next) === null ? null : next };
    await store.put(keyOf(state), entry, { ttlMs: OUTSIDE_SIGN_IN_S * 1_000 });
    const { scopes_supported: supported } = configuration.serverMetadata();
    // Some providers refuse a request for a scope that they do not know.
    const scopes = SCOPES.filter((scope) => supported?.includes(scope) ?? scope !== "groups");
    const url = client.buildAuthorizationUrl(configuration, {
      ...{ redirect_uri: this.#redirectUri, scope: scopes.join(" "), state, nonce: browser.secretFor("nonce", state) },
      code_challenge: await client.calculatePKCECodeChallenge(browser.secretFor("verifier", state)),
      code_challenge_method: "S256",
    });
    return redirectTo(url.href);
  }

  /** GET /auth/outside/callback */
  async finish(exchange: Exchange): Promise<Answer> {
    const { accounts, audit, settings, signIn } = this.#options;
    const next = await this.#takeBegun(exchange);
    try {
      const { subject, claims } = await this.#redeem(exchange);
      const person = personOf(claims, settings);
      const wasAdmin = accounts.byOutside(settings.issuer, subject)?.isAdmin ?? false;
      const account = await accounts.signInOutside({ issuer: settings.issuer, subject, ...person });
      if (account.isAdmin !== wasAdmin) await this.#recordRole(account, exchange.address);
      const answer = await signIn.begin(exchange, account, { next, how: `by ${this.host}` });
      // What comes next would else be a request from another site to the browser, and asked about.
      return answer.kind === "redirect" ? showPage(goOnPage(answer.location)) : answer;
    } catch (error) {
      const failure = this.#failure(error);
      const event = { action: "sign-in-failed", by: null, whom: null, from: exchange.address } as const;
      await audit.record({ ...event, detail: `by ${this.host}: ${failure.message}` });
      throw failure;
    }
  }

  /** Also of somebody who is new here: an admin has come. */
  async #recordRole({ name, isAdmin }: Account, from: string): Promise<void> {
    const detail = `${isAdmin ? "an admin" : "no admin any more"}, by the claims of ${this.host}`;
    await this.#options.audit.record({ action: "role-change", by: null, whom: name, from, detail });
  }

  /** As people know the provider: `login.example.com`. */
  get host(): string {
    return new URL(this.#options.settings.issuer).host;
  }

  get #redirectUri(): string {
    return `${this.#options.origin}/auth/outside/callback`;
  }

  /** Each sign-in that was begun is finished once, in the browser that began it. Answers what comes after it. */
  async #takeBegun({ query, browser }: Exchange): Promise<string | null> {
    const begun = await this.#options.store.take(keyOf(query.get("state") ?? ""));
    if (begun !== null && typeof begun === "object" && "browser" in begun && begun.browser === digestOf(browser.id)) {
      return typeof begun.next === "string" ? begun.next : null;
    }
    throw new DuplexityError(
      "DPX_SIGN_IN_FAILED",
      "Cannot sign you in: this sign-in was not begun in this browser, or is over",
      {
        hint: "Begin again, and allow this site its cookies.",
      },
    );
  }

  async #redeem({ query, browser }: Exchange): Promise<{ subject: string; claims: Claims }> {
    const configuration = await this.#configuration();
    const state = query.get("state") ?? "";
    const url = new URL(this.#redirectUri);
    url.search = query.toString();
    const tokens = await client.authorizationCodeGrant(configuration, url, {
      expectedState: state,
      expectedNonce: browser.secretFor("nonce", state),
      pkceCodeVerifier: browser.secretFor("verifier", state),
      idTokenExpected: true,
    });
    const claims = tokens.claims();
    if (claims === undefined) throw this.#failed("it sent no ID token");
    const isMissing = ["preferred_username", ...neededClaims(this.#options.settings)].some(
      (one) => !Object.hasOwn(claims, one),
    );
    const { userinfo_endpoint: endpoint } = configuration.serverMetadata();
    if (!isMissing || endpoint === undefined) return { subject: claims.sub, claims };
    const more = await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
    // What is signed has the last word.
    return { subject: claims.sub, claims: { ...more, ...claims } };
  }

  #configuration(): Promise<client.Configuration> {
    const now = this.#options.now();
    if (this.#discovered !== null && now - this.#discovered.at < DISCOVERY_KEPT_MS)
      return this.#discovered.configuration;
    const configuration = this.#discover();
    const discovered = { at: now, configuration };
    this.#discovered = discovered;
    configuration.catch(() => {
      if (this.#discovered === discovered) this.#discovered = null;
    });
    return configuration;
  }

  async #discover(): Promise<client.Configuration> {
    const { issuer, clientId, clientSecret } = this.#options.settings;
    const url = new URL(issuer);
    const isLocal = url.protocol === "http:" && isLoopbackHost(url.hostname);
    try {
      return await client.discovery(
        url,
        clientId,
        undefined,
        clientSecret === null ? client.None() : client.ClientSecretBasic(clientSecret),
        {
          timeout: REQUEST_TIMEOUT_S,
          // Also the ID tokens that come straight from the provider: their signatures are checked.
          execute: [client.enableNonRepudiationChecks, ...(isLocal ? [client.allowInsecureRequests] : [])],
        },
      );
    } catch (error) {
      this.#options.log("warn", `sign-in: ${this.host} cannot be asked how to sign in there: ${wordOf(error)}`);
      throw this.#failed("it cannot be reached, or does not say how to sign in there");
    }
  }

  #failure(error: unknown): DuplexityError {
    if (error instanceof DuplexityError) return error;
    const word = wordOf(error);
    this.#options.log("warn", `sign-in: what ${this.host} has sent does not hold: ${word}`);
    if (error instanceof client.AuthorizationResponseError) return this.#failed(`it says no (${word})`);
    return this.#failed(`its answer does not hold (${word})`);
  }

  #failed(why: string): DuplexityError {
    return new DuplexityError("DPX_SIGN_IN_FAILED", `Cannot sign you in with ${this.host}: ${why}`, {
      hint: "Try again; if it stays so, tell whoever runs this server.",
    });
  }
}

/** What went wrong, in one word that holds nothing of what was sent. */
function wordOf(error: unknown): string {
  if (error instanceof client.AuthorizationResponseError || error instanceof client.ResponseBodyError) {
    return /^[a-z_]{1,64}$/.test(error.error) ? error.error : "error";
  }
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[\w-]{1,64}$/.test(code) ? code : "error";
}

function keyOf(state: string): string {
  return `auth/outside/${digestOf(state)}`;
}
