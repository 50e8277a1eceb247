// Who did what to whom, when and from where. Only ever adds; never a secret in it.

import type { Store } from "../store/index.ts";
import { notYet } from "./not-yet.ts";
import type { AuditEvent } from "./types.ts";

export interface AuditLogOptions {
  readonly store: Store;
  /** Unix time in ms. @default Date.now */
  readonly now?: () => number;
}

export class AuditLog {
  constructor(_options: AuditLogOptions) {}

  async record(event: Omit<AuditEvent, "auditId" | "at">): Promise<AuditEvent> {
    return notYet(event);
  }

  async read(limit: number): Promise<readonly AuditEvent[]> {
    return notYet(limit);
  }
}
