// The words of the pages: what each one asks and says. Decides nothing.

import { type DuplexityError, ERRORS } from "../../protocol/index.ts";
import type { Account } from "../accounts/index.ts";
import type { Browser } from "./browsers.ts";
import { type Html, html } from "./html.ts";
import type { Page } from "./page.ts";

/** As `autocomplete` and the length rule of accounts want it; the account part has the last word. */
const NEW_PASSWORD_HINT = "At least 10 characters. A few words in a row are easy to keep in mind.";

export interface SignInPageOptions {
  readonly browser: Browser;
  /** What comes after the sign-in, as `Browser.keepPath` has sealed it. */
  readonly next: string | null;
  readonly hasLocalAccounts: boolean;
  /** Host of the outside provider. */
  readonly outside: string | null;
  /** Nobody can sign in yet: the server's first admin is still to be made. */
  readonly isUnclaimed: boolean;
  readonly formTargets: readonly string[];
  /** What the sign-in is for, if anything waits for it. */
  readonly reason: string | null;
  readonly name?: string;
  readonly error?: string;
}

export function signInPage(options: SignInPageOptions): Page {
  const { browser, next, hasLocalAccounts, outside, isUnclaimed, formTargets, reason, name = "", error } = options;
  const kept = next === null ? null : html`<input type="hidden" name="next" value="${next}">`;
  const query = next === null ? "" : `?next=${encodeURIComponent(next)}`;
  const local = html`<form method="post" action="/auth/sign-in">
${token(browser)}${kept}
<label for="name">Name</label>
<input id="name" name="name" value="${name}" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="32" required${isMarked(error)}${name === "" ? focus : null}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required${isMarked(error)}${name === "" ? null : focus}>
<button>Sign in</button>
</form>`;
  return {
    title: "Sign in",
    status: error === undefined ? 200 : 403,
    formTargets,
    body: html`<h1>Sign in</h1>
${alert(error)}${reason === null ? null : html`<p>${reason}</p>`}${isUnclaimed ? html`<p class="warn">Nobody has an account here yet. Whoever runs this server finds a link for the first one in its terminal.</p>` : null}
${hasLocalAccounts ? local : null}
${hasLocalAccounts && outside !== null ? html`<p class="or">or</p>` : null}
${outside === null ? null : html`<a class="button${hasLocalAccounts ? " quiet" : ""}" href="/auth/outside${query}">Sign in with ${outside}</a>`}`,
  };
}

/** The first step of claim and invitation: the code, which the page takes out of its own address. */
export function codePage(kind: "claim" | "invite", browser: Browser, error?: string): Page {
  const [title, what] =
    kind === "claim" ? ["Claim this server", "claim link"] : ["Accept your invitation", "invitation"];
  return {
    title,
    status: error === undefined ? 200 : 403,
    readsFragment: true,
    body: html`<h1>${title}</h1>
${alert(error)}<form method="post" action="/auth/${kind}">
${token(browser)}
<label for="code">Code</label>
<input id="code" name="code" autocomplete="off" autocapitalize="none" spellcheck="false" maxlength="256" required aria-describedby="code-hint"${isMarked(error)}${focus}>
<p class="hint" id="code-hint">What stands behind the # in your ${what}.</p>
<button>Continue</button>
</form>`,
  };
}

export interface NewPasswordPageOptions {
  readonly browser: Browser;
  readonly code: string;
  readonly name: string;
  readonly error?: string;
}

export function claimPage({ browser, code, name, error }: NewPasswordPageOptions): Page {
  return {
    title: "Claim this server",
    status: error === undefined ? 200 : 400,
    body: html`<h1>Claim this server</h1>
${alert(error)}<p>You become its first admin.</p>
<form method="post" action="/auth/claim">
${token(browser)}<input type="hidden" name="code" value="${code}">
<label for="name">Your name here</label>
<input id="name" name="name" value="${name}" autocomplete="username" autocapitalize="none" spellcheck="false" maxlength="32" required aria-describedby="name-hint"${focus}>
<p class="hint" id="name-hint">1 to 32 of a-z, 0-9 and . _ -</p>
${newPassword}
<button>Create the account</button>
</form>`,
  };
}

