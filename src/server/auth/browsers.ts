// What ties a form, and what was to happen after it, to the browser that got it: a cookie with a random id, and seals made
// from it. Keeps nothing: whoever asks for a thousand forms costs no memory.

import { createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { DuplexityError } from "../../protocol/index.ts";
import { CONTINUATION_S, KNOWN_BROWSER_S } from "./lifetimes.ts";

/** The id's bytes; base64url makes 32 characters of them. */
const ID_BYTES = 24;
const ID = /^[\w-]{32}$/;
const ID_COOKIE = "dpx_browser";
const MARK_COOKIE = "dpx_known";
/** Of a path that is kept for after the sign-in, with its query. */
const MAX_PATH_CHARS = 4_096;

export interface BrowsersOptions {
  /** `https://tunnel.example.com` */
  readonly origin: string;
  /** The first one seals, all of them open. */
  readonly secrets: () => readonly string[];
  /** Unix time in ms. */
  readonly now: () => number;
}

export class Browsers {
  readonly #options: BrowsersOptions;
  readonly #isSecure: boolean;

  constructor(options: BrowsersOptions) {
    this.#options = options;
    this.#isSecure = options.origin.startsWith("https:");
  }

  /** Who asks. A browser that has no id yet gets one with the answer, unless that is null. */
  of(request: IncomingMessage, response: ServerResponse | null): Browser {
    const cookies = cookiesOf(request);
    const known = cookies.get(cookieName(ID_COOKIE, this.#isSecure));
    const mark = cookies.get(cookieName(MARK_COOKIE, this.#isSecure)) ?? "";
    if (known !== undefined && ID.test(known)) return new Browser(known, this.#options, mark);
    const id = randomBytes(ID_BYTES).toString("base64url");
    response?.appendHeader("Set-Cookie", cookieOf(ID_COOKIE, id, this.#isSecure));
    return new Browser(id, this.#options, "");
  }
}

export class Browser {
  readonly id: string;
  readonly #options: BrowsersOptions;
  readonly #mark: string;

  constructor(id: string, options: BrowsersOptions, mark: string) {
    this.id = id;
    this.#options = options;
    this.#mark = mark;
  }

  /** Whether the account was the last one to sign in with this browser. */
  isKnownTo(userId: string): boolean {
    return this.#isSeal(this.#mark, "known", userId);
  }

  /** From now on the browser is known to the account, also when it was closed in between. */
  remember(response: ServerResponse, userId: string): void {
    const isSecure = this.#options.origin.startsWith("https:");
    const lasting = `; Max-Age=${KNOWN_BROWSER_S}`;
    response.appendHeader("Set-Cookie", cookieOf(ID_COOKIE, this.id, isSecure) + lasting);
    response.appendHeader("Set-Cookie", cookieOf(MARK_COOKIE, this.#seal("known", userId), isSecure) + lasting);
  }

  /** For a hidden field of each form. */
  get formToken(): string {
    return this.#seal("form", "");
  }

  /** @throws {DuplexityError} `DPX_FORBIDDEN` if the form was not this server's own, in this browser. */
  checkForm(request: IncomingMessage, token: string): void {
    checkSameOrigin(request, this.#options.origin);
    if (!this.#isSeal(token, "form", "")) throw notOurForm("its token is missing or from another browser");
  }

  /** Keeps a path and query below /auth for later, so that this browser, and none else, may bring it back. */
  keepPath(path: string): string {
    if (path.length > MAX_PATH_CHARS) {
      throw new DuplexityError(
        "DPX_HEAD_TOO_LARGE",
        `Cannot sign in: the address has more than ${MAX_PATH_CHARS} characters`,
      );
    }
    const text = `${Math.floor(this.#options.now() / 1_000) + CONTINUATION_S} ${path}`;
    return `${Buffer.from(text).toString("base64url")}.${this.#seal("path", text)}`;
  }

  /** The path that `keepPath` has kept; null if this is something else, or too old. */
  keptPath(kept: string): string | null {
    const [encoded = "", seal = "", rest] = kept.split(".");
    const text = Buffer.from(encoded, "base64url").toString();
    if (rest !== undefined || !this.#isSeal(seal, "path", text)) return null;
    const [ends = "", path = ""] = text.split(" ", 2);
    return Number(ends) * 1_000 > this.#options.now() ? path : null;
  }

  /** 43 characters that only this browser and this server can come by, for `text` that others may know. */
  secretFor(purpose: "nonce" | "verifier", text: string): string {
    return this.#seal(purpose, text);
  }

  #seal(purpose: string, text: string): string {
    const [secret = ""] = this.#options.secrets();
    return this.#sealBy(secret, purpose, text);
  }

  #sealBy(secret: string, purpose: string, text: string): string {
    return createHmac("sha256", secret).update(`${purpose} ${this.id} ${text}`).digest("base64url");
  }

  #isSeal(seal: string, purpose: string, text: string): boolean {
    const given = Buffer.from(seal);
    return this.#options.secrets().some((secret) => {
      const wanted = Buffer.from(this.#sealBy(secret, purpose, text));
      return given.length === wanted.length && timingSafeEqual(given, wanted);
    });
  }
}

/**
 * Lets in what a page of this server has sent. Every browser of today says at least one of the two with a POST.
 *
 * @throws {DuplexityError} `DPX_FORBIDDEN`
 */
export function checkSameOrigin(request: IncomingMessage, origin: string): void {
  const { origin: sender, "sec-fetch-site": site } = request.headers;
  if (sender !== undefined && sender !== origin) throw notOurForm("another site has sent it");
  if (site !== undefined && site !== "same-origin") throw notOurForm("another site has sent it");
  if (sender === undefined && site === undefined) throw notOurForm("it does not say which site it comes from");
}

function cookieOf(name: string, value: string, isSecure: boolean): string {
  const attributes = `Path=/; HttpOnly; SameSite=Lax${isSecure ? "; Secure" : ""}`;
  return `${cookieName(name, isSecure)}=${value}; ${attributes}`;
}

/** `__Host-` keeps pipes, which are subdomains, from setting it (RFC 6265bis §4.1.3.2); it needs https. */
export function cookieName(name: string, isSecure: boolean): string {
  return isSecure ? `__Host-${name}` : name;
}

export function cookiesOf(request: IncomingMessage): ReadonlyMap<string, string> {
  const cookies = new Map<string, string>();
  for (const pair of (request.headers.cookie ?? "").split(";")) {
    const at = pair.indexOf("=");
    const name = pair.slice(0, at).trim();
    // The first one counts, as for the provider.
    if (at > 0 && !cookies.has(name)) cookies.set(name, pair.slice(at + 1).trim());
  }
  return cookies;
}

function notOurForm(why: string): DuplexityError {
  return new DuplexityError("DPX_FORBIDDEN", `Cannot take this form: ${why}`, {
    hint: "Go back, load the page again and send it from there. The page needs its cookies.",
  });
}
