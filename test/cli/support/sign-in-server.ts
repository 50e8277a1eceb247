// A server with a sign-in, as far as the commands know one: oidc-provider under /auth, where everybody is ben at once,
// and an /api that the test answers.

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { Provider } from "oidc-provider";
import { vi } from "vitest";
import { listen } from "../../client/support.ts";
import type { Stage } from "../../support/stage.ts";

const SCOPE = "openid offline_access profile";
const USER_ID = "u_ben";

export interface ApiCall {
  readonly path: string;
  readonly authorization: string | undefined;
  readonly body: unknown;
}

export interface SignInServerOptions {
  /** How long an ID token lives. @default 3600 */
  readonly idTokenSeconds?: number;
  /** What the discovery says; left out: the origin's own. */
  readonly issuer?: (origin: string) => string;
}

export class SignInServer {
  readonly origin: string;
  readonly provider: Provider;
  readonly calls: ApiCall[] = [];
  /** Requests to /auth, as `POST /token`. */
  readonly asked: string[] = [];
  /** Answers of /api by path; a function gets the body. */
  readonly api = new Map<string, (body: unknown) => { status?: number; content: unknown }>();
  /** When set, /auth answers this and nothing else. */
  outage: { status: number; text: string } | null = null;
  /** The request to /auth, as in `asked`, that it takes and says nothing to. */
  mute: string | null = null;
  /** Called for each request to /auth, before it is answered. */
  onAsked: (asked: string) => void = () => {};

  private constructor(origin: string, provider: Provider) {
    this.origin = origin;
    this.provider = provider;
    this.api.set("/api/whoami", () => ({
      content: { v: 1, user: "ben", role: "user", owner: "user:u_ben", expiresAt: null, namePatterns: null },
    }));
  }

  static async start(stage: Stage, options: SignInServerOptions = {}): Promise<SignInServer> {
    let serve = (_request: IncomingMessage, response: ServerResponse): void => void response.end();
    const server = createServer((request, response) => serve(request, response));
    const port = await listen(server);
    stage.defer(() => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    });
    const origin = `http://127.0.0.1:${port}`;
    // The library warns of what a test may well leave at its default.
    const quiet = [vi.spyOn(console, "warn"), vi.spyOn(console, "info")].map((spy) => spy.mockImplementation(() => {}));
    stage.defer(() => {
      for (const spy of quiet) spy.mockRestore();
    });
    const provider = createProvider(options.issuer?.(origin) ?? `${origin}/auth`, options);
    const self = new SignInServer(origin, provider);
    serve = (request, response) => self.#serve(request, response);
    return self;
  }

  /** Goes where `login` sends the browser, through all redirects, until that comes back to `login`. Answers its page. */
  async browse(url: string): Promise<{ status: number; text: string; callback: URL }> {
    const callback = await this.answerFor(url);
    const answer = await fetch(callback);
    return { status: answer.status, text: await answer.text(), callback };
  }

  /** The address with which the provider sends the browser back, not gone to yet. */
  async answerFor(url: string): Promise<URL> {
    const cookies = new Map<string, string>();
    for (let at = url, hops = 0; hops < 12; hops += 1) {
      if (new URL(at).pathname === "/callback") return new URL(at);
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
      const answer = await fetch(at, { redirect: "manual", headers: { cookie } });
      for (const each of answer.headers.getSetCookie()) {
        const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(each) ?? [];
        cookies.set(name, value);
      }
      at = new URL(answer.headers.get("location") ?? "/", at).href;
    }
    throw new Error("the provider sends the browser round and round");
  }

  /** Somebody types the code on another device and says yes, or no. */
  async confirmDevice(userCode: string, isAllowed = true): Promise<void> {
    const code = await this.provider.DeviceCode.findByUserCode(userCode.replace(/[^A-Z]/g, ""));
    if (code === undefined) throw new Error(`no device waits with ${userCode}`);
    if (isAllowed) {
      const granted = { accountId: USER_ID, grantId: await grant(this.provider), scope: SCOPE, authTime: 1 };
      Object.assign(code, granted);
    } else {
      Object.assign(code, { error: "access_denied", errorDescription: "no" });
    }
    await code.save();
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const url = request.url ?? "/";
    if (url.startsWith("/api/")) {
      void this.#serveApi(request, response, url);
      return;
    }
    if (url.startsWith("/go/")) {
      void this.#interact(request, response);
      return;
    }
    if (!url.startsWith("/auth/")) {
      response.writeHead(404).end("nothing");
      return;
    }
    const asked = `${request.method} ${url.slice(5).split("?")[0]}`;
    this.asked.push(asked);
    this.onAsked(asked);
    if (asked === this.mute) return;
    if (this.outage !== null) {
      response.writeHead(this.outage.status, { "content-type": "application/json" }).end(this.outage.text);
      return;
    }
    Object.assign(request, { originalUrl: url, url: url.slice(5) });
    void this.provider.callback()(request, response);
  }

  async #interact(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prompt } = await this.provider.interactionDetails(request, response);
    const result =
      prompt.name === "login"
        ? { login: { accountId: USER_ID } }
        : { consent: { grantId: await grant(this.provider) } };
    await this.provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
  }

  async #serveApi(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const text = Buffer.concat(chunks).toString();
    const body: unknown = text === "" ? null : JSON.parse(text);
    this.calls.push({ path, authorization: request.headers.authorization, body });
    const { status = 200, content } = this.api.get(path)?.(body) ?? { status: 404, content: {} };
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(content));
  }
}

async function grant(provider: Provider): Promise<string> {
  const made = new provider.Grant({ accountId: USER_ID, clientId: "duplexity-cli" });
  made.addOIDCScope(SCOPE);
  return made.save();
}

function createProvider(issuer: string, { idTokenSeconds = 3_600 }: SignInServerOptions): Provider {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "duplexity-cli",
        application_type: "native",
        token_endpoint_auth_method: "none",
        redirect_uris: ["http://127.0.0.1/callback"],
        response_types: ["code"],
        grant_types: ["authorization_code", "refresh_token", "urn:ietf:params:oauth:grant-type:device_code"],
      },
    ],
    claims: { openid: ["sub"], profile: ["preferred_username", "dpx_admin"] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, accountId) => ({
      accountId,
      claims: () => ({ sub: accountId, preferred_username: "ben", dpx_admin: false }),
    }),
    interactions: { url: (_ctx, { uid }) => `${new URL(issuer).origin}/go/${uid}` },
    rotateRefreshToken: true,
    features: { devInteractions: { enabled: false }, deviceFlow: { enabled: true }, revocation: { enabled: true } },
    cookies: { keys: ["test"] },
    ttl: { IdToken: idTokenSeconds, AccessToken: 60, RefreshToken: 3_600, Grant: 3_600, Session: 3_600 },
  });
  // In seconds: a test need not wait for five between two polls.
  provider.use(async (context, next) => {
    await next();
    if (context.oidc?.route === "device_authorization") Object.assign(context.body ?? {}, { interval: 0.05 });
  });
  return provider;
}
