// `duplexity list`: the clients and pipes that the server knows of this person (an admin sees all), or who is banned.
// Asks the server's API; needs no running `up`.

import { callApi, notOurs } from "../api.ts";
import { dateOf, type Fields, fieldsOf, rowsOf, textOf } from "../api-answer.ts";
import { openApi } from "../api-command.ts";
import type { CommandContext } from "../context.ts";
import { LIST_FLAGS } from "../flags.ts";
import { momentOf, untilOf } from "../output/api-words.ts";
import { formatRoundTrip } from "../output/format.ts";

export async function run(context: CommandContext): Promise<number> {
  const api = await openApi(context, LIST_FLAGS);
  return api.values.isOn("bans") ? listBans(api) : listClients(api);
}

async function listClients({ access, show }: Awaited<ReturnType<typeof openApi>>): Promise<number> {
  const request = { path: "/api/clients", doing: "list the clients" };
  const clients = rowsOf((await callApi(access, request)).clients);
  if (clients === null) throw notOurs(access, request, "its answer is not a list of clients");
  const now = new Date();
  show.rows("client", clients, {
    head: ["URL", "STATE", "OWNER", "SINCE", "RTT", "CLIENT"],
    rows: clients.flatMap((client) => clientRows(client, now)),
    rightAligned: [4],
    none: `No clients are connected to ${access.server}. Be the first: duplexity up 9090`,
  });
  return 0;
}

async function listBans({ access, show }: Awaited<ReturnType<typeof openApi>>): Promise<number> {
  const request = { path: "/api/bans", doing: "list the bans" };
  const bans = rowsOf((await callApi(access, request)).bans);
  if (bans === null) throw notOurs(access, request, "its answer is not a list of bans");
  const now = new Date();
  show.rows("ban", bans, {
    head: ["WHO", "KIND", "UNTIL", "BY", "SINCE", "REASON"],
    rows: bans.map((ban) => [
      textOf(ban.name),
      textOf(ban.kind),
      untilOf(ban.until, now),
      textOf(ban.by),
      momentOf(ban.at, now),
      textOf(ban.reason),
    ]),
    none: `Nobody is banned at ${access.server}.`,
  });
  return 0;
}

function clientRows(client: Fields, now: Date): string[][] {
  const pipes = Array.isArray(client.pipes) ? client.pipes.map(fieldsOf) : [];
  return pipes.map((pipe) => [
    textOf(pipe.url ?? pipe.hostname),
    textOf(pipe.state),
    textOf(client.owner),
    momentOf(dateOf(client.since) === null ? pipe.since : client.since, now),
    typeof client.rttMs === "number" ? formatRoundTrip(client.rttMs) : "–",
    textOf(client.clientId),
  ]);
}
