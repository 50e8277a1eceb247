import { expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import type { ClientRecord } from "../../../src/server/hub/client-record.ts";
import { ClientTable } from "../../../src/server/hub/client-table.ts";
import { TokenBook } from "./token-book.ts";

const BEN = new TokenBook().person("ben");
const GONE = new DuplexityError("DPX_LINK_LOST", "It is gone");

function start(): { readonly table: ClientTable; readonly clients: readonly ClientRecord[] } {
  const table = new ClientTable({ maxClients: 1_000, maxClientsPerOwner: 1_000, now: () => 0 });
  const clients = Array.from({ length: 150 }, (_, index) => table.admit(`c${index}`, BEN));
  return { table, clients };
}

it("tells a client the same turn as long as it is here, and another one then", () => {
  const { table, clients } = start();
  const delays = clients.map((client) => table.moveDelayMs(client, 1));
  expect([delays[0], delays[99], delays.at(-1)]).toEqual([10, 1_000, 1_500]);
  expect(clients.map((client) => table.moveDelayMs(client, 1))).toEqual(delays);
  for (const client of clients.slice(0, 10)) table.delete(client, GONE);
  const next = Array.from({ length: 11 }, (_, index) => table.moveDelayMs(table.admit(`d${index}`, BEN), 1));
  expect(next).toEqual([...delays.slice(0, 10), 1_510]);
});

it("counts what an owner's clients have, without those that have gone", () => {
  const { table, clients } = start();
  for (const client of clients) client.wanted = ["cat1.test"];
  expect([table.namesBound(BEN.ownerId), table.namesBound("eva")]).toEqual([150, 0]);
  for (const client of clients) table.delete(client, GONE);
  expect(table.namesBound(BEN.ownerId)).toBe(0);
});
