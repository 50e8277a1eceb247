// Who did what to whom, when and from where. Only ever adds. Whoever records leaves secrets out; this one bounds words.

import type { Store, Value } from "../store/index.ts";
import { proseOf } from "./prose.ts";
import { fieldsOf } from "./records.ts";
import { newId } from "./secrets.ts";
import type { AuditAction, AuditEvent } from "./types.ts";

/** Of one field: a name that somebody typed at a sign-in may be anything. */
const MAX_FIELD_CHARS = 512;

const LOG = "audit";
/** What strangers can make as many of as they like lies apart: logs are bounded, and it would push out all else. */
const FAILURES_LOG = "audit-failures";

const ACTIONS: ReadonlySet<string> = new Set(
  Object.keys({
    "sign-in": true,
    "sign-in-failed": true,
    "sign-out": true,
    claim: true,
    invite: true,
    "invite-accepted": true,
    "password-change": true,
    "user-add": true,
    "user-remove": true,
    "role-change": true,
    "token-create": true,
    "token-revoke": true,
    "device-approve": true,
    "device-deny": true,
    kick: true,
    ban: true,
    unban: true,
  } satisfies Record<AuditAction, true>),
);

export interface AuditLogOptions {
  readonly store: Store;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

export class AuditLog {
  readonly #store: Store;
  readonly #now: () => number;

  constructor({ store, now = Date.now }: AuditLogOptions) {
    this.#store = store;
    this.#now = now;
  }

  /** @throws {DuplexityError} `DPX_STORE` if it cannot be kept. */
  async record(event: Omit<AuditEvent, "auditId" | "at">): Promise<AuditEvent> {
    const kept = {
      auditId: newId("a_"),
      at: new Date(this.#now()).toISOString(),
      action: event.action,
      by: bounded(event.by),
      whom: bounded(event.whom),
      from: bounded(event.from),
      detail: bounded(event.detail),
    };
    await this.#store.append(event.action === "sign-in-failed" ? FAILURES_LOG : LOG, kept);
    return kept;
  }

  /** The newest `limit` events, oldest first; no more than half of them failed sign-ins, as long as there are others. */
  async read(limit: number): Promise<readonly AuditEvent[]> {
    const [events, failures] = await Promise.all([this.#readLog(LOG, limit), this.#readLog(FAILURES_LOG, limit)]);
    const newestOfAll = newest([...events, ...failures].sort(byTime), limit);
    const failed = newestOfAll.filter((event) => event.action === "sign-in-failed").length;
    const shown = newest(failures, Math.min(failed, Math.max(limit - events.length, Math.ceil(limit / 2))));
    return [...newest(events, limit - shown.length), ...shown].sort(byTime);
  }

  async #readLog(log: string, limit: number): Promise<readonly AuditEvent[]> {
    const values = await this.#store.readLog(log, limit);
    const events = new Map<string, AuditEvent>();
    for (const event of values.map(readEvent)) {
      // The store may have it twice.
      if (event !== null && !events.has(event.auditId)) events.set(event.auditId, event);
    }
    return [...events.values()];
  }
}

function newest(events: readonly AuditEvent[], count: number): readonly AuditEvent[] {
  return count <= 0 ? [] : events.slice(-count);
}

function byTime(one: AuditEvent, other: AuditEvent): number {
  if (one.at === other.at) return 0;
  return one.at < other.at ? -1 : 1;
}

function bounded(text: string | null): string | null {
  return text === null ? null : proseOf(text, MAX_FIELD_CHARS);
}

/** Null for what a newer version may have written. */
function readEvent(value: Value): AuditEvent | null {
  const { auditId, at, action, by = null, whom = null, from = null, detail = null } = fieldsOf(value) ?? {};
  if (typeof auditId !== "string" || typeof at !== "string" || !isAction(action)) return null;
  const isText = (text: Value): text is string | null => text === null || typeof text === "string";
  if (!isText(by) || !isText(whom) || !isText(from) || !isText(detail)) return null;
  return { auditId, at, action, by, whom, from, detail };
}

function isAction(value: Value | undefined): value is AuditAction {
  return typeof value === "string" && ACTIONS.has(value);
}
