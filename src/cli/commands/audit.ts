// `duplexity audit`: what happened on the server, as JSON lines, whatever stdout is.

import { DuplexityError } from "../../protocol/errors.ts";
import { callApi, notOurs } from "../api.ts";
import { rowsOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { AUDIT_FLAGS } from "../flags.ts";
import { writeJsonLine } from "../output/json-lines.ts";

const DEFAULT_LIMIT = 100;
/** One answer of the API is bounded as well. */
const MAX_LIMIT = 10_000;

export async function run(context: CommandContext): Promise<number> {
  const { access, values } = await openApi(context, AUDIT_FLAGS);
  const limit = values.count("limit") ?? DEFAULT_LIMIT;
  if (limit < 1 || limit > MAX_LIMIT) {
    throw new DuplexityError("DPX_USAGE", `Cannot use --limit ${limit}: wanted 1 to ${MAX_LIMIT}`);
  }
  const request = { path: `/api/audit?limit=${limit}`, doing: "read the audit log" };
  const events = rowsOf((await callApi(access, request)).events);
  if (events === null) throw notOurs(access, request, "its answer is not a list of events");
  for (const { v: _v, type: _type, ...event } of events) writeJsonLine(context.stdout, { type: "audit", ...event });
  return 0;
}
