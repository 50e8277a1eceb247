// How fast streams go and what they cost: windows that follow the round trip, bounds on what stalled readers hold, and
// turns that keep one stream's bulk from holding up another's few bytes.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { LINK_HIGH_WATER_BYTES, type Stream, type StreamHandler } from "../../src/protocol/index.ts";
import { SESSION_WINDOW_SLACK_BYTES } from "../../src/protocol/limits.ts";
import { pass, passUntil, resumeTime, stopTime } from "./support/fake-time.ts";
import { frames, RawPeer } from "./support/raw-peer.ts";
import { REQUEST, SessionPair } from "./support/session-pair.ts";

const MIB = 1_048_576;
const CHUNK = Buffer.alloc(262_144, 0x64);

beforeEach(stopTime);
afterEach(resumeTime);

/** Writes as much as it may, and counts what it reads. */
class Bulk implements StreamHandler {
  stream: Stream | undefined;
  isWriting = false;
  isStalled = false;
  writtenBytes = 0;
  receivedBytes = 0;
  heldBytes = 0;
  isReset = false;
  hasEnded = false;

  start(stream: Stream): void {
    this.stream = stream;
    stream.handler = this;
  }
  writeOn(): void {
    this.isWriting = true;
    for (let count = 0; count < 1_000; count += 1) {
      this.writtenBytes += CHUNK.length;
      if (this.stream?.write(CHUNK) !== true) return;
    }
    throw new Error("write() never says no");
  }
  readOn(): void {
    this.isStalled = false;
    const bytes = this.heldBytes;
    this.heldBytes = 0;
    this.stream?.consume(bytes);
  }
  onAccept(): void {}
  onData(chunk: Buffer): void {
    this.receivedBytes += chunk.length;
    this.heldBytes += chunk.length;
    if (!this.isStalled) this.readOn();
  }
  onEnd(): void {
    this.hasEnded = true;
  }
  onDrain(): void {
    if (this.isWriting) this.writeOn();
  }
  onReset(): void {
    this.isReset = true;
  }
}

function bulkPair(options: { windowGrowthBytes?: number; windowBytes?: number } = {}) {
  const accepted: Bulk[] = [];
  const pair = new SessionPair({
    openerLimits: options,
    acceptorLimits: options,
    onOpen(stream) {
      const bulk = new Bulk();
      bulk.start(stream);
      accepted.push(bulk);
      stream.accept();
    },
  });
  const open = (): Bulk => {
    const bulk = new Bulk();
    bulk.start(pair.opener.open(REQUEST, bulk));
    return bulk;
  };
  return { pair, accepted, open };
}

function openMany(count: number, open: () => Bulk): Bulk[] {
  return Array.from({ length: count }, open);
}

