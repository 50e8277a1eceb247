// The lobby: how many places there are, and that one sender does not get them all.

import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { Lobby, senderOf } from "../../../src/server/hub/index.ts";

describe("Lobby", () => {
  it("gives a quarter to one sender, the rest to others, and a place back to who lost one", () => {
    const lobby = new Lobby({ maxSockets: 8 });
    const first = lobby.enter(new PassThrough(), "192.0.2.1");
    const places = [first, lobby.enter(new PassThrough(), "192.0.2.1")];
    const third = () => lobby.enter(new PassThrough(), "192.0.2.1");
    expect(third).toThrow(expect.objectContaining({ code: "DPX_UNAUTHENTICATED_LIMIT" }));
    places.push(lobby.enter(new PassThrough(), "192.0.2.2"));
    first.leave();
    first.leave();
    places.push(third());
    expect(third).toThrow("2 others from the same address");
    for (const place of places) place.leave();
    expect(lobby.size).toBe(0);
  });

  it("gives all to a peer that stands for many, and is not divided when it is small", () => {
    const lobby = new Lobby({ maxSockets: 8 });
    const places = Array.from({ length: 8 }, () => lobby.enter(new PassThrough()));
    expect(() => lobby.enter(new PassThrough())).toThrow("8 others");
    const small = new Lobby({ maxSockets: 7 });
    for (let at = 0; at < 7; at++) places.push(small.enter(new PassThrough(), "192.0.2.1"));
    expect(small.size).toBe(7);
    for (const place of places) place.leave();
  });
});

describe("A lobby that is full", () => {
  /** What each of `count` who find it full are told. */
  function sentAway(lobby: Lobby, count: number): number[] {
    return Array.from({ length: count }, () => {
      try {
        lobby.enter(new PassThrough());
      } catch (error) {
        return error instanceof DuplexityError ? (error.retryAfterMs ?? 0) : 0;
      }
      return 0;
    });
  }

  it("tells each to come a little later than the one before, so that no more come at once than there is room for", () => {
    const lobby = new Lobby({ maxSockets: 100, now: () => 0 });
    for (let at = 0; at < 100; at += 1) lobby.enter(new PassThrough());
    const waits = sentAway(lobby, 1_000);
    expect(waits[0]).toBe(1_010);
    expect(waits.at(-1)).toBe(11_000);
    const perSecond = new Map<number, number>();
    for (const ms of waits) perSecond.set(Math.floor(ms / 1_000), (perSecond.get(Math.floor(ms / 1_000)) ?? 0) + 1);
    expect(Math.max(...perSecond.values())).toBeLessThanOrEqual(100);
  });

  it("never says more than 30 s, and forgets a crowd when its time has passed", () => {
    let now = 0;
    const lobby = new Lobby({ maxSockets: 10, now: () => now });
    for (let at = 0; at < 10; at += 1) lobby.enter(new PassThrough());
    expect(sentAway(lobby, 1_000).at(-1)).toBe(30_000);
    now = 40_000;
    expect(sentAway(lobby, 1)).toEqual([1_100]);
  });
});

describe("senderOf", () => {
  it.each([
    ["192.0.2.1", "192.0.2.1"],
    ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8::1", "2001:db8:0:0::/64"],
    ["2001:db8:1:2::", "2001:db8:1:2::/64"],
    ["fe80::1:2:3:4", "fe80:0:0:0::/64"],
    ["::5", "0:0:0:0::/64"],
    ["1::2:3:4:5:6:7", "1:0:2:3::/64"],
  ])("%s counts for %s", (address, sender) => {
    expect(senderOf(address)).toBe(sender);
  });
});
