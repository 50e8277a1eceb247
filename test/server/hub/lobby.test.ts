// The lobby: how many places there are, and that one sender does not get them all.

import { PassThrough } from "node:stream";
import { describe, expect, it } from "vitest";
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
