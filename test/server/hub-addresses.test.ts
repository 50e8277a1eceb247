// Which hubs clients are told of.

import { describe, expect, it } from "vitest";
import type { NodeRecord } from "../../src/server/backend/index.ts";
import { dialersOf } from "../../src/server/hub-addresses.ts";

function node(number: number, more: Partial<NodeRecord> = {}): NodeRecord {
  return {
    ...{
      nodeId: `node-${number}`,
      internalUrl: `http://127.0.0.1:${7_000 + number}`,
      roles: ["hub"],
      isDraining: false,
    },
    dialerUri: `ws://node${number}.test/dialer`,
    ...more,
  };
}

describe("dialersOf", () => {
  const nodes = [node(1, { load: "busy" }), node(2, { load: "overloaded" }), node(3, { load: "normal" }), node(4)];

  it("names those with little to do first, and none that is overloaded", () => {
    expect(dialersOf(nodes, ["normal", "busy"])).toEqual([
      "ws://node3.test/dialer",
      "ws://node4.test/dialer",
      "ws://node1.test/dialer",
    ]);
    expect(dialersOf(nodes, ["normal"])).not.toContain("ws://node1.test/dialer");
  });

  it("leaves out nodes that no client can reach, and more than a message has room for", () => {
    expect(dialersOf([node(1, { dialerUri: null })], ["normal"])).toEqual([]);
    const many = Array.from({ length: 100 }, (_, number) => node(number));
    expect(dialersOf(many, ["normal"])).toHaveLength(64);
  });
});
