// What a hub passes on, byte for byte, and how little of it may wait there.

import { afterEach, describe, expect, it, vi } from "vitest";
import { DuplexityError } from "../../../src/protocol/index.ts";
import { LeftSessions } from "../../../src/server/peer/left-sessions.ts";
import { PEER_PAUSE_BYTES, PEER_QUEUE_BYTES, RELAY_WINDOW_BYTES } from "../../../src/server/peer/limits.ts";
import { Relay } from "../../../src/server/peer/relay.ts";
import { fakeSessionLink, packetOf } from "./fake-link.ts";

const endings: (() => void)[] = [];
afterEach(() => {
  vi.useRealTimers();
  for (const end of endings.splice(0)) end();
});

const LEFT_MS = 30_000;

function start(id = 77, client = fakeSessionLink(), left = new LeftSessions(LEFT_MS)) {
  const peer = fakeSessionLink();
  const credits: number[] = [];
  const ended: DuplexityError[] = [];
  const relay = new Relay({
    ...{ id, peer: peer.link, left },
    onCredit: (bytes) => credits.push(bytes),
    onEnded: (error) => ended.push(error),
  });
  relay.start(client.link);
  const over = new DuplexityError("DPX_CANCELLED", "The test is over");
  endings.push(() => {
    peer.link.abort(over);
    client.link.abort(over);
  });
  return { peer, client, credits, ended, relay, left };
}

