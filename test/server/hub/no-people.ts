// Stands in for accounts, tokens, bans and the audit log where none are kept: there is nobody, and nobody is banned.

import { DuplexityError } from "../../../src/protocol/index.ts";
import type { ApiOptions } from "../../../src/server/api/index.ts";
import type { Admission } from "../../../src/server/identity/index.ts";

export const NO_PEOPLE: Pick<ApiOptions, "accounts" | "tokens" | "audit"> & {
  readonly bans: ApiOptions["bans"] & Admission;
} = {
  accounts: {
    all: () => [],
    byId: () => null,
    lookUpByName: async () => null,
    create: () => Promise.reject(none()),
    invite: () => Promise.reject(none()),
    remove: () => Promise.reject(none()),
  },
  tokens: { all: () => [], create: () => Promise.reject(none()), ofUser: () => [], revoke: async () => false },
  bans: { check() {}, add: () => Promise.reject(none()), all: () => [], lift: async () => [] },
  audit: {
    read: async () => [],
    record: async (event) => ({ ...event, auditId: "none", at: new Date().toISOString() }),
  },
};

function none(): DuplexityError {
  return new DuplexityError("DPX_FORBIDDEN", "Cannot do that: this server keeps no accounts");
}
