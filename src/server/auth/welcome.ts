// How somebody gets an account's password for the first time: the claim that makes the first admin, and invitations. The code
// comes in a form, never in an address that is sent.

import { DuplexityError } from "../../protocol/index.ts";
import type { Account, Accounts, AuditLog } from "../accounts/index.ts";
import type { Attempts } from "../attempts.ts";
import { senderOf } from "../sender-of.ts";
import { type Answer, type Exchange, type Form, readForm, showPage } from "./exchange.ts";
import { claimPage, codePage, invitePage } from "./pages.ts";
import type { People } from "./people.ts";
import type { SignIn } from "./sign-in.ts";

export interface WelcomeOptions {
  readonly accounts: Accounts;
  readonly attempts: Attempts;
  readonly audit: AuditLog;
  readonly people: People;
  readonly signIn: SignIn;
}

const NOT_SAME = "The password is not the same twice.";

export class Welcome {
  readonly #options: WelcomeOptions;

  constructor(options: WelcomeOptions) {
    this.#options = options;
  }

  async showClaim({ browser }: Exchange): Promise<Answer> {
    return showPage(codePage("claim", browser));
  }

  async claim(exchange: Exchange): Promise<Answer> {
    const { accounts, audit } = this.#options;
    const { browser, address } = exchange;
    const { form, code } = await this.#read(exchange);
    if (!(await accounts.isClaim(code))) {
      return showPage(
        codePage(
          "claim",
          browser,
          "This link was used, has ended, or never was. Start the server again: it prints a new one.",
        ),
      );
    }
    const name = form.field("name").trim();
    const again = (error?: string): Answer =>
      showPage(claimPage({ browser, code, name, ...(error === undefined ? {} : { error }) }));
    if (!form.has("password")) return again();
    if (form.field("password") !== form.field("again")) return again(NOT_SAME);
    const account = await this.#orSentence(() => accounts.claim(code, { name, password: form.field("password") }));
    if (typeof account === "string") return again(account);
    await audit.record({
      action: "claim",
      by: account.name,
      whom: account.name,
      from: address,
      detail: "the first admin",
    });
    return this.#options.signIn.begin(exchange, account, { next: null, how: "by the claim link" });
  }

  async showInvite({ browser }: Exchange): Promise<Answer> {
    return showPage(codePage("invite", browser));
  }

  async accept(exchange: Exchange): Promise<Answer> {
    const { accounts, audit, people } = this.#options;
    const { browser, address } = exchange;
    const { form, code } = await this.#read(exchange);
    const invited = await accounts.invited(code);
    if (invited === null) {
      return showPage(
        codePage("invite", browser, "This invitation was used, has ended, or never was. Ask an admin for another one."),
      );
    }
    const again = (error?: string): Answer =>
      showPage(invitePage({ browser, code, name: invited.name, ...(error === undefined ? {} : { error }) }));
    if (!form.has("password")) return again();
    if (form.field("password") !== form.field("again")) return again(NOT_SAME);
    const account = await this.#orSentence(() => accounts.acceptInvite(code, form.field("password")));
    if (typeof account === "string") return again(account);
    // It may be another invitation, because the password was lost or stolen.
    await people.signOutEverywhere(account.userId);
    await audit.record({
      action: "invite-accepted",
      by: account.name,
      whom: account.name,
      from: address,
      detail: null,
    });
    return this.#options.signIn.begin(exchange, account, { next: null, how: "by an invitation" });
  }

  async #read(exchange: Exchange): Promise<{ readonly form: Form; readonly code: string }> {
    const form = await readForm(exchange);
    await this.#options.attempts.count("claim", senderOf(exchange.address));
    return { form, code: form.field("code").trim() };
  }

  /** What the person can mend comes back as a sentence for the form. */
  async #orSentence(work: () => Promise<Account>): Promise<Account | string> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DuplexityError && ["DPX_USAGE", "DPX_EXISTS", "DPX_AUTH_INVALID"].includes(error.code)) {
        return error.message;
      }
      throw error;
    }
  }
}
