// The gate that lets in people of this server only: sends a browser to sign in, takes it back, and knows it by a cookie
// of this hostname. Who somebody is, auth says.

import type { RequestHead } from "../../http/index.ts";
import { asDuplexityError } from "../../protocol/index.ts";
import type { Attempts } from "../attempts.ts";
import type { VisitorSignIn } from "../visitor-sign-in.ts";
import { type GateRedirect, type GateRefusal, refused, signInChallenge } from "./gate-answer.ts";
import { cookieValues, SIGN_IN_COOKIE, setCookie, VISITOR_COOKIE } from "./gate-cookies.ts";
import { type GateTokens, SIGN_IN_SECONDS, VISITOR_SECONDS } from "./gate-tokens.ts";

/** On every hostname whose gate asks for a sign-in: where auth sends the visitor back to. */
const SIGNED_IN_PATH = "/.duplexity/signed-in";
/** A longer path is not come back to: it would have to fit into other addresses. */
const MAX_RETURN_CHARS = 1_024;

export interface SignInRequest {
  readonly head: RequestHead;
  /** Canonical. */
  readonly hostname: string;
  /** Whom attempts count for. */
  readonly sender: string;
}

export interface GateSignInOptions {
  /** Null: nobody can sign in at this server, so that nobody is let in. */
  readonly signIn: VisitorSignIn | null;
  readonly tokens: GateTokens;
  readonly attempts: Attempts;
}

export type SignInVerdict =
  /** The visitor is this person and may come in. */
  { readonly kind: "signed-in"; readonly person: string } | GateRefusal | GateRedirect;

export class GateSignIn {
  readonly #options: GateSignInOptions;

  constructor(options: GateSignInOptions) {
    this.#options = options;
  }

  judge(request: SignInRequest): SignInVerdict | Promise<SignInVerdict> {
    const { signIn } = this.#options;
    if (signIn === null) return refused("DPX_VISITOR_FORBIDDEN");
    const { head, hostname } = request;
    const cookies = head.values("cookie");
    const person = this.#personBehind(hostname, cookies);
    const query = queryOfReturn(head);
    if (query !== null) return this.#return(signIn, { ...request, cookies, query, person });
    if (person !== null) {
      if (signIn.isWelcome(person)) return { kind: "signed-in", person };
      // Without the cookie, somebody else may sign in here.
      return refused("DPX_VISITOR_FORBIDDEN", setCookie(VISITOR_COOKIE, "", 0));
    }
    if (!isNavigation(head)) return refused("DPX_VISITOR_UNKNOWN", signInChallenge(hostname));
    return this.#begin(signIn, { ...request, cookies });
  }

  #personBehind(hostname: string, cookies: readonly string[]): string | null {
    for (const token of cookieValues(cookies, VISITOR_COOKIE)) {
      const person = this.#options.tokens.userOf(hostname, token);
      if (person !== null) return person;
    }
    return null;
  }

  #begin(
    signIn: VisitorSignIn,
    { head, hostname, cookies }: SignInRequest & { cookies: readonly string[] },
  ): GateRedirect {
    const { tokens } = this.#options;
    const binding = tokens.binding(cookieValues(cookies, SIGN_IN_COOKIE));
    const state = tokens.state(hostname, binding);
    return {
      kind: "redirect",
      code: "DPX_VISITOR_UNKNOWN",
      location: signIn.authorizeUrl({ hostname, returnTo: safePath(head.target), state }),
      fields: setCookie(SIGN_IN_COOKIE, binding, SIGN_IN_SECONDS),
    };
  }

  /** The visitor is back with a code. It is good once, and only in the browser that began. */
  async #return(
    signIn: VisitorSignIn,
    request: SignInRequest & { cookies: readonly string[]; query: URLSearchParams; person: string | null },
  ): Promise<SignInVerdict> {
    const { hostname, sender, cookies, query, person } = request;
    const { tokens, attempts } = this.#options;
    const [code = "", ...otherCodes] = query.getAll("code");
    const [state = "", ...otherStates] = query.getAll("state");
    const isSingle = otherCodes.length + otherStates.length === 0;
    if (isSingle && code !== "" && tokens.isState(hostname, cookieValues(cookies, SIGN_IN_COOKIE), state)) {
      try {
        await attempts.count("redeem", sender);
        const visitor = await signIn.redeem({ code, hostname, state });
        if (visitor !== null) return this.#letIn(signIn, hostname, visitor);
      } catch (error) {
        return refused(asDuplexityError(error).code);
      }
    }
    // Somebody went back in the browser's history: nothing is wrong.
    if (person !== null && signIn.isWelcome(person)) return homeward("/", "");
    return refused("DPX_SIGN_IN_FAILED", signInChallenge(hostname));
  }

  #letIn(
    signIn: VisitorSignIn,
    hostname: string,
    { userId, returnTo }: { readonly userId: string; readonly returnTo: string },
  ): GateRedirect | GateRefusal {
    if (!signIn.isWelcome(userId)) return refused("DPX_VISITOR_FORBIDDEN");
    const token = this.#options.tokens.visitor(hostname, userId);
    return homeward(safePath(returnTo), setCookie(VISITOR_COOKIE, token, VISITOR_SECONDS));
  }
}

function homeward(location: string, fields: string): GateRedirect {
  return { kind: "redirect", code: null, location, fields };
}

/** The query of a visitor's return from auth; null for any other request. */
function queryOfReturn({ method, target }: RequestHead): URLSearchParams | null {
  if (method !== "GET") return null;
  const mark = target.indexOf("?");
  const path = mark === -1 ? target : target.slice(0, mark);
  return path === SIGNED_IN_PATH ? new URLSearchParams(mark === -1 ? "" : target.slice(mark)) : null;
}

/** Whether a person looks at what the answer leads to: a script's request can't sign in, and must not be led elsewhere. */
function isNavigation(head: RequestHead): boolean {
  if (head.method !== "GET" || head.upgrade !== null) return false;
  // Fetch Metadata, where the browser has it: a script may accept HTML as well.
  const mode = head.field("sec-fetch-mode");
  return (mode === null || mode === "navigate") && (head.field("accept") ?? "").includes("text/html");
}

/**
 * A path on the same host. `//evil` and `/\evil` name another one (WHATWG URL: a backslash is a slash), and our own would
 * go round for ever.
 */
function safePath(target: string): string {
  const isPath = /^\/(?!\/)[\x21-\x5b\x5d-\x7e]*$/.test(target) && target.length <= MAX_RETURN_CHARS;
  return isPath && !target.startsWith(SIGNED_IN_PATH) ? target : "/";
}
