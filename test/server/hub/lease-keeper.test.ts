import { expect, it, vi } from "vitest";
import { MemoryRegistry } from "../../../src/server/backend/index.ts";
import type { Registration } from "../../../src/server/backend/registry.ts";
import { ClientRecord } from "../../../src/server/hub/client-record.ts";
import { LeaseKeeper } from "../../../src/server/hub/lease-keeper.ts";
import { useStage } from "../../support/stage.ts";
import { TokenBook } from "./token-book.ts";

const stage = useStage();
const HOST = "cat1.test";
const BEN = new TokenBook().person("ben");

const REGISTRATION: Registration = {
  ...{ hostname: HOST, protocol: "http", clientId: "c1", ownerId: BEN.ownerId, ownerName: "ben", nodeId: "node-1" },
  wantsReports: false,
};

async function start() {
  const registry = new MemoryRegistry();
  stage.defer(() => registry.close());
  const client = new ClientRecord("c1", BEN, 0);
  client.wanted = [HOST];
  client.link = {} as NonNullable<typeof client.link>;
  const onGone = vi.fn();
  const keeper = new LeaseKeeper({
    ...{ registry, everyMs: 3_600_000, clients: () => [client], judge: () => {}, onGone, log: () => {} },
    goneNodes: () => (nodeId) => nodeId === "node-1",
  });
  stage.defer(() => keeper.close());
  const made = await registry.register(REGISTRATION);
  if (made.status !== "registered") throw new Error("it is taken");
  client.heard(HOST, made.record);
  return { registry, client, keeper, onGone, epoch: made.record.epoch };
}

it("renews what a hub held that is gone, and ends its client only when another one of its owner has the name", async () => {
  const { registry, client, keeper, onGone, epoch } = await start();
  const renewAll = vi.spyOn(registry, "renewAll");
  await keeper.renewAll();
  expect(renewAll.mock.calls[0]?.[0]).toMatchObject([{ hostname: HOST, clientId: "c1", epoch }]);
  // Its client has it over a third hub by now, and the word of that was lost.
  await registry.register({ ...REGISTRATION, nodeId: "node-3" });
  await keeper.renewAll();
  expect(client.orphans(() => true)).toMatchObject([{ nodeId: "node-3" }]);
  expect(onGone).not.toHaveBeenCalled();
  const moved = await registry.register(REGISTRATION);
  if (moved.status === "registered") client.heard(HOST, moved.record);
  await registry.register({ ...REGISTRATION, clientId: "c2" });
  await keeper.renewAll();
  expect(onGone.mock.calls).toMatchObject([[{ clientId: "c1" }, HOST, { clientId: "c2" }]]);
});

it("ends nobody over a name that was given up while it was renewed", async () => {
  const { registry, client, keeper, onGone, epoch } = await start();
  const renewAll = registry.renewAll.bind(registry);
  vi.spyOn(registry, "renewAll").mockImplementation(async (held) => {
    // It closes the pipe, and another client of its owner opens it.
    client.wanted = [];
    await registry.remove(HOST, "c1", epoch, "left");
    await registry.register({ ...REGISTRATION, clientId: "c2" });
    return renewAll(held);
  });
  await keeper.renewAll();
  expect(onGone).not.toHaveBeenCalled();
});

it("renews nothing for a client that has left, or has no link here", async () => {
  const { registry, client, keeper } = await start();
  const renewAll = vi.spyOn(registry, "renewAll");
  client.isLeaving = true;
  await keeper.renewAll();
  client.isLeaving = false;
  client.link = null;
  await keeper.renewAll();
  expect(renewAll).not.toHaveBeenCalled();
});
