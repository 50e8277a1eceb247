// Who may come in, and who may stay: bans, names that an identity may open, proofs that end. Every door asks here; ends
// nobody itself.

import { asDuplexityError, DuplexityError } from "../../protocol/index.ts";
import { isAllowedName } from "../accounts/index.ts";
import { type Admission, type Authenticator, type Identity, isSameProver } from "../identity/index.ts";
import type { ClientRecord } from "./client-record.ts";

export interface DoorsOptions {
  readonly admission: Admission;
  readonly authenticator: Pick<Authenticator, "authenticateToken" | "current">;
  /** Unix time in ms. */
  readonly now: () => number;
}

/** A client whose proof has ended may still bring another one for so long: clocks differ, and a laptop wakes up. */
export const PROOF_LEEWAY_MS = 60_000;
/** Patterns that a refusal names; it has to fit into a message. */
const MAX_TOLD_PATTERNS = 8;

export class Doors {
  readonly #options: DoorsOptions;

  constructor(options: DoorsOptions) {
    this.#options = options;
  }

  /** @throws {DuplexityError} `DPX_BANNED` */
  checkClient(identity: Identity, clientId?: string): void {
    this.#options.admission.check(identity, clientId === undefined ? {} : { clientId });
  }

  /** @throws {DuplexityError} `DPX_BANNED` or `DPX_FORBIDDEN`, with what would be allowed. */
  checkPipe({ identity, clientId }: ClientRecord, hostname: string): void {
    this.#options.admission.check(identity, { clientId, hostname });
    const [label = ""] = hostname.split(".", 1);
    if (isAllowedName(label, identity.namePatterns)) return;
    const allowed = toldPatterns(identity.namePatterns);
    throw new DuplexityError("DPX_FORBIDDEN", `Cannot register "${label}": ${identity.ownerName} may open ${allowed}`, {
      hint: `Take a name that is ${allowed}, or ask an admin for more.`,
    });
  }

  /**
   * Looks at a client that is in: gives it the identity that it has by now. Answers why it may not stay, or null.
   */
  judge(client: ClientRecord): DuplexityError | null {
    const { identity, clientId } = client;
    const { authenticator, now } = this.#options;
    if (identity.expiresAt !== null && identity.expiresAt + PROOF_LEEWAY_MS <= now()) {
      return ended(`the token of ${identity.ownerName} has ended, and no fresh one came`);
    }
    const current = authenticator.current(identity);
    if (current === null) return ended(`the account or token of ${identity.ownerName} is no more`);
    client.identity = current;
    try {
      this.checkClient(current, clientId);
      for (const { hostname } of client.held) this.checkPipe(client, hostname);
      for (const hostname of client.namesElsewhere) this.checkPipe(client, hostname);
      return null;
    } catch (error) {
      return asDuplexityError(error);
    }
  }

  /**
   * Who shows `token` for a client that is in.
   *
   * @throws {DuplexityError} `DPX_AUTH_INVALID` if it does not hold, `DPX_FORBIDDEN` if it is somebody else's, `DPX_BANNED`.
   */
  async refresh(client: ClientRecord, token: string): Promise<Identity> {
    const identity = await this.#options.authenticator.authenticateToken(token);
    if (!isSameProver(identity, client.identity)) {
      const whose = client.identity.ownerName;
      throw new DuplexityError("DPX_FORBIDDEN", `Cannot take the fresh token: this client is of ${whose}, it is not`, {
        hint: "Start another duplexity up for another sign-in.",
      });
    }
    this.checkClient(identity, client.clientId);
    return identity;
  }
}

function ended(why: string): DuplexityError {
  return new DuplexityError("DPX_AUTH_INVALID", `Cannot let this client stay: ${why}`, {
    hint: "Sign in again: duplexity login.",
  });
}

/** `cat1, ben-* and also …`: an account's patterns and its token's must both match. */
function toldPatterns(lists: readonly (readonly string[])[]): string {
  const told = lists.map((list) => {
    const more = list.length > MAX_TOLD_PATTERNS ? " or others" : "";
    return `${list.slice(0, MAX_TOLD_PATTERNS).join(" or ")}${more}`;
  });
  return told.join(" and at once ");
}
