// The audit log, for admins to read.

import { fields } from "../../protocol/index.ts";
import { readFields } from "../json-body.ts";
import { optional } from "./asked.ts";
import type { ApiEndpoints, ApiOptions } from "./options.ts";

const DEFAULT_EVENTS = 1_000;
/** One answer has to fit into memory. */
const MAX_EVENTS = 10_000;

export function auditEndpoints({ audit }: ApiOptions): ApiEndpoints {
  return {
    "GET /api/audit": {
      method: "GET",
      right: "admin",
      run: async ({ asked }) => {
        const limit = readFields(asked, (query) => optional(query, "limit", fields.integerReader(1, MAX_EVENTS)));
        return { events: await audit.read(limit ?? DEFAULT_EVENTS) };
      },
    },
  };
}
