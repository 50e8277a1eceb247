// The OpenID provider: oidc-provider with this server's accounts, store, keys and pages behind it. Adds who may have a token
// and when a browser must be asked first; every rule of OAuth itself is the package's.

import { EventEmitter } from "node:events";
import type { errors as Errors, KoaContextWithOIDC, interactionPolicy as Policies, Provider } from "oidc-provider";
import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import type { AuditLog } from "../accounts/index.ts";
import type { Store } from "../store/index.ts";
import type { Browsers } from "./browsers.ts";
import { confirmDevicePage, userCodePage } from "./device-pages.ts";
import type { Keys } from "./key-ring.ts";
import { errors, interactionPolicy, Provider as OpenIdProvider } from "./oidc-provider.ts";
import { documentOf, headersOf, type Page } from "./page.ts";
import { continuePage, errorPage, messagePage } from "./pages.ts";
import type { People } from "./people.ts";
import { claimsOf, FEATURES_OFF, providerOptions } from "./provider-options.ts";
import { RefreshTokenAdapter } from "./refresh-token-adapter.ts";
import { RedeemedTwice, StoreAdapter } from "./store-adapter.ts";

/** `bens-laptop`: no more of what a machine calls itself is shown. */
const MAX_MACHINE_CHARS = 64;
/** Where the command line's answer goes; browsers follow it from a form only if they are told. */
export const LOOPBACK_TARGETS: readonly string[] = ["http://127.0.0.1:*"];

export interface ProviderParts {
  readonly issuer: string;
  /** For people: `tunnel.example.com`. */
  readonly site: string;
  readonly isSecure: boolean;
  readonly store: Store;
  readonly people: People;
  readonly browsers: Browsers;
  readonly audit: AuditLog;
  readonly addressOf: (request: KoaContextWithOIDC["req"]) => string;
  readonly log: (level: "debug" | "info" | "warn" | "error", message: string) => void;
}

export interface ProviderOptions extends ProviderParts {
  /** Something of this server has failed, and not the request: the provider answers nothing, and whoever has called it does. */
  readonly onFailure: (request: KoaContextWithOIDC["req"], error: unknown) => void;
}

const CAME_TWICE = "a code or refresh token came twice";

/** Nobody is signed in with this browser. */
class SignInNeeded extends errors.OIDCProviderError {
  override allow_redirect = false;

  constructor() {
    super(401, "login_required");
  }
}

/** Another site has sent the browser here: the person has to say that it was meant. */
class ConfirmationNeeded extends errors.OIDCProviderError {
  override allow_redirect = false;

  constructor() {
    super(403, "interaction_required");
  }
}

export function createProvider(keys: Keys, parts: ProviderOptions): Provider {
  const provider = new OpenIdProvider(parts.issuer, {
    ...providerOptions(keys, parts.isSecure),
    adapter: (model) =>
      model === "RefreshToken" ? new RefreshTokenAdapter(parts.store) : new StoreAdapter(parts.store, model),
    findAccount: (ctx, userId, token) => findAccount(parts, ctx, userId, token),
    loadExistingGrant: () => undefined,
    interactions: { policy: [admissionPrompt(parts), consentPrompt()], url: () => `${parts.issuer}/sign-in` },
    renderError: (ctx, _out, error) => renderError(parts, ctx, error),
    features: { ...FEATURES_OFF, revocation: { enabled: true, allowedPolicy }, deviceFlow: deviceFlow(parts) },
  });
  // handle() has written X-Forwarded-* anew: they say what the server's origin is, whatever came over the wire.
  provider.proxy = true;
  listen(provider, parts);
  return provider;
}

function allowedPolicy(
  _ctx: KoaContextWithOIDC,
  client: { clientId: string },
  token: { clientId?: string | undefined },
) {
  return token.clientId === client.clientId;
}

async function findAccount(
  { people }: ProviderParts,
  ctx: KoaContextWithOIDC,
  userId: string,
  token: object | undefined,
): Promise<{ accountId: string; claims: () => ReturnType<typeof claimsOf> } | undefined> {
  const account = people.byId(userId);
  if (account === null) return undefined;
  const ban = people.banOf(account);
  if (ban !== null) {
    if (ctx.oidc.route !== "token") return undefined;
    // Not invalid_grant: signing in again would not help, and the refresh token is good again when the ban is over.
    throw new errors.CustomOIDCProviderError("access_denied", described(ban.message));
  }
  const signedInAt = token !== undefined && "authTime" in token ? Number(token.authTime) : undefined;
  if (token !== undefined && !(await people.isSignedIn(userId, signedInAt))) return undefined;
  return { accountId: userId, claims: () => claimsOf(account) };
}

