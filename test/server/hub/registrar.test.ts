import { expect, it } from "vitest";
import { MemoryRegistry } from "../../../src/server/backend/memory-registry.ts";
import type { Registration } from "../../../src/server/backend/registry.ts";
import { ClientTable } from "../../../src/server/hub/client-table.ts";
import { Registrar } from "../../../src/server/hub/registrar.ts";
import { TokenBook } from "./token-book.ts";

const BEN = new TokenBook().person("ben");
const OPTIONS = { wantsReports: false, isPartial: false };

function start() {
  const registry = new MemoryRegistry({});
  const registrar = new Registrar({
    ...{ registry, nodeId: "node-1", domain: "test", maxPipes: 8, ports: null },
    check: () => {},
    isGone: async () => false,
    urlOf: (hostname) => `http://${hostname}`,
    onGivenBack: async () => {},
  });
  const table = new ClientTable({ maxClients: 10, maxClientsPerOwner: 10, now: () => 0 });
  return { registry, registrar, client: table.admit("client-a", BEN) };
}

it("leaves a name away that was so before its client was refused, for its visitors to wait", async () => {
  const { registry, registrar, client } = start();
  const eve = { ownerId: "eve-id", ownerName: "eve", clientId: "client-e", nodeId: "node-2" };
  const taken: Registration = { ...eve, hostname: "dog1.test", protocol: "http", wantsReports: false };
  await registry.register(taken);
  const made = await registrar.register(client, [{ name: "cat1", protocol: "http" }], OPTIONS);
  await registrar.release(client, made.status === "registered" ? made.pipes : [], "lost");
  const pipes = [
    { name: "cat1", protocol: "http" as const },
    { name: "dog1", protocol: "http" as const },
  ];
  expect(await registrar.register(client, pipes, OPTIONS)).toMatchObject({ status: "refused" });
  expect(await registry.locate("cat1.test")).toMatchObject({ state: "away", clientId: "client-a" });
});

it("leaves nothing of a name that its client was refused with for the first time", async () => {
  const { registry, registrar, client } = start();
  const made = await registrar.register(client, [{ name: "cat1", protocol: "http" }], OPTIONS);
  if (made.status === "registered") await made.undo();
  expect(await registry.locate("cat1.test")).toBeNull();
});
