// Signing in by password and signing out, and going on to what the person was about to do. Counts what fails.

import { DuplexityError } from "../../protocol/index.ts";
import type { Account, Accounts, AuditLog } from "../accounts/index.ts";
import type { Attempts } from "../attempts.ts";
import { senderOf } from "../sender-of.ts";
import { type Answer, type Exchange, readForm, redirectTo, showPage } from "./exchange.ts";
import { accountPage, bannedPage, messagePage, signInPage } from "./pages.ts";
import type { People } from "./people.ts";
import { LOOPBACK_TARGETS } from "./provider.ts";
import type { Sessions } from "./sessions.ts";

export interface SignInOptions {
  readonly accounts: Accounts;
  readonly attempts: Attempts;
  readonly audit: AuditLog;
  readonly people: People;
  readonly sessions: Sessions;
  readonly hasLocalAccounts: boolean;
  /** Host of the outside provider. */
  readonly outside: string | null;
  /** CSP sources of the pipes: a visitor's sign-in ends at one. */
  readonly pipeTargets: readonly string[];
}

const WRONG = "The name or the password is wrong.";

export class SignIn {
  readonly #options: SignInOptions;

  constructor(options: SignInOptions) {
    this.#options = options;
  }

  async show(exchange: Exchange): Promise<Answer> {
    const { sessions, people } = this.#options;
    const account = await sessions.current(exchange.request, exchange.response);
    if (account === null) return this.#form(exchange, exchange.query.get("next"));
    const ban = people.banOf(account);
    if (ban !== null) return showPage(bannedPage(exchange.browser, ban));
    return this.#goOn(exchange, exchange.query.get("next"));
  }

  async submit(exchange: Exchange): Promise<Answer> {
    const { accounts, attempts, audit, hasLocalAccounts } = this.#options;
    const form = await readForm(exchange);
    const next = form.field("next");
    if (!hasLocalAccounts)
      throw new DuplexityError("DPX_FORBIDDEN", "Cannot sign in by password: this server has none");
    const name = form.field("name").trim();
    const guessed = accounts.byName(name);
    const known = guessed?.name ?? null;
    const guesses = guessed === null ? name.toLowerCase() : guessesOf(exchange, guessed);
    await attempts.count("sign-in", senderOf(exchange.address));
    await attempts.count("sign-in-account", guesses);
    const account = await accounts.checkPassword(name, form.field("password"));
    if (account === null) {
      // An unknown name is not written down: people type their password into the wrong field.
      const failure = { action: "sign-in-failed", by: null, whom: known, from: exchange.address } as const;
      await audit.record({ ...failure, detail: known === null ? "an unknown name" : "a wrong password" });
      return this.#form(exchange, next, { name, error: WRONG });
    }
    await attempts.reset("sign-in-account", guesses);
    exchange.browser.remember(exchange.response, account.userId);
    return this.begin(exchange, account, { next, how: "by password" });
  }

  /** Signs the person in with this browser, unless somebody has banned them. */
  async begin(
    exchange: Exchange,
    account: Account,
    options: { readonly next: string | null; readonly how: string },
  ): Promise<Answer> {
    const { audit, people, sessions } = this.#options;
    const event = { by: account.name, whom: null, from: exchange.address };
    const ban = people.banOf(account);
    if (ban !== null) {
      await audit.record({ ...event, action: "sign-in-failed", by: null, whom: account.name, detail: "banned" });
      return showPage(bannedPage(exchange.browser, ban));
    }
    await audit.record({ ...event, action: "sign-in", detail: options.how });
    await sessions.begin(exchange.request, exchange.response, account);
    return this.#goOn(exchange, options.next);
  }

  async signOut(exchange: Exchange): Promise<Answer> {
    const { audit, sessions } = this.#options;
    await readForm(exchange);
    const account = await sessions.current(exchange.request, exchange.response);
    await sessions.end(exchange.request, exchange.response);
    if (account !== null) {
      await audit.record({ action: "sign-out", by: account.name, whom: null, from: exchange.address, detail: null });
    }
    return showPage(
      messagePage(
        "Signed out",
        "This browser is signed out.",
        "A command line that is signed in stays so: duplexity logout ends that.",
      ),
    );
  }

