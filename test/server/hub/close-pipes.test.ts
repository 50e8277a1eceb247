// A client gives some of its pipes up: what the hub does with those, and leaves of the others.

import { describe, expect, it } from "vitest";
import { useStage } from "../../support/stage.ts";
import { type HandClient, type HubStage, startHub } from "./stage.ts";

const stage = useStage();

async function started(): Promise<{ hub: HubStage; client: HandClient }> {
  const hub = await startHub(stage);
  const client = hub.client();
  await client.up("one", "two", "three");
  return { hub, client };
}

function close(client: HandClient, names: readonly string[], clientId = client.clientId): void {
  client.control?.send({ type: "closePipesRequest", clientId, names });
}

function isUp({ hub }: HubStage, name: string): boolean {
  return hub.routes.locate(`${name}.test`) !== null;
}

describe("closePipesRequest", () => {
  it("frees those names at once and keeps session, link and the others", async () => {
    const { hub, client } = await started();
    close(client, ["one", "three"]);
    expect((await client.control?.next("pipesAreClosedResponse"))?.names).toEqual(["one", "three"]);
    expect(["one", "two", "three"].map((name) => isUp(hub, name))).toEqual([false, true, false]);
    expect([client.link?.isOpen, client.sessions[0]?.isClosed]).toEqual([true, false]);
    expect(hub.hub.statistics).toMatchObject({ clients: 1, controls: 1, routes: 1 });
  });

  it("ignores names that the client does not hold, and names of others", async () => {
    const { hub, client } = await started();
    const other = hub.client();
    await other.up("four");
    close(client, ["four", "five", "one"]);
    expect((await client.control?.next("pipesAreClosedResponse"))?.names).toEqual(["one"]);
    close(client, ["one"]);
    expect((await client.control?.next("pipesAreClosedResponse"))?.names).toEqual([]);
    expect(isUp(hub, "four")).toBe(true);
  });

  it("for another client is refused", async () => {
    const { hub, client } = await started();
    const other = hub.client();
    await other.up("four");
    close(client, ["four"], other.clientId);
    expect(await client.control?.next("error")).toMatchObject({ code: "DPX_CLIENT_ID" });
    expect(isUp(hub, "four")).toBe(true);
  });

  it("leaves the names to their owner, who may open them again", async () => {
    const { hub, client } = await started();
    close(client, ["one"]);
    await client.control?.next("pipesAreClosedResponse");
    expect((await hub.client().up("one")).pipes).toMatchObject([{ code: "DPX_NAME_TAKEN" }]);
    expect((await hub.client({ key: client.key }).up("one")).pipes).toMatchObject([{ status: "registered" }]);
    expect(isUp(hub, "two")).toBe(true);
  });
});
