// Ends clients, and bans whom they belong to. A ban is kept before anybody is ended, so that nobody slips back in between.

import { DuplexityError, fields, hostnameOf } from "../../protocol/index.ts";
import { type Ban, type BanSubject, userNameOf } from "../accounts/index.ts";
import type { Found, KickedClient } from "../hub/index.ts";
import { optional, readAsked, readDurationMs, readReason, readWho } from "./asked.ts";
import { nearestTo } from "./nearest.ts";
import type { ApiCall, ApiEndpoints, ApiOptions } from "./options.ts";
import { isoOrNull, nameOfSubject } from "./rows.ts";
import { userIdOf } from "./whose.ts";

/** Clients that the audit log names one by one. */
const MAX_TOLD_CLIENTS = 8;
/** What `duplexity up` calls itself: nobody's label. */
const CLIENT_ID = /^c[0-9a-f]{20}$/;

interface KickAsked {
  readonly who: string;
  readonly reason: string;
  readonly banMs: number | "forever" | undefined;
  readonly isDryRun: boolean;
}

export function kickEndpoints(options: ApiOptions): ApiEndpoints {
  const kicking = new Kicking(options);
  return { "POST /api/kick": { method: "POST", right: "admin", run: (call) => kicking.run(call) } };
}

class Kicking {
  readonly #options: ApiOptions;

  constructor(options: ApiOptions) {
    this.#options = options;
  }

  async run(call: ApiCall): Promise<object> {
    const asked = askedOf(call.asked);
    const { hub, now = Date.now } = this.#options;
    const found = await hub.find(asked.who);
    const subject = asked.banMs === undefined ? null : await this.#subjectOf(asked.who, found, call);
    if (found.clients.length === 0 && subject === null) {
      await hub.checkHeard(asked.who);
      throw await this.#unknown(asked.who);
    }
    const until = asked.banMs === undefined || asked.banMs === "forever" ? null : now() + asked.banMs;
    if (asked.isDryRun) return { clients: found.clients, until: isoOrNull(until), auditId: null };
    const banAuditId = subject === null ? null : await this.#ban({ asked, call, subject, until });
    const clients =
      subject === null
        ? await hub.kick({ who: asked.who, by: call.identity.ownerName, reason: asked.reason, until: null })
        : // Those that were here before are ended already, by the ban itself.
          await hub.enforce(this.#banOf({ asked, call, subject, until })).then((more) => united(found.clients, more));
    const kickAuditId = clients.length === 0 ? null : await this.#record(call, asked, clients);
    return { clients, until: isoOrNull(until), auditId: kickAuditId ?? banAuditId };
  }

  async #ban(wanted: WantedBan): Promise<string> {
    const { asked, call, subject, until } = wanted;
    const { bans, audit } = this.#options;
    await bans.add(this.#banOf(wanted));
    const detail = [until === null ? "for ever" : `until ${isoOrNull(until)}`, asked.reason];
    const { auditId } = await audit.record({
      ...{ action: "ban", by: call.identity.ownerName, from: call.from },
      whom: `${subject.kind} ${nameOfSubject(subject)}`,
      detail: detail.filter((text) => text !== "").join(": "),
    });
    return auditId;
  }

  #banOf({ asked: { reason }, call, subject, until }: WantedBan): Ban {
    const { now = Date.now } = this.#options;
    return { subject, by: call.identity.ownerName, reason, at: now(), until };
  }

  async #record({ identity, from }: ApiCall, { who, reason }: KickAsked, clients: readonly KickedClient[]) {
    const told = clients.slice(0, MAX_TOLD_CLIENTS).map(({ clientId, user }) => `${clientId} of ${user}`);
    if (clients.length > told.length) told.push(`${clients.length - told.length} more`);
    const detail = reason === "" ? told.join(", ") : `${reason} (${told.join(", ")})`;
    const event = { action: "kick", by: identity.ownerName, whom: who, from, detail } as const;
    return (await this.#options.audit.record(event)).auditId;
  }

  /** Whom a ban would be for: what the clients were found by, else a known user, else a name that a pipe could have. */
  async #subjectOf(who: string, found: Found, { identity }: ApiCall): Promise<BanSubject> {
    const { accounts, domain } = this.#options;
    const account = await accounts.lookUpByName(userNameOf(who));
    if (found.kind === "client") return { kind: "client", clientId: who };
    if (found.kind === "hostname") return { kind: "hostname", hostname: hostnameOf(who, domain) };
    if (account !== null && userIdOf(identity) === account.userId) {
      throw new DuplexityError("DPX_USAGE", `Cannot ban "${who}": that is you`, { hint: "Leave the ban out." });
    }
    if (account !== null) return { kind: "user", userId: account.userId, name: account.name };
    if (found.kind === "user") {
      throw new DuplexityError("DPX_USAGE", `Cannot ban "${who}": that is a token, and not a person`, {
        hint: "Revoke it (duplexity token revoke), or ban the person that it is of.",
      });
    }
    if (CLIENT_ID.test(who)) return { kind: "client", clientId: who };
    try {
      return { kind: "hostname", hostname: hostnameOf(who, domain) };
    } catch {
      throw await this.#unknown(who);
    }
  }

  async #unknown(who: string): Promise<DuplexityError> {
    const { hub, accounts, domain } = this.#options;
    const names: string[] = accounts.all().map(({ name }) => name);
    for (const { clientId, user, pipes } of await hub.everybody()) {
      names.push(user, clientId);
      for (const hostname of pipes) {
        const isBelow = hostname.endsWith(`.${domain}`);
        names.push(isBelow && !who.includes(".") ? hostname.slice(0, -domain.length - 1) : hostname);
      }
    }
    const nearest = nearestTo(who, names);
    const hint = nearest.length === 0 ? "See duplexity list." : `Nearest: ${nearest.join(", ")}.`;
    return new DuplexityError("DPX_NOT_FOUND", `Cannot kick "${who}": no client, pipe or user is called so`, { hint });
  }
}

interface WantedBan {
  readonly asked: KickAsked;
  readonly call: ApiCall;
  readonly subject: BanSubject;
  readonly until: number | null;
}

function askedOf(asked: unknown): KickAsked {
  return readAsked(asked, ["who", "reason", "banMs", "dryRun"], (body) => ({
    who: fields.field(body, "who", readWho),
    reason: optional(body, "reason", readReason) ?? "",
    banMs: optional(body, "banMs", (value, path) => (value === "forever" ? value : readDurationMs(value, path))),
    isDryRun: optional(body, "dryRun", fields.readBoolean) ?? false,
  }));
}

function united(some: readonly KickedClient[], others: readonly KickedClient[]): readonly KickedClient[] {
  const known = new Set(some.map(({ clientId }) => clientId));
  return [...some, ...others.filter(({ clientId }) => !known.has(clientId))];
}
