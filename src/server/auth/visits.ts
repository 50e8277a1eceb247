// Visitors of pipes that are for people of this server only: signs them in here and sends them back to the pipe's hostname
// with a code that its gate redeems. The code is good once, for that hostname and that gate's state.

import { randomBytes } from "node:crypto";
import { DuplexityError } from "../../protocol/index.ts";
import { digestOf } from "../digest.ts";
import type { Store } from "../store/index.ts";
import type { SignedInVisitor, VisitorSignIn } from "../visitor-sign-in.ts";
import { type Answer, type Exchange, redirectTo, showPage } from "./exchange.ts";
import { VISITOR_CODE_S } from "./lifetimes.ts";
import { bannedPage } from "./pages.ts";
import type { People } from "./people.ts";
import type { Sessions } from "./sessions.ts";

const CODE_BYTES = 32;
const MAX_RETURN_CHARS = 2_048;
const STATE = /^[\w-]{16,128}$/;
/** RFC 1035 §2.3.1, in lower case. */
const HOSTNAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+$/;

export interface VisitsOptions {
  readonly origin: URL;
  /** Pipes' hostnames lie below it. */
  readonly domain: string;
  readonly store: Store;
  readonly people: People;
  readonly sessions: Sessions;
}

export class Visits implements VisitorSignIn {
  readonly #options: VisitsOptions;

  constructor(options: VisitsOptions) {
    this.#options = options;
  }

  authorizeUrl(o: { readonly hostname: string; readonly returnTo: string; readonly state: string }): string {
    const url = new URL("/auth/visit", this.#options.origin);
    url.search = new URLSearchParams({ hostname: o.hostname, to: o.returnTo, state: o.state }).toString();
    return url.href;
  }

  async redeem(o: {
    readonly code: string;
    readonly hostname: string;
    readonly state: string;
  }): Promise<SignedInVisitor | null> {
    const kept = await this.#options.store.take(keyOf(o.code));
    if (kept === null || typeof kept !== "object" || !("userId" in kept)) return null;
    const { userId, hostname, stateHash, returnTo } = kept;
    if (hostname !== o.hostname || stateHash !== digestOf(o.state)) return null;
    const account = typeof userId === "string" ? this.#options.people.welcome(userId) : null;
    if (account === null || typeof returnTo !== "string") return null;
    return { userId: account.userId, name: account.name, returnTo };
  }

  isWelcome(userId: string): boolean {
    return this.#options.people.welcome(userId) !== null;
  }

  /** GET /auth/visit */
  async show({ request, response, query, browser }: Exchange): Promise<Answer> {
    const { origin, people, sessions, store } = this.#options;
    const { hostname, returnTo, state } = this.#check(query);
    const account = await sessions.current(request, response);
    if (account === null) {
      const path = `/auth/visit?${new URLSearchParams({ hostname, to: returnTo, state })}`;
      return redirectTo(`/auth/sign-in?next=${encodeURIComponent(browser.keepPath(path))}`);
    }
    const ban = people.banOf(account);
    if (ban !== null) return showPage(bannedPage(browser, ban));
    const code = randomBytes(CODE_BYTES).toString("base64url");
    const entry = { userId: account.userId, hostname, stateHash: digestOf(state), returnTo };
    await store.put(keyOf(code), entry, { ttlMs: VISITOR_CODE_S * 1_000 });
    const url = new URL("/.duplexity/signed-in", origin);
    url.hostname = hostname;
    url.search = new URLSearchParams({ code, state }).toString();
    return redirectTo(url.href);
  }

  /** @throws {DuplexityError} `DPX_REQUEST_INVALID` for anything that no gate of this server would ask. */
  #check(query: URLSearchParams): { hostname: string; returnTo: string; state: string } {
    const hostname = query.get("hostname") ?? "";
    const returnTo = query.get("to") ?? "/";
    const state = query.get("state") ?? "";
    if (!HOSTNAME.test(hostname) || !hostname.endsWith(`.${this.#options.domain}`)) {
      throw badVisit("the hostname is not one of this server's");
    }
    if (!isPath(returnTo)) throw badVisit("the address to come back to is not a path");
    if (!STATE.test(state)) throw badVisit("the state is malformed");
    return { hostname, returnTo, state };
  }
}

/** Of one and the same site, whatever browsers make of backslashes and of two slashes. */
function isPath(text: string): boolean {
  return text.length <= MAX_RETURN_CHARS && /^\/(?![/\\])[\x21-\x5b\x5d-\x7e]*$/.test(text);
}

function keyOf(code: string): string {
  return `auth/visit-code/${digestOf(code)}`;
}

function badVisit(why: string): DuplexityError {
  return new DuplexityError("DPX_REQUEST_INVALID", `Cannot sign the visitor in: ${why}`, {
    hint: "Open the page you wanted again.",
  });
}
