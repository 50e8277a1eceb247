// Which node has to answer what is asked of the server itself, as far as others have said that they are there.

import { describe, expect, it } from "vitest";
import type { NodeRecord } from "../../src/server/backend/index.ts";
import { OwnPlaces } from "../../src/server/own-places.ts";

const CONTROL = { path: "/control", nodeId: null };

function hub(nodeId: string, port: number, more: Partial<NodeRecord> = {}): NodeRecord {
  const internalUrl = `http://127.0.0.1:${port}`;
  return { nodeId, internalUrl, dialerUri: null, roles: ["hub"], isDraining: false, ...more };
}

function placesOf(...others: readonly NodeRecord[]): OwnPlaces {
  const own: NodeRecord = { ...hub("proxy-1", 7_000), roles: ["proxy"] };
  return new OwnPlaces({ nodeId: "proxy-1", roles: ["proxy"], secrets: [], nodes: () => [own, ...others] });
}

function idsOf(places: readonly NodeRecord[] | null): readonly string[] | undefined {
  return places?.map(({ nodeId }) => nodeId).sort();
}

describe("OwnPlaces", () => {
  it("sends nobody to a hub at whose address another one has come since", () => {
    const places = placesOf(hub("old-1", 7_001), hub("old-2", 7_002), hub("new-2", 7_002), hub("new-1", 7_001));
    expect(idsOf(places.elsewhere(CONTROL))).toEqual(["new-1", "new-2"]);
  });

  it("sends nobody to a hub at whose address there is a node without that role now", () => {
    const places = placesOf(hub("old-1", 7_001), hub("hub-2", 7_002), hub("new-1", 7_001, { roles: ["auth"] }));
    expect(idsOf(places.elsewhere(CONTROL))).toEqual(["hub-2"]);
  });

  it("sends a dialer to the node that has its control socket, and others to hubs that do not drain while there are some", () => {
    const places = placesOf(hub("hub-1", 7_001, { isDraining: true }), hub("hub-2", 7_002));
    expect(idsOf(places.elsewhere({ path: "/dialer", nodeId: "hub-1" }))).toEqual(["hub-1"]);
    expect(idsOf(places.elsewhere(CONTROL))).toEqual(["hub-2"]);
    expect(idsOf(placesOf(hub("hub-1", 7_001, { isDraining: true })).elsewhere(CONTROL))).toEqual(["hub-1"]);
  });

  it("says when there is no hub", () => {
    expect(() => placesOf().elsewhere(CONTROL)).toThrow(
      expect.objectContaining({ code: "DPX_SERVER_UNREACHABLE", message: expect.stringContaining("role hub") }),
    );
  });
});
