// Says for each request to a pipe with a gate whether its visitor may come in. It sends nothing, and it never judges a
// connection: the next request on it may be another's.

import type { FieldEdit, RequestHead } from "../../http/index.ts";
import type { PipeGate } from "../../protocol/index.ts";
import type { Attempts } from "../attempts.ts";
import { senderOf } from "../sender-of.ts";
import type { VisitorSignIn } from "../visitor-sign-in.ts";
import { readBasicCredentials } from "./basic-credentials.ts";
import { basicChallenge, type GateVerdict, refused } from "./gate-answer.ts";
import { withoutGateCookies } from "./gate-cookies.ts";
import { GatePasswords, type PasswordOutcome } from "./gate-passwords.ts";
import { type GatePlan, isFrom, planOf } from "./gate-plan.ts";
import { GateSignIn, type SignInVerdict } from "./gate-sign-in.ts";
import { GateTokens } from "./gate-tokens.ts";

export interface GatekeeperOptions {
  /** How visitors sign in with this server; null: they can't. */
  readonly signIn: VisitorSignIn | null;
  /** Signs visitors' cookies: the same on all nodes and after a restart, or people sign in again. At least 32 bytes. */
  readonly secret: Buffer;
  readonly attempts: Attempts;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

/** One request whose route has a gate. */
export interface GateRequest {
  readonly gate: PipeGate;
  readonly head: RequestHead;
  /** The visitor's, plain and without port; empty when nobody knows it. */
  readonly address: string;
}

export class Gatekeeper {
  readonly #passwords: GatePasswords;
  readonly #visitors: VisitorSignIn | null;
  readonly #signIn: GateSignIn;

  constructor(options: GatekeeperOptions) {
    const { signIn, secret, attempts, now = Date.now } = options;
    this.#visitors = signIn;
    this.#passwords = new GatePasswords(attempts);
    this.#signIn = new GateSignIn({ signIn, attempts, tokens: new GateTokens(secret, now) });
  }

  /** Answers at once for a visitor that is known. */
  judge(request: GateRequest): GateVerdict | Promise<GateVerdict> {
    const plan = planOf(request.gate);
    if (!isFrom(request.address, plan.networks)) return refused("DPX_VISITOR_FORBIDDEN");
    const outcome = this.#checkPassword(plan, request);
    if (outcome instanceof Promise) return outcome.then((late) => this.#afterPassword(plan, request, late));
    return this.#afterPassword(plan, request, outcome);
  }

  /** Whether whoever was let in by signing in may stay. Who cannot be judged at this moment may, until the next. */
  isWelcome(person: string): boolean {
    try {
      return this.#visitors?.isWelcome(person) === true;
    } catch {
      return true;
    }
  }

  #checkPassword({ users }: GatePlan, { head, address }: GateRequest): PasswordOutcome | Promise<PasswordOutcome> {
    if (users === null) return null;
    const credentials = readBasicCredentials(head.values("authorization"));
    if (credentials === null) return "DPX_VISITOR_UNKNOWN";
    const user = users.get(credentials.user) ?? null;
    return this.#passwords.check({ hostname: head.host, sender: senderOf(address), user, credentials });
  }

  #afterPassword(plan: GatePlan, request: GateRequest, outcome: PasswordOutcome): GateVerdict | Promise<GateVerdict> {
    const { head, address } = request;
    if (outcome !== null) {
      return refused(outcome, outcome === "DPX_VISITOR_UNKNOWN" ? basicChallenge(head.host) : "");
    }
    const edit = plan.users === null ? hideCookies : hideAll;
    if (!plan.needsLogin) return { kind: "welcome", edit, person: null };
    const verdict = this.#signIn.judge({ head, hostname: head.host, sender: senderOf(address) });
    return verdict instanceof Promise ? verdict.then((late) => gateVerdict(late, edit)) : gateVerdict(verdict, edit);
  }
}

/** What a visitor tells the gate is not the target's business: it could come in by it elsewhere. */
const hideCookies: FieldEdit = (name, value, line) => {
  if (name !== "cookie") return line;
  const kept = withoutGateCookies(value);
  if (kept === value) return line;
  return kept === null ? "" : `Cookie: ${kept}\r\n`;
};

const hideAll: FieldEdit = (name, value, line) => (name === "authorization" ? "" : hideCookies(name, value, line));

function gateVerdict(verdict: SignInVerdict, edit: FieldEdit): GateVerdict {
  return verdict.kind === "signed-in" ? { kind: "welcome", edit, person: verdict.person } : verdict;
}