describe("Relay", () => {
  it("passes packets of its session on as they are, both ways, in pieces or whole", () => {
    const { peer, client } = start();
    const small = packetOf(1, 77, 100);
    const large = packetOf(1, 77, 100_000);
    peer.link.onPacket(small);
    peer.link.onPacket(large.subarray(0, 70), [large.subarray(70, 500), large.subarray(500)]);
    expect(client.fake.sent).toEqual([small, large]);
    client.link.onPacket(small);
    client.link.onPacket(large.subarray(0, 70), [large.subarray(70)]);
    client.link.onPacket(packetOf(2, 77));
    expect(peer.fake.sent).toEqual([small, large, packetOf(2, 77)]);
  });

  it("passes nothing on of a session that the client names and that is not on its link", () => {
    const mine = start(77);
    const other = start(78);
    for (const kind of [1, 2, 4]) mine.client.link.onPacket(packetOf(kind, 78, kind === 4 ? 2 : 0));
    expect([mine.peer.fake.sent, other.peer.fake.sent]).toEqual([[], []]);
    mine.peer.link.onPacket(packetOf(1, 78));
    expect([mine.client.fake.sent, other.client.fake.sent]).toEqual([[], []]);
  });

  it("gives credit for what has gone on, in pieces of a quarter of the window", () => {
    const { peer, credits } = start();
    for (let count = 0; count < 10; count += 1) peer.link.onPacket(packetOf(1, 77, 65_516));
    expect(credits).toEqual([131_072, 131_072, 131_072, 131_072, 131_072]);
  });

  it("gives none while the client's link is slow, and all of it when that has drained", () => {
    const { peer, client, credits } = start();
    client.fake.bufferedBytes = 300_000;
    for (let count = 0; count < 8; count += 1) peer.link.onPacket(packetOf(1, 77, 65_516));
    expect(credits).toEqual([]);
    client.fake.bufferedBytes = 0;
    client.link.onDrain();
    expect(credits).toEqual([RELAY_WINDOW_BYTES]);
  });

  it("ends when the node sends more than was agreed on", () => {
    const { peer, client, ended } = start();
    client.fake.bufferedBytes = 300_000;
    for (let count = 0; count < 20; count += 1) peer.link.onPacket(packetOf(1, 77, 65_516));
    expect(ended).toMatchObject([{ code: "DPX_LINK_QUEUE" }]);
    expect(client.fake.sent.length * 65_536).toBeLessThanOrEqual(RELAY_WINDOW_BYTES + 524_288);
    expect(client.fake.closed).toBeNull();
  });

  const pauses = ({ fake }: ReturnType<typeof fakeSessionLink>) =>
    fake.frames.filter(([type]) => type > 18).map(([type, payload]) => [type, payload.readUIntBE(0, 6)]);

  it("asks the client to pause the session while much waits for the node, once, and to go on when that has gone", () => {
    const { peer, client } = start(77, fakeSessionLink({ canPause: true }));
    const other = start(78, client);
    client.link.onPacket(packetOf(1, 77, 10));
    peer.fake.bufferedBytes = PEER_PAUSE_BYTES + 1;
    for (let count = 0; count < 3; count += 1) client.link.onPacket(packetOf(1, 77, 10));
    client.link.onPacket(packetOf(1, 78, 10));
    expect(pauses(client)).toEqual([[19, 77]]);
    peer.fake.bufferedBytes = 0;
    peer.link.onDrain();
    peer.link.onDrain();
    expect(pauses(client)).toEqual([
      [19, 77],
      [20, 77],
    ]);
    expect([peer.fake.sent.length, other.peer.fake.sent.length]).toEqual([4, 1]);
  });

  it("does not ask a client that would not understand it", () => {
    const { peer, client } = start();
    peer.fake.bufferedBytes = PEER_PAUSE_BYTES + 1;
    client.link.onPacket(packetOf(1, 77, 10));
    expect([pauses(client), peer.fake.sent.length]).toEqual([[], 1]);
  });

  it("ends when too much waits for the node, and leaves the client's link to the others", () => {
    const { peer, client, ended } = start();
    peer.fake.bufferedBytes = PEER_QUEUE_BYTES + 1;
    client.link.onPacket(packetOf(1, 77, 10));
    expect(ended).toMatchObject([{ code: "DPX_LINK_QUEUE" }]);
    expect([peer.fake.sent, client.fake.closed]).toEqual([[], null]);
  });

  it("tells why the client's link went, and passes nothing on from then on", () => {
    const { peer, client, ended } = start();
    client.link.abort(new DuplexityError("DPX_KICKED", "out"));
    expect(ended).toMatchObject([{ code: "DPX_KICKED" }]);
    peer.link.onPacket(packetOf(1, 77));
    expect(client.fake.sent).toEqual([]);
  });

  it("tells the round trip again when it has changed by more than a quarter", () => {
    const { client, credits, relay } = start();
    client.link.rttMs = 100;
    relay.updateRtt();
    client.link.rttMs = 120;
    relay.updateRtt();
    expect(credits).toEqual([0]);
  });

  it.each([
    ["the node has ended it", ({ relay }: ReturnType<typeof start>) => relay.end()],
    [
      "the node's socket is gone",
      ({ peer }: ReturnType<typeof start>) => peer.link.abort(new DuplexityError("DPX_LINK_DEAD", "gone")),
    ],
    [
      "the hub has ended it",
      ({ peer, client }: ReturnType<typeof start>) => {
        peer.fake.bufferedBytes = PEER_QUEUE_BYTES + 1;
        client.link.onPacket(packetOf(1, 77, 10));
      },
    ],
  ])("lets the client's session end when %s and no node comes back for it", (_how, end) => {
    vi.useFakeTimers();
    const made = start();
    end(made);
    vi.advanceTimersByTime(LEFT_MS - 1);
    expect(made.client.fake.sent).toEqual([]);
    vi.advanceTimersByTime(1);
    const [close] = made.client.fake.sent;
    expect([close?.[0], close?.readUIntBE(2, 6), close?.toString("utf8", 22)]).toEqual([
      ...[4, 77, "No node has this session any more"],
    ]);
  });

  it("ends no session that its node has come back for, however often it went", () => {
    vi.useFakeTimers();
    const first = start();
    const { client, left } = first;
    first.relay.end();
    vi.advanceTimersByTime(LEFT_MS - 1);
    const second = start(77, client, left);
    second.relay.end();
    vi.advanceTimersByTime(LEFT_MS - 1);
    expect(client.fake.sent).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(client.fake.sent.map((packet) => packet[0])).toEqual([4]);
  });
});