export function invitePage({ browser, code, name, error }: NewPasswordPageOptions): Page {
  return {
    title: "Accept your invitation",
    status: error === undefined ? 200 : 400,
    body: html`<h1>Welcome, ${name}</h1>
${alert(error)}<p>Choose a password for your account.</p>
<form method="post" action="/auth/invite">
${token(browser)}<input type="hidden" name="code" value="${code}">
<label for="name">Name</label>
<input id="name" value="${name}" autocomplete="username" readonly>
${newPassword}
<button>Set the password</button>
</form>`,
  };
}

export interface AccountPageOptions {
  readonly browser: Browser;
  readonly account: Account;
  readonly error?: string;
  /** What has just been done. */
  readonly done?: string;
}

export function accountPage({ browser, account, error, done }: AccountPageOptions): Page {
  const change = html`<h2>Change your password</h2>
${alert(error)}<form method="post" action="/auth/account">
${token(browser)}<input name="name" value="${account.name}" autocomplete="username" readonly hidden>
<label for="old">Present password</label>
<input id="old" name="old" type="password" autocomplete="current-password" required>
${newPassword}
<button>Change the password</button>
</form>`;
  return {
    title: "Your account",
    status: error === undefined ? 200 : 403,
    body: html`<h1>Your account</h1>
${done === undefined ? null : html`<p class="good" role="status">${done}</p>`}
<dl><dt>Name</dt><dd>${account.name}</dd><dt>Role</dt><dd>${account.isAdmin ? "admin" : "user"}</dd></dl>
${account.hasPassword ? change : null}
${signOutForm(browser)}`,
  };
}

/** Asked when another site, not the command line, has sent the browser here. */
export function continuePage(options: {
  readonly browser: Browser;
  readonly next: string;
  readonly target: string;
  readonly formTargets: readonly string[];
}): Page {
  return {
    title: "Sign in the command line",
    formTargets: options.formTargets,
    body: html`<h1>Sign in the command line?</h1>
<p>A program that listens on <strong>${options.target}</strong>, on this computer, asks for access in your name.</p>
<p class="warn">Another website has sent you here. Go on only if you have just started <code>duplexity login</code> on this computer.</p>
<form method="post" action="/auth/continue">
${token(options.browser)}<input type="hidden" name="next" value="${options.next}">
<div class="both"><a class="button quiet" href="/auth/account">Cancel</a><button>Continue</button></div>
</form>`,
  };
}

export function bannedPage(browser: Browser, error: DuplexityError): Page {
  return {
    title: "No access",
    status: ERRORS[error.code].httpStatus,
    body: html`<h1>No access</h1>
<p class="alert" role="alert">${error.message}</p>
${signOutForm(browser)}`,
  };
}

export function errorPage(error: DuplexityError): Page {
  const { httpStatus } = ERRORS[error.code];
  return {
    title: "That did not work",
    // RFC 9110 §15.5.2: 401 would have to name a scheme that browsers then ask a password for.
    status: httpStatus === 401 ? 403 : httpStatus,
    body: html`<h1>That did not work</h1>
<p class="alert" role="alert">${error.message}</p>
${error.hint === undefined ? null : html`<p>${error.hint}</p>`}
<small>${error.code}</small>`,
  };
}

/** Goes on by itself: for browsers the next page then comes from here, not from the provider that sent them. */
export function goOnPage(refreshTo: string): Page {
  return {
    title: "Signed in",
    refreshTo,
    body: html`<h1>Signed in</h1>
<p><a class="button" href="${refreshTo}">Go on</a></p>`,
  };
}

/** Something is over, and nothing is asked. */
export function messagePage(title: string, ...sentences: readonly string[]): Page {
  return { title, body: html`<h1>${title}</h1>${sentences.map((sentence) => html`<p>${sentence}</p>`)}` };
}

const focus = html` autofocus`;

const newPassword = html`<label for="password">New password</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="10" required aria-describedby="password-hint">
<p class="hint" id="password-hint">${NEW_PASSWORD_HINT}</p>
<label for="again">The same again</label>
<input id="again" name="again" type="password" autocomplete="new-password" required>`;

function signOutForm(browser: Browser): Html {
  return html`<form method="post" action="/auth/sign-out">${token(browser)}<button class="quiet">Sign out</button></form>`;
}

function token(browser: Browser): Html {
  return html`<input type="hidden" name="form_token" value="${browser.formToken}">`;
}

function alert(error: string | undefined): Html | null {
  return error === undefined ? null : html`<p class="alert" role="alert" id="error">${error}</p>`;
}

function isMarked(error: string | undefined): Html | null {
  return error === undefined ? null : html` aria-invalid="true" aria-describedby="error"`;
}