/** Runs when the request itself has been found right. Makes a grant of its own for each sign-in, so that each ends alone. */
function admissionPrompt(parts: ProviderParts): Policies.Prompt {
  const check = new interactionPolicy.Check("admission", "the browser is to be asked first", async (ctx) => {
    const { session, account, grant, client, params } = ctx.oidc;
    if (ctx.oidc.route === "authorization" && isForeign(ctx)) throw new ConfirmationNeeded();
    if (session === undefined || account === undefined || grant === undefined || client === undefined) {
      throw new SignInNeeded();
    }
    if (!(await parts.people.isSignedIn(account.accountId, session.loginTs))) throw new SignInNeeded();
    grant.addOIDCScope(String(params?.["scope"] ?? ""));
    await grant.save();
    session.ensureClientContainer(client.clientId);
    session.grantIdFor(client.clientId, grant.jti);
    return interactionPolicy.Check.NO_NEED_TO_PROMPT;
  });
  return new interactionPolicy.Prompt({ name: "login" }, check);
}

/** `prompt=consent` is what OpenID asks for with `offline_access`; the command line is this server's own and needs none. */
function consentPrompt(): Policies.Prompt {
  const prompt = new interactionPolicy.Prompt({ name: "consent", requestable: true });
  prompt.checks.clear();
  return prompt;
}

/** A browser that a program has opened says `none`; a page of this server, `same-origin`; a pipe's page, `same-site`. */
function isForeign(ctx: KoaContextWithOIDC): boolean {
  const site = ctx.get("Sec-Fetch-Site");
  return site !== "" && site !== "none" && site !== "same-origin";
}

async function renderError(parts: ProviderParts, ctx: KoaContextWithOIDC, error: Error): Promise<void> {
  if (error instanceof SignInNeeded || error instanceof ConfirmationNeeded) {
    const browser = parts.browsers.of(ctx.req, ctx.res);
    const next = browser.keepPath(`/auth${ctx.url}`);
    if (error instanceof SignInNeeded) {
      ctx.status = 303;
      ctx.redirect(`${parts.issuer}/sign-in?next=${encodeURIComponent(next)}`);
      return;
    }
    const target = hostOf(String(ctx.oidc.params?.["redirect_uri"]));
    put(parts, ctx, { ...continuePage({ browser, next, target, formTargets: LOOPBACK_TARGETS }), status: 403 });
    return;
  }
  // All others are failures, and not the provider's to answer.
  if (!(error instanceof errors.OIDCProviderError)) return;
  const shown = new DuplexityError(
    "DPX_REQUEST_INVALID",
    `Cannot sign the command line in: ${error.error_description ?? error.error}`,
    {
      hint: "Start again: duplexity login",
    },
  );
  put(parts, ctx, { ...errorPage(shown), status: ctx.status });
}

function deviceFlow(parts: ProviderParts) {
  const { audit, addressOf, people } = parts;
  const userName = (ctx: KoaContextWithOIDC): string =>
    people.byId(ctx.oidc.session?.accountId ?? "")?.name ?? "nobody";
  const form = (ctx: KoaContextWithOIDC) => ({
    xsrf: String(ctx.oidc.session?.state?.["secret"] ?? ""),
    userName: userName(ctx),
  });
  const record = async (ctx: KoaContextWithOIDC, action: "device-approve" | "device-deny"): Promise<void> => {
    const { machine, address } = deviceInfoOf(ctx.oidc.deviceCode?.deviceInfo);
    const by = userName(ctx);
    await audit.record({ action, by, whom: machine, from: addressOf(ctx.req), detail: `asked from ${address}` });
  };
  return {
    enabled: true,
    charset: "base-20",
    mask: "****-****",
    deviceInfo: (ctx: KoaContextWithOIDC) => ({
      address: addressOf(ctx.req),
      machine: machineName(ctx.oidc.body?.["machine"]),
    }),
    async userCodeInputSource(ctx: KoaContextWithOIDC, _form: string, _out?: object, error?: Error) {
      if (error?.name === "AbortedError") {
        await record(ctx, "device-deny");
        put(parts, ctx, messagePage("Denied", "The machine gets no access.", "You may close this page."));
        return;
      }
      put(parts, ctx, userCodePage({ ...form(ctx), ...(error === undefined ? {} : { error: userCodeError(error) }) }));
    },
    userCodeConfirmSource(ctx: KoaContextWithOIDC, _form: string, _client: object, info: object, userCode: string) {
      put(parts, ctx, confirmDevicePage({ ...form(ctx), ...deviceInfoOf(info), userCode }));
    },
    async successSource(ctx: KoaContextWithOIDC) {
      await record(ctx, "device-approve");
      const sentence = `It has access now, as ${userName(ctx)}. You may close this page.`;
      put(parts, ctx, messagePage("The machine is signed in", sentence));
    },
  } as const;
}

