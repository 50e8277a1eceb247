import { describe, expect, it } from "vitest";
import type { SessionLink } from "../../../src/protocol/index.ts";
import type { RegistryRecord } from "../../../src/server/backend/registry.ts";
import { ClientRecord } from "../../../src/server/hub/client-record.ts";
import { TokenBook } from "./token-book.ts";

const HOST = "cat1.test";
const BEN = new TokenBook().person("ben");

function recordOf(more: Partial<RegistryRecord> = {}): RegistryRecord {
  return {
    ...{ hostname: HOST, protocol: "http", clientId: "c1", ownerId: BEN.ownerId, ownerName: "ben", nodeId: "node-1" },
    ...{ nodeUrl: null, epoch: 1, state: "up", since: 0, expires: 0, wantsReports: false },
    ...more,
  } as RegistryRecord;
}

/** With its second link here, and the first at node-1. */
function linked(): ClientRecord {
  const client = new ClientRecord("c1", BEN, 0);
  client.wanted = [HOST];
  client.link = {} as SessionLink;
  client.heard(HOST, recordOf());
  return client;
}

const isGone = (nodeId: string): boolean => nodeId === "node-1";

describe("ClientRecord.orphans", () => {
  it("are its names at a hub that is gone, at the epoch that was heard of last", () => {
    const client = linked();
    expect(client.orphans(isGone)).toMatchObject([{ hostname: HOST, clientId: "c1", epoch: 1 }]);
    client.heard(HOST, recordOf({ epoch: 2 }));
    expect(client.orphans(isGone)).toMatchObject([{ epoch: 2 }]);
  });

  it.each<[string, (client: ClientRecord) => void]>([
    ["while that hub is there", (client) => client.heard(HOST, recordOf({ nodeId: "node-2" }))],
    ["when somebody else holds the name", (client) => client.heard(HOST, recordOf({ ownerId: "eva", epoch: 2 }))],
    ["when another client of its owner holds it", (client) => client.heard(HOST, recordOf({ clientId: "c2" }))],
    ["when nobody holds it", (client) => client.heard(HOST, null)],
    ["when it has closed the pipe", (client) => Object.assign(client, { wanted: ["dog1.test"] })],
  ])("are none %s", (_, change) => {
    const client = linked();
    change(client);
    expect(client.orphans(isGone)).toEqual([]);
  });

  it("are where the newest word has them, though an older one comes later", () => {
    const client = linked();
    client.heard(HOST, recordOf({ epoch: 3 }));
    client.heard(HOST, recordOf({ epoch: 2, nodeId: "node-2" }));
    expect(client.orphans(isGone)).toMatchObject([{ epoch: 3 }]);
  });

  it("are none of names that it does not want here", () => {
    const client = linked();
    client.heard("dog1.test", recordOf({ hostname: "dog1.test" }));
    expect(client.orphans(isGone)).toHaveLength(1);
  });
});

describe("ClientRecord's tally", () => {
  it("counts what it holds, held and asks for, until it leaves", () => {
    const tally = { count: 0 };
    const pipe = { name: "cat1", hostname: HOST, protocol: "http", url: "", epoch: 1 } as const;
    const [one, other] = [new ClientRecord("c1", BEN, 0, tally), new ClientRecord("c2", BEN, 0, tally)];
    one.wanted = [HOST];
    other.held = [pipe, pipe];
    expect(tally.count).toBe(3);
    one.held = [pipe];
    one.wanted = [];
    other.moved = [pipe];
    other.held = [];
    expect(tally.count).toBe(2);
    other.leaveTally();
    expect(tally.count).toBe(1);
    // What it gives back after its end.
    other.moved = [];
    expect(tally.count).toBe(1);
  });
});