  /** The person has said on a page of ours that a request from another site was meant. */
  async confirm(exchange: Exchange): Promise<Answer> {
    const form = await readForm(exchange);
    return this.#goOn(exchange, form.field("next"));
  }

  async showAccount(exchange: Exchange): Promise<Answer> {
    const account = await this.#signedIn(exchange);
    return account === null ? this.#toSignIn(exchange) : showPage(accountPage({ browser: exchange.browser, account }));
  }

  /** Where the command line may send the browser when it has what it wants. */
  async showDone(exchange: Exchange): Promise<Answer> {
    const account = await this.#signedIn(exchange);
    const title = account === null ? "Signed in" : `Signed in as ${account.name}`;
    return showPage(messagePage(title, "The command line on this machine has access now.", "You may close this page."));
  }

  async changePassword(exchange: Exchange): Promise<Answer> {
    const { accounts, attempts, audit, people, sessions } = this.#options;
    const { browser, address } = exchange;
    const account = await this.#signedIn(exchange);
    if (account === null) return this.#toSignIn(exchange);
    const form = await readForm(exchange);
    const page = (error: string): Answer => showPage(accountPage({ browser, account, error }));
    if (form.field("password") !== form.field("again")) return page("The new password is not the same twice.");
    await attempts.count("sign-in-account", guessesOf(exchange, account));
    try {
      if (!(await accounts.changePassword(account.userId, form.field("old"), form.field("password")))) {
        await audit.record({
          action: "sign-in-failed",
          by: account.name,
          whom: account.name,
          from: address,
          detail: "a wrong password, to change it",
        });
        return page("The present password is wrong.");
      }
    } catch (error) {
      if (error instanceof DuplexityError && error.code === "DPX_USAGE") return page(error.message);
      throw error;
    }
    await people.signOutEverywhere(account.userId);
    await sessions.begin(exchange.request, exchange.response, account);
    await audit.record({
      action: "password-change",
      by: account.name,
      whom: account.name,
      from: address,
      detail: null,
    });
    const done = "The password is changed. All other sign-ins have ended.";
    return showPage(accountPage({ browser, account, done }));
  }

  async #signedIn({ request, response }: Exchange): Promise<Account | null> {
    const { people, sessions } = this.#options;
    const account = await sessions.current(request, response);
    return account === null || people.banOf(account) !== null ? null : account;
  }

  /** It also tells somebody who is banned. */
  #toSignIn({ browser }: Exchange): Answer {
    return redirectTo(`/auth/sign-in?next=${encodeURIComponent(browser.keepPath("/auth/account"))}`);
  }

  #goOn({ browser }: Exchange, next: string | null): Answer {
    return redirectTo((next === null || next === "" ? null : browser.keptPath(next)) ?? "/auth/account");
  }

  #form(
    { browser }: Exchange,
    given: string | null,
    failure: { readonly name?: string; readonly error?: string } = {},
  ): Answer {
    const { accounts, hasLocalAccounts, outside, pipeTargets } = this.#options;
    const path = given === null ? null : browser.keptPath(given);
    const next = path === null ? null : given;
    const isUnclaimed = hasLocalAccounts && accounts.all().length === 0;
    const reason = path === null ? null : reasonFor(path);
    const formTargets = path === null ? [] : path.startsWith("/auth/visit?") ? pipeTargets : LOOPBACK_TARGETS;
    return showPage(
      signInPage({ browser, next, hasLocalAccounts, outside, isUnclaimed, formTargets, reason, ...failure }),
    );
  }
}

/** So that whoever is sent here sees what for. */
function reasonFor(path: string): string | null {
  const { pathname, searchParams } = new URL(path, "http://localhost");
  if (pathname === "/auth/authorize") return "The command line on this computer asks for access.";
  if (pathname === "/auth/device") return "To let a machine in.";
  if (pathname === "/auth/visit") return `To open ${searchParams.get("hostname") ?? ""}.`;
  return null;
}

/**
 * What guesses at the account are counted under. A browser that the account has signed in with has a count of its own:
 * whoever guesses elsewhere, and goes on for ever, does not keep out the person whose account it is.
 */
function guessesOf({ browser }: Exchange, { userId, name }: Account): string {
  return browser.isKnownTo(userId) ? `${name} ${browser.id}` : name;
}
