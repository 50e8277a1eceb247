// `duplexity list`: the clients and pipes that the server knows of this person
// (an admin sees all). Asks the server's API; needs no running `up`.

import { authorizationFor, dialFailure } from "../../client/index.ts";
import { DuplexityError, isErrorCode } from "../../protocol/errors.ts";
import { type CommandContext, readSettings } from "../context.ts";
import { explain, readAccess, type ServerAccess } from "../dial.ts";
import { LIST_FLAGS } from "../flags.ts";
import { formatMoment, formatRoundTrip } from "../output/format.ts";
import { writeJsonLine } from "../output/json-lines.ts";
import { columnsOf, lookOf } from "../output/style.ts";
import { layOut } from "../output/table.ts";

const PATH = "/api/clients";
const TIMEOUT_MS = 10_000;
/** A longer answer is refused: 10,000 clients of ten pipes fit. */
const MAX_ANSWER_BYTES = 33_554_432;

export async function run(context: CommandContext): Promise<number> {
  const { values, user } = await readSettings(context, "client", LIST_FLAGS);
  const access = await readAccess(context, values, user);
  const clients = clientsIn(await fetchClients(access), access.server);
  if (values.isOn("json")) {
    for (const client of clients) writeJsonLine(context.stdout, { type: "client", ...client });
    return 0;
  }
  if (clients.length === 0) {
    context.stderr.write(`No clients are connected to ${access.server}. Be the first: duplexity up 9090\n`);
    return 0;
  }
  const look = lookOf(context.stdout, { env: context.env, noColor: values.isOn("noColor") });
  const now = new Date();
  const table = {
    head: ["URL", "STATE", "OWNER", "SINCE", "RTT", "CLIENT"],
    rows: clients.flatMap((client) => rowsOf(client, now)),
    rightAligned: [4],
  };
  const width = look.isTerminal ? columnsOf(context.stdout) : Number.POSITIVE_INFINITY;
  context.stdout.write(`${layOut(table, width, look.palette).join("\n")}\n`);
  return 0;
}

type Fields = Readonly<Record<string, unknown>>;

async function fetchClients(access: ServerAccess): Promise<unknown> {
  const { EnvHttpProxyAgent, request } = await import("undici");
  const url = new URL(PATH, access.server);
  const authorization = await authorizationFor({ url, token: access.token, key: access.key });
  let status: number;
  let text: string;
  try {
    // The agent honours HTTP(S)_PROXY and NO_PROXY, as `up` does.
    const dispatcher = new EnvHttpProxyAgent({ maxResponseSize: MAX_ANSWER_BYTES });
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await request(url, { headers: { authorization, accept: "application/json" }, signal, dispatcher });
    status = answer.statusCode;
    text = await answer.body.text();
  } catch (error) {
    throw explain(dialFailure(access.server, error), access);
  }
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw notOurs(access.server, `it answered ${status} with something that is not JSON`);
  }
  if (status === 200) return content;
  const refusal = errorIn(content);
  throw refusal === null ? notOurs(access.server, `it answered ${status}`) : explain(refusal, access);
}

/** `{"error": {"code", "message", "hint"}}`, as the server refuses. */
function errorIn(content: unknown): DuplexityError | null {
  const error = fieldsOf(fieldsOf(content).error);
  if (!isErrorCode(error.code) || typeof error.message !== "string") return null;
  const hint = typeof error.hint === "string" ? error.hint : undefined;
  return new DuplexityError(error.code, error.message, { hint });
}

function clientsIn(content: unknown, server: string): readonly Fields[] {
  const { v, clients } = fieldsOf(content);
  if (v !== 1 || !Array.isArray(clients)) throw notOurs(server, "its answer is not a list of clients");
  return clients.map(fieldsOf);
}

function rowsOf(client: Fields, now: Date): string[][] {
  const pipes = Array.isArray(client.pipes) ? client.pipes.map(fieldsOf) : [];
  return pipes.map((pipe) => [
    textOf(pipe.url ?? pipe.hostname),
    textOf(pipe.state),
    textOf(client.owner),
    momentOf(client.since ?? pipe.since, now),
    typeof client.rttMs === "number" ? formatRoundTrip(client.rttMs) : "–",
    textOf(client.clientId),
  ]);
}

function momentOf(value: unknown, now: Date): string {
  if (typeof value !== "number" && typeof value !== "string") return "–";
  const date = new Date(value);
  return Number.isNaN(date.getTime()) ? "–" : formatMoment(date, now);
}

function textOf(value: unknown): string {
  return typeof value === "string" && value !== "" ? value : "–";
}

function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function notOurs(server: string, what: string): DuplexityError {
  return new DuplexityError("DPX_PROTOCOL", `Cannot list the clients of ${server}: ${what}`, {
    hint: "Is that a duplexity server, and of this version?",
  });
}
