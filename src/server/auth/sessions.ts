// Who is signed in with this browser. The sign-in is the provider's own session, so that pages and provider never differ
// about it.

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Provider, Session } from "oidc-provider";
import type { Account } from "../accounts/index.ts";
import { SESSION_S } from "./lifetimes.ts";
import type { People } from "./people.ts";
import { sessionCookie } from "./provider-options.ts";

export interface SessionsOptions {
  /** The one of this moment: another one follows when the keys change. */
  readonly provider: () => Provider;
  readonly people: People;
  readonly isSecure: boolean;
}

export class Sessions {
  readonly #options: SessionsOptions;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Whose browser it is; also of somebody who is banned, so that they can be told. */
  async current(request: IncomingMessage, response: ServerResponse): Promise<Account | null> {
    const { people } = this.#options;
    const { accountId, loginTs } = await this.#find(request, response);
    const account = accountId === undefined ? null : people.byId(accountId);
    if (account === null || !(await people.isSignedIn(account.userId, loginTs))) return null;
    return account;
  }

  /** A session of its own for each sign-in: what was there before, somebody else may know. */
  async begin(request: IncomingMessage, response: ServerResponse, { userId }: Account): Promise<void> {
    const { people, isSecure } = this.#options;
    const provider = this.#options.provider();
    await this.#destroy(await this.#find(request, response));
    const session = new provider.Session();
    session.loginAccount({ accountId: userId, loginTs: await people.signInTime(userId) });
    await session.save(SESSION_S);
    const { cookies } = provider.createContext(request, response);
    cookies.secure = isSecure;
    cookies.set(provider.cookieName("session"), session.jti, { ...sessionCookie(isSecure), maxAge: SESSION_S * 1_000 });
  }

  async end(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { isSecure } = this.#options;
    const provider = this.#options.provider();
    await this.#destroy(await this.#find(request, response));
    const { cookies } = provider.createContext(request, response);
    cookies.secure = isSecure;
    cookies.set(provider.cookieName("session"), null, sessionCookie(isSecure));
  }

  #find(request: IncomingMessage, response: ServerResponse): Promise<Session> {
    const provider = this.#options.provider();
    return provider.Session.get(provider.createContext(request, response));
  }

  async #destroy(session: Session): Promise<void> {
    if (session.accountId !== undefined) await session.destroy();
  }
}
