// Replies in parts, of as many nodes and to as many requests as there may be.

import { describe, expect, it } from "vitest";
import { partsOf, ReplyParts } from "../../../src/server/backend/reply-parts.ts";

/** As many of the longest replies have room at once. */
const ROOM = 11;
/** 32 parts. */
const LONGEST = partsOf("x".repeat(32 * 184_320 - 2));

function begin(parts: ReplyParts, id: string, from: string, some = LONGEST.slice(0, -1)): void {
  for (const { part, body } of some) expect(parts.add({ id, from }, part, body)).toBeNull();
}

function finish(parts: ReplyParts, id: string, from: string): { readonly body: unknown } | null {
  const [last] = LONGEST.slice(-1);
  return last === undefined ? null : parts.add({ id, from }, last.part, last.body);
}

describe("ReplyParts", () => {
  it("keeps 64 MiB and no more, whatever requests and nodes they are of, and finishes what it has begun", () => {
    const parts = new ReplyParts();
    for (let node = 0; node < ROOM; node += 1) begin(parts, `request-${node % 2}`, `node-${node}`, LONGEST.slice(0, 1));
    begin(parts, "request-3", "node-late");
    expect(finish(parts, "request-3", "node-late")).toBeNull();
    for (let node = 0; node < ROOM; node += 1) {
      begin(parts, `request-${node % 2}`, `node-${node}`);
      expect(finish(parts, `request-${node % 2}`, `node-${node}`)).not.toBeNull();
    }
    begin(parts, "request-3", "node-late");
    expect(finish(parts, "request-3", "node-late")).not.toBeNull();
  });

  it("has room again for what was kept of a request for which nobody waits any more", () => {
    const parts = new ReplyParts();
    for (let node = 0; node < ROOM; node += 1) begin(parts, "request-1", `node-${node}`);
    parts.forget("request-1");
    for (let node = 0; node < ROOM; node += 1) begin(parts, "request-2", `node-${node}`);
    for (let node = 0; node < ROOM; node += 1) expect(finish(parts, "request-2", `node-${node}`)).not.toBeNull();
  });

  it("takes the room of a node's reply once, also when that begins another one", () => {
    const parts = new ReplyParts();
    const other = partsOf("y".repeat(1_000_000));
    for (let round = 0; round < ROOM * 2; round += 1) {
      begin(parts, "request-1", "node-1");
      begin(parts, "request-1", "node-1", other.slice(0, 1));
    }
    begin(parts, "request-1", "node-1");
    expect(finish(parts, "request-1", "node-1")).not.toBeNull();
  });

  it("refuses a part that is longer than one", () => {
    const parts = new ReplyParts();
    const body = Buffer.alloc(184_321).toString("base64");
    expect(() => parts.add({ id: "request-1", from: "node-1" }, { index: 0, of: 2 }, body)).toThrow("184320 bytes");
  });
});