describe("Session", () => {
  it.each(["opener", "acceptor"] as const)("lets one stream of the %s reach 100 MB/s at 100 ms", (writer) => {
    const { pair, accepted, open } = bulkPair();
    pair.connect(50, 150_000);
    const near = open();
    passUntil(() => accepted.length === 1);
    const far = accepted[0] ?? new Bulk();
    const [from, to] = writer === "opener" ? [near, far] : [far, near];
    from.writeOn();
    pass(2_000);
    const before = to.receivedBytes;
    pass(1_000);
    expect(to.receivedBytes - before).toBeGreaterThan(100_000_000);
    pair.dispose();
  });

  it("leaves a window as it is while its reader takes longer than two round trips for half of it", () => {
    const { pair, accepted, open } = bulkPair();
    pair.connect(5, 150_000);
    const near = open();
    passUntil(() => accepted.length === 1);
    const far = accepted[0] ?? new Bulk();
    near.isStalled = true;
    far.writeOn();
    for (let turn = 0; turn < 40; turn += 1) {
      pass(100);
      expect(near.heldBytes).toBe(262_144);
      near.readOn();
      near.isStalled = true;
    }
    pair.dispose();
  });

  it("makes a stalled reader cost its own window only, and lets its neighbours go on", () => {
    const { pair, accepted, open } = bulkPair();
    pair.connect(1, 150_000);
    const [stalled, neighbour] = [open(), open()];
    passUntil(() => accepted.length === 2);
    stalled.isStalled = true;
    for (const far of accepted) far.writeOn();
    pass(1_000);
    expect(stalled.receivedBytes).toBe(262_144);
    expect(neighbour.receivedBytes).toBeGreaterThan(50 * MIB);
    const before = neighbour.receivedBytes;
    pass(1_000);
    expect(stalled.receivedBytes).toBe(262_144);
    expect(neighbour.receivedBytes - before).toBeGreaterThan(50 * MIB);
    // It loses nothing by that, and goes on when it reads again.
    stalled.readOn();
    pass(100);
    expect(stalled.receivedBytes).toBeGreaterThan(262_144);
    pair.dispose();
  });

  it("sends no DATA of a session that the other end has paused, until it is unpaused or on another link", () => {
    const { pair, accepted, open } = bulkPair();
    const { opener: hub } = pair.connect(5, 150_000, { canPause: true });
    const [near, heard] = [open(), open()];
    passUntil(() => accepted.length === 2);
    const [far, teller] = accepted;
    far?.writeOn();
    pass(100);
    expect(near.receivedBytes).toBeGreaterThan(0);
    hub.setPaused(pair.opener.id, true);
    pass(100);
    const before = near.receivedBytes;
    // What is no DATA goes on: the other direction's windows, an end, and what the opener says.
    teller?.stream?.end();
    heard.stream?.write(CHUNK);
    pass(500);
    expect([near.receivedBytes, teller?.receivedBytes, heard.hasEnded]).toEqual([before, CHUNK.length, true]);
    hub.setPaused(pair.opener.id, false);
    pass(100);
    expect(near.receivedBytes).toBeGreaterThan(before);
    hub.setPaused(pair.opener.id, true);
    pass(100);
    const paused = near.receivedBytes;
    pair.connect(5, 150_000);
    pass(100);
    expect(near.receivedBytes).toBeGreaterThan(paused);
    pair.dispose();
  });

  it("bounds by how much all windows grow together, and leaves something to those that come later", () => {
    const { pair, accepted, open } = bulkPair({ windowGrowthBytes: 4 * MIB });
    pair.connect(50, 1_000_000);
    const first = open();
    passUntil(() => accepted.length === 1);
    accepted[0]?.writeOn();
    pass(3_000);
    const rest = openMany(7, open);
    passUntil(() => accepted.length === 8);
    for (const far of accepted.slice(1)) far.writeOn();
    pass(3_000);
    const all = [first, ...rest];
    for (const bulk of all) bulk.isStalled = true;
    pass(3_000);
    const held = all.map((bulk) => bulk.heldBytes);
    expect(held.reduce((sum, bytes) => sum + bytes, 0)).toBeLessThanOrEqual(8 * 262_144 + 4 * MIB);
    expect(held[0]).toBeGreaterThan(3 * MIB - 262_144);
    expect(held[1]).toBeGreaterThan(262_144);
    pair.dispose();
  });

  it.each(["end", "reset", "the peer's reset"])("gives growth back after %s", (how) => {
    const { pair, accepted, open } = bulkPair({ windowGrowthBytes: 4 * MIB });
    pair.connect(50, 1_000_000);
    for (let round = 0; round < 4; round += 1) {
      const near = open();
      passUntil(() => accepted.length === round + 1);
      const far = accepted[round] ?? new Bulk();
      far.writeOn();
      pass(3_000);
      near.isStalled = true;
      pass(1_000);
      expect(near.heldBytes).toBeGreaterThan(3 * MIB - 262_144);
      expect(near.heldBytes).toBeLessThanOrEqual(3 * MIB + 262_144);
      far.isWriting = false;
      near.readOn();
      pass(1_000);
      if (how === "reset") near.stream?.reset("DPX_CANCELLED");
      else if (how === "the peer's reset") far.stream?.reset("DPX_CANCELLED");
      else {
        far.stream?.end();
        near.stream?.end();
      }
      passUntil(() => pair.opener.openStreams + pair.acceptor.openStreams === 0);
    }
    pair.dispose();
  });

  it("starts with smaller windows the more streams are open", () => {
    const peer = RawPeer.live({ role: "opener" });
    for (let id = 1; id <= 520; id += 1) peer.session.open(REQUEST, new Bulk());
    pass(20);
    const windows = peer.frames.filter(({ type }) => type === 1).map(({ payload }) => payload.readUInt32BE(0));
    expect(new Set(windows.slice(0, 16))).toEqual(new Set([262_144]));
    expect(new Set(windows.slice(16, 512))).toEqual(new Set([65_536]));
    expect(new Set(windows.slice(512))).toEqual(new Set([16_384]));
    peer.dispose();

    const acceptor = RawPeer.live({ role: "acceptor", onOpen: (stream) => stream.accept() });
    for (let id = 1; id <= 66; id += 1) acceptor.send(frames.open(id));
    const credits = acceptor.frames.filter(({ type }) => type === 2).map(({ payload }) => payload.readUInt32BE(0));
    expect(new Set(credits.slice(0, 15))).toEqual(new Set([196_608]));
    expect(new Set(credits.slice(15))).toEqual(new Set([0]));
    acceptor.dispose();
  });

  it("puts a few bytes of one stream behind no more than the link's high water and a turn of another's bulk", () => {
    const { pair, accepted, open } = bulkPair();
    const { right } = pair.connect(1, 2_000);
    const [bulk, small] = [open(), open()];
    passUntil(() => accepted.length === 2);
    const [bulkEnd, smallEnd] = accepted;
    bulkEnd?.writeOn();
    for (let round = 0; round < 20; round += 1) {
      pass(37 * round);
      const before = right.sentBytes;
      const received = small.receivedBytes;
      smallEnd?.stream?.write("x");
      passUntil(() => small.receivedBytes > received, 60_000, 1);
      expect(right.sentBytes - before).toBeLessThan(LINK_HIGH_WATER_BYTES + 131_072 + 2 * 65_536 + 2_000 * 2);
    }
    expect(bulk.receivedBytes).toBeGreaterThan(10 * MIB);
    pair.dispose();
  });

  it("holds DATA back while the link is congested, lets all else pass, and goes on when it has drained", () => {
    const { pair, accepted, open } = bulkPair();
    const { right } = pair.connect(1, 1_000);
    // Enough credit together to fill the link's queue.
    const all = openMany(8, open);
    passUntil(() => accepted.length === 8);
    for (const far of accepted) far.writeOn();
    passUntil(() => right.bufferedBytes > LINK_HIGH_WATER_BYTES, 60_000, 1);
    const other = open();
    passUntil(() => accepted.length === 9, 60_000, 1);
    expect(accepted[8]?.stream?.write("x")).toBe(false);
    accepted[8]?.stream?.reset("DPX_TARGET_BROKE");
    let most = 0;
    for (let turn = 0; turn < 5_000; turn += 1) {
      pass(1);
      most = Math.max(most, right.bufferedBytes);
    }
    expect(most).toBeLessThan(LINK_HIGH_WATER_BYTES + 131_072 + 65_536 + 10_000);
    expect(other.isReset).toBe(true);
    expect(other.receivedBytes).toBe(0);
    const received = () => all.reduce((sum, bulk) => sum + bulk.receivedBytes, 0);
    const before = received();
    pass(1_000);
    expect(received() - before).toBeGreaterThan(900_000);
    pair.dispose();
  });

  it("takes turns: streams with bulk get the same share", () => {
    const { pair, accepted, open } = bulkPair();
    pair.connect(5, 10_000);
    const all = openMany(5, open);
    passUntil(() => accepted.length === 5);
    for (const far of accepted) far.writeOn();
    pass(10_000);
    const received = all.map((bulk) => bulk.receivedBytes);
    expect(Math.min(...received) / Math.max(...received)).toBeGreaterThan(0.7);
    pair.dispose();
  });

  it("stops sending DATA to a peer that never acknowledges, at the session's window", () => {
    const peer = RawPeer.live({ role: "opener", limits: { windowBytes: MIB } });
    const bulk = new Bulk();
    bulk.start(peer.session.open(REQUEST, bulk));
    pass(5);
    peer.send(frames.accept(1, 2_000_000_000));
    bulk.writeOn();
    pass(1_000);
    const most = MIB + 131_072 + 65_536;
    expect(peer.session.bufferedBytes).toBeGreaterThanOrEqual(MIB);
    expect(peer.session.bufferedBytes).toBeLessThan(most);
    pass(8_000);
    expect(peer.session.bufferedBytes).toBeLessThan(most);
    expect(peer.closed).toBeNull();
    // An acknowledgement, and it goes on.
    const before = peer.received;
    peer.ack();
    pass(10);
    expect(peer.received).toBeGreaterThan(before);
    peer.dispose();
  });

  it("ends with DPX_SESSION_WINDOW when the rest of what is kept passes the slack above the window", () => {
    const peer = RawPeer.live({ role: "opener", limits: { windowBytes: MIB } });
    const request = { ...REQUEST, hostname: "h".repeat(255), visitor: "v".repeat(255) };
    for (let count = 0; count < 20_000 && peer.closed === null; count += 1) {
      peer.session.open(request, new Bulk()).reset("DPX_CANCELLED");
      if (count % 100 === 0) pass(10);
    }
    pass(10);
    expect(peer.closed).toMatchObject({ code: "DPX_SESSION_WINDOW" });
    expect(peer.closed?.message).toMatch(/^The peer left 5\d{6} bytes unacknowledged, at most 1048576 are kept$/);
    expect(peer.close).toEqual({ code: "DPX_SESSION_WINDOW", message: peer.closed?.message });
    expect(peer.session.bufferedBytes).toBe(0);
    peer.dispose();
  });

  it("tells the peer once when it passes its bound in the very moment in which it is closed", () => {
    const peer = RawPeer.live({ role: "opener", limits: { windowBytes: -SESSION_WINDOW_SLACK_BYTES } });
    peer.session.open(REQUEST, new Bulk());
    peer.session.close("DPX_REPLACED", "taken");
    pass(10);
    expect(peer.closed?.code).toBe("DPX_SESSION_WINDOW");
    expect(peer.packets.filter((packet) => packet[0] === 4)).toHaveLength(1);
    expect(peer.close?.code).toBe("DPX_SESSION_WINDOW");
    peer.dispose();
  });

  it("ends with DPX_SESSION_WINDOW when the ends of too many streams stay unacknowledged", () => {
    const peer = RawPeer.live({ role: "acceptor", limits: { maxOpensPerSecond: 1 } });
    for (let first = 1; first < 70_000 && peer.closed === null; first += 1_000) {
      const opens = Array.from({ length: 1_000 }, (_, index) => frames.open(first + index));
      peer.sendAs(peer.seq, 0, ...opens);
      peer.seq += 1;
    }
    expect(peer.closed).toMatchObject({
      code: "DPX_SESSION_WINDOW",
      message: "The peer left the ends of 66000 streams unacknowledged",
    });
    peer.dispose();
  });

  it("takes a write that is larger than the session's window in turns, whatever credit there is", () => {
    const peer = RawPeer.live({ role: "opener", limits: { windowBytes: MIB } });
    const stream = peer.session.open(REQUEST, new Bulk());
    pass(5);
    peer.send(frames.accept(1, 2_000_000_000));
    expect(stream.write(Buffer.alloc(32 * MIB))).toBe(false);
    pass(100);
    expect(peer.session.bufferedBytes).toBeLessThan(MIB + 131_072 + 65_536);
    expect(peer.closed).toBeNull();
    peer.dispose();
  });

  it("gives no credit for a direction that has ended", () => {
    const streams: Stream[] = [];
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => streams.push(stream) });
    peer.send(frames.open(1), frames.data(1, 60_000), frames.fin(1));
    streams[0]?.consume(60_000);
    pass(20);
    expect(peer.frames).toEqual([]);
    peer.dispose();
  });

  it("takes a write that is larger than the session's window in turns", () => {
    const { pair, accepted, open } = bulkPair({ windowBytes: MIB });
    pair.connect(1, 1_000_000);
    const near = open();
    passUntil(() => accepted.length === 1);
    expect(near.stream?.write(Buffer.alloc(32 * MIB, 0x64))).toBe(false);
    let most = 0;
    for (let turn = 0; turn < 2_000; turn += 1) {
      pass(1);
      most = Math.max(most, pair.opener.bufferedBytes);
    }
    expect(most).toBeLessThan(MIB + 131_072 + 65_536);
    passUntil(() => accepted[0]?.receivedBytes === 32 * MIB);
    expect(pair.openerClosed).toBeNull();
    pair.dispose();
  });
});