function userCodeError({ name }: Error): string {
  switch (name) {
    case "ExpiredError":
      return "This code has ended. Start again on the machine: duplexity login --device";
    case "AlreadyUsedError":
      return "This code was used before. Start again on the machine: duplexity login --device";
    case "InvalidRequest":
      return "This page was too old. Please type the code again.";
    default:
      return "There is no such code. Look at the machine's screen and type it again.";
  }
}

function deviceInfoOf(info: object | undefined): { machine: string | null; address: string } {
  const machine = info !== undefined && "machine" in info && typeof info.machine === "string" ? info.machine : null;
  const address =
    info !== undefined && "address" in info && typeof info.address === "string" ? info.address : "unknown";
  return { machine, address };
}

/** Shown to whoever approves: nothing in it may look like words of this server. */
function machineName(given: unknown): string | null {
  if (typeof given !== "string" || !/^[\p{L}\p{N}._-]+$/u.test(given)) return null;
  return given.length <= MAX_MACHINE_CHARS ? given : null;
}

function listen(provider: Provider, { audit, addressOf, people, log, onFailure }: ProviderOptions): void {
  const failed = (ctx: KoaContextWithOIDC, { error }: Errors.OIDCProviderError): void => {
    log("debug", `sign-in: ${ctx.oidc.route} was refused: ${error}`);
  };
  const broke = (error: unknown): void => log("error", `sign-in has failed: ${asDuplexityError(error).message}`);
  const record = (ctx: KoaContextWithOIDC, action: "sign-in" | "sign-out", detail: string): void => {
    const { Account, RefreshToken, AccessToken } = ctx.oidc.entities;
    const by = people.byId(Account?.accountId ?? RefreshToken?.accountId ?? AccessToken?.accountId ?? "")?.name ?? null;
    audit.record({ action, by, whom: null, from: addressOf(ctx.req), detail }).catch(broke);
  };
  // Koa's own event, which the package's types leave out; without a listener Koa would print a stack trace.
  EventEmitter.prototype.on.call(provider, "error", broke);
  provider.on("server_error", (ctx, error) => {
    ctx.respond = false;
    onFailure(ctx.req, error);
  });
  provider.on("authorization.error", failed);
  provider.on("device_authorization.error", failed);
  provider.on("grant.error", (ctx, error) => {
    failed(ctx, error);
    if (error instanceof RedeemedTwice && error.hasEndedGrant) record(ctx, "sign-out", CAME_TWICE);
  });
  provider.on("revocation.error", failed);
  // The code is typed from the starter's screen: a link that carries it would be somebody else's trick.
  provider.on("device_authorization.success", (_ctx, answer) => {
    delete answer["verification_uri_complete"];
  });
  provider.on("grant.success", (ctx) => {
    const grantType = ctx.oidc.params?.["grant_type"];
    if (grantType === "authorization_code") record(ctx, "sign-in", "a command line, by a browser on its machine");
    if (grantType === "urn:ietf:params:oauth:grant-type:device_code")
      record(ctx, "sign-in", "a command line, by a device code");
  });
  provider.on("grant.revoked", (ctx) => {
    record(ctx, "sign-out", ctx.oidc.route === "revocation" ? "a command line" : CAME_TWICE);
  });
}

function put({ site }: ProviderParts, ctx: KoaContextWithOIDC, page: Page): void {
  ctx.status = page.status ?? 200;
  ctx.set({ ...headersOf(page) });
  ctx.body = documentOf(page, site);
}

function hostOf(url: string): string {
  return URL.canParse(url) ? new URL(url).host : "127.0.0.1";
}

/** RFC 6749 §5.2: of ASCII only what a header could hold. */
function described(message: string): string {
  return message.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, "'");
}
