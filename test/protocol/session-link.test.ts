// One link: it notices its own death, measures its round trip, and keeps its sessions apart.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DuplexityError, Session, SessionLink, type SessionLinkOptions } from "../../src/protocol/index.ts";
import { LINK_HEADROOM_BYTES } from "../../src/protocol/limits.ts";
import { PacketKind } from "../../src/protocol/packet.ts";
import { pass, passUntil, pendingTimers, resumeTime, sleep, stopTime } from "./support/fake-time.ts";
import { frame, header, uint32 } from "./support/raw-peer.ts";
import { HEARTBEAT, SessionPair } from "./support/session-pair.ts";
import { type SimLink, simLinks } from "./support/sim-link.ts";

beforeEach(stopTime);
afterEach(resumeTime);

/** A SessionLink, its raw other end, and what it was told. */
function single(options: Partial<SessionLinkOptions> = {}) {
  const [far, near] = simLinks();
  const packets: Buffer[] = [];
  far.handler = { onPacket: (packet) => packets.push(packet), onDrain() {}, onClose() {} };
  const closed: DuplexityError[] = [];
  const link = new SessionLink(near, { heartbeat: HEARTBEAT, onClose: (error) => closed.push(error), ...options });
  pass(5);
  return { far, near, link, packets, closed };
}

/** Two SessionLinks that talk to each other, and when each was closed. */
function double(delayMs = 0) {
  const [left, right] = simLinks(delayMs);
  const closed = new Map<SimLink, { readonly error: DuplexityError; readonly at: number }>();
  const linkOf = (end: SimLink) =>
    new SessionLink(end, {
      heartbeat: HEARTBEAT,
      onClose: (error) => closed.set(end, { error, at: performance.now() }),
    });
  return { left, right, leftLink: linkOf(left), rightLink: linkOf(right), closed };
}

const LINK_FRAME = (type: number, payload: Buffer) => Buffer.concat([header(5, 0, 0, 0), frame(type, 0, payload)]);

describe("SessionLink", () => {
  it.each<readonly [string, string, RegExp, Buffer]>([
    ["a packet of 0 bytes", "DPX_PACKET_INVALID", /^Packet of 0 bytes is shorter/, Buffer.alloc(0)],
    ["a packet of 19 bytes", "DPX_PACKET_INVALID", /^Packet of 19 bytes is shorter/, Buffer.alloc(19, 1)],
    ["kind 0", "DPX_PACKET_INVALID", /^Packet starts with 0 0, expected a kind/, header(0, 1, 0, 0)],
    ["kind 6", "DPX_PACKET_INVALID", /^Packet starts with 6 0, expected a kind/, header(6, 1, 0, 0)],
    [
      "a reserved bit",
      "DPX_PACKET_INVALID",
      /^Packet starts with 1 128, expected a kind/,
      Buffer.concat([Buffer.from([1, 128]), Buffer.alloc(18)]),
    ],
    [
      "a packet of 524,289 bytes",
      "DPX_PACKET_TOO_LARGE",
      /^Packet of 524289 bytes came, at most 524288/,
      Buffer.concat([header(1, 1, 0, 0), Buffer.alloc(524_269)]),
    ],
    ["a LINK packet without a frame", "DPX_FRAME_INVALID", /must hold one whole frame/, header(5, 0, 0, 0)],
    [
      "PAUSE from one that passes nothing on",
      "DPX_FRAME_INVALID",
      /type 19 with 6 bytes/,
      LINK_FRAME(19, Buffer.alloc(6)),
    ],
    [
      "a LINK frame that is cut off",
      "DPX_FRAME_INVALID",
      /must hold one whole frame/,
      LINK_FRAME(16, Buffer.alloc(8)).subarray(0, 30),
    ],
    [
      "two LINK frames in one packet",
      "DPX_FRAME_INVALID",
      /must hold one whole frame/,
      Buffer.concat([LINK_FRAME(16, Buffer.alloc(8)), frame(16, 0, Buffer.alloc(8))]),
    ],
    ["PING of 7 bytes", "DPX_FRAME_INVALID", /type 16 with 7 bytes/, LINK_FRAME(16, Buffer.alloc(7))],
    ["PONG of 9 bytes", "DPX_FRAME_INVALID", /type 17 with 9 bytes/, LINK_FRAME(17, Buffer.alloc(9))],
    ["GOAWAY of 3 bytes", "DPX_FRAME_INVALID", /GOAWAY has 3 bytes/, LINK_FRAME(18, Buffer.alloc(3))],
    ["a session's frame on the link", "DPX_FRAME_INVALID", /type 3 with 1 bytes/, LINK_FRAME(3, Buffer.alloc(1))],
  ])("closes on %s with %s", (_what, code, message, packet) => {
    const { far, near, closed } = single();
    far.sendRaw(packet);
    pass(5);
    expect(closed).toEqual([expect.objectContaining({ name: "DuplexityError", code })]);
    expect(closed[0]?.message).toMatch(message);
    expect({ code: near.closeCode, reason: near.closeReason }).toEqual({ code, reason: closed[0]?.message });
    expect(pendingTimers()).toBe(0);
  });

  it("takes a packet of exactly 524,288 bytes", () => {
    const { far, link, closed } = single();
    far.sendRaw(Buffer.concat([header(1, 1, 0, 0), Buffer.alloc(524_268)]));
    pass(5);
    expect(closed).toEqual([]);
    expect(link.isOpen).toBe(true);
  });

  it("adds up the pieces of a packet that is too large", () => {
    const { far, closed } = single();
    far.pieceBytes = 65_536;
    far.sendRaw(Buffer.concat([header(1, 1, 0, 0), Buffer.alloc(524_269)]));
    pass(5);
    expect(closed).toMatchObject([{ code: "DPX_PACKET_TOO_LARGE" }]);
  });

  it("pings once when it comes up, and answers a ping with its own bytes", () => {
    const { far, packets } = single();
    expect(packets).toHaveLength(1);
    expect(packets[0]?.subarray(0, 21).toString("hex")).toBe(`05${"00".repeat(19)}10`);
    far.sendRaw(LINK_FRAME(16, Buffer.from("0123456789abcdef", "hex")));
    pass(5);
    expect(packets[1]?.toString("hex")).toBe(`05${"00".repeat(19)}11000008000000000123456789abcdef`);
  });

  it("notices within 15 s at both ends that nothing passes", () => {
    const { left, right, leftLink, rightLink, closed } = double(20);
    pass(100);
    left.isBlackHole = true;
    right.isBlackHole = true;
    pass(14_900);
    expect([leftLink.isOpen, rightLink.isOpen]).toEqual([true, true]);
    pass(100);
    expect([leftLink.isOpen, rightLink.isOpen]).toEqual([false, false]);
    for (const end of [left, right]) {
      expect(closed.get(end)?.error).toMatchObject({
        code: "DPX_LINK_DEAD",
        message: "Nothing came for 15 s, a ping stayed unanswered",
      });
    }
    expect(pendingTimers()).toBe(0);
  });

  it("notices within 15 s when only one direction is dead", () => {
    const { left, rightLink, closed, right } = double(20);
    pass(3_000);
    left.isBlackHole = true;
    pass(15_100);
    expect(rightLink.isOpen).toBe(false);
    expect(closed.get(right)?.error.code).toBe("DPX_LINK_DEAD");
    expect(closed.get(left)?.error.code).toBe("DPX_LINK_LOST");
  });

  it("stays up for hours of silence, with no more than a ping and a pong in 10 s at each end", () => {
    const { left, right, leftLink, rightLink } = double(20);
    pass(1_000);
    const before = left.sentPackets + right.sentPackets;
    pass(600_000);
    expect([leftLink.isOpen, rightLink.isOpen]).toEqual([true, true]);
    const packets = left.sentPackets + right.sentPackets - before;
    expect(packets).toBeGreaterThanOrEqual(60 * 2);
    expect(packets).toBeLessThanOrEqual(60 * 4 + 4);
  });

  it("takes any packet for a sign of life", () => {
    const { far, link } = single();
    for (let second = 0; second < 60; second += 1) {
      far.sendRaw(header(2, 1, 0, 0));
      pass(1_000);
    }
    expect(link.isOpen).toBe(true);
    pass(15_000);
    expect(link.isOpen).toBe(false);
  });

  it("pings a peer that sends but never answers, and does not give it up", () => {
    const { far, link, packets } = single();
    for (let second = 0; second < 100; second += 1) {
      far.sendRaw(header(2, 1, 0, 0));
      pass(1_000);
    }
    expect(link.isOpen).toBe(true);
    expect(packets.length).toBeGreaterThanOrEqual(5);
    expect(packets.length).toBeLessThanOrEqual(12);
  });

  it("asks once more after the process slept, and goes on when the peer answers", () => {
    const { leftLink, rightLink } = double(20);
    pass(9_000);
    sleep(3_600_000);
    pass(100_000);
    expect([leftLink.isOpen, rightLink.isOpen]).toEqual([true, true]);
  });

  it("gives up soon after the process slept when the peer does not answer", () => {
    const { far, link, closed } = single();
    far.sendRaw(header(2, 1, 0, 0));
    pass(5_000);
    sleep(3_600_000);
    pass(9_900);
    expect(link.isOpen).toBe(true);
    pass(200);
    expect(closed).toMatchObject([{ code: "DPX_LINK_DEAD" }]);
  });

  it("smooths the round trip with a gain of one eighth, from pongs to its latest ping", () => {
    const { left, right, leftLink } = double(50);
    expect(leftLink.rttMs).toBeNull();
    pass(110);
    expect(leftLink.rttMs).toBeGreaterThanOrEqual(100);
    expect(leftLink.rttMs).toBeLessThan(105);
    left.delayMs = 150;
    right.delayMs = 150;
    pass(11_000);
    expect(leftLink.rttMs).toBeGreaterThan(120);
    expect(leftLink.rttMs).toBeLessThan(130);
    right.sendRaw(LINK_FRAME(17, Buffer.alloc(8)));
    const before = leftLink.rttMs;
    pass(1_000);
    expect(leftLink.rttMs).toBe(before);
  });

  it("says how long a pong is outstanding, before it comes, and probes when it is told to", () => {
    const { left, right, leftLink } = double(5);
    pass(100);
    expect(Math.round(leftLink.latencyMs / 10)).toBe(1);
    left.delayMs = 1_500;
    right.delayMs = 1_500;
    leftLink.probe();
    leftLink.probe();
    pass(2_000);
    expect(Math.round(leftLink.latencyMs / 100)).toBe(20);
    pass(1_500);
    expect(Math.round(leftLink.latencyMs / 100)).toBe(30);
    expect(leftLink.movedBytes).toBe(0);
  });

  it("measures the round trip also while the link is busy", () => {
    const { left, right, leftLink } = double(5);
    pass(100);
    left.delayMs = 100;
    right.delayMs = 100;
    for (let tick = 0; tick < 2_000; tick += 1) {
      right.sendRaw(header(2, 1, 0, 0));
      pass(100);
    }
    expect(leftLink.rttMs).toBeGreaterThan(150);
  });

  it("tells the peer that it will close, within at most 2^32-1 ms", () => {
    const told: number[] = [];
    const { far, link, packets } = single({ onGoAway: (deadlineMs) => told.push(deadlineMs) });
    link.goAway(30_000);
    link.goAway(Number.POSITIVE_INFINITY);
    link.goAway(-1);
    pass(5);
    expect(packets.slice(1).map((packet) => packet.readUInt32BE(28))).toEqual([30_000, 4_294_967_295, 0]);
    for (const packet of packets.slice(1)) far.sendRaw(packet);
    pass(5);
    expect(told).toEqual([30_000, 4_294_967_295, 0]);
  });

  it("tells its sessions before its owner, with the same error, and leaves no timer", () => {
    const told: string[] = [];
    const pair = new SessionPair({
      openerOptions: { onDetached: (error) => told.push(`session ${error.code}`) },
      resumeWindowMs: 1_000,
    });
    const [left] = simLinks();
    const link = new SessionLink(left, { heartbeat: HEARTBEAT, onClose: (error) => told.push(`link ${error.code}`) });
    pair.opener.attach(link);
    link.abort(new DuplexityError("DPX_KICKED", "out"));
    link.abort(new DuplexityError("DPX_KICKED", "again"));
    link.close("DPX_KICKED", "again");
    expect(told).toEqual(["session DPX_KICKED", "link DPX_KICKED"]);
    pass(1_000);
    expect(pendingTimers()).toBe(0);
  });

  it("ignores packets of sessions that it does not carry", () => {
    const { far, link, packets, closed } = single({ acceptSession: () => null });
    for (const kind of [PacketKind.data, PacketKind.ack, PacketKind.close]) far.sendRaw(header(kind, 77, 5, 5));
    pass(100);
    expect(closed).toEqual([]);
    expect(link.isOpen).toBe(true);
    expect(packets).toHaveLength(1);
  });

  it("takes PAUSE of a session that has left it for late, and refuses one without a session", () => {
    const { far, link, closed } = single({ acceptSession: () => null });
    far.sendRaw(LINK_FRAME(19, Buffer.alloc(6, 7)));
    pass(5);
    expect([closed, link.isOpen]).toEqual([[], true]);
    far.sendRaw(LINK_FRAME(20, Buffer.alloc(5)));
    pass(5);
    expect(closed).toMatchObject([{ code: "DPX_FRAME_INVALID", message: "PAUSE has 5 bytes, expected 6" }]);
  });

  it("answers RESUME of an unknown session with CLOSE, and lets the others go on", () => {
    const { far, link, packets } = single({ acceptSession: () => null });
    far.sendRaw(Buffer.concat([header(3, 77, 0, 0), uint32(1)]));
    pass(5);
    expect(link.isOpen).toBe(true);
    const answer = packets.at(-1);
    expect(answer?.subarray(0, 22).toString("hex")).toBe(`0400${"00".repeat(5)}4d${"00".repeat(12)}0014`);
    expect(answer?.toString("utf8", 22)).toBe("Session 77 is not known here");
  });

  it("ignores RESUME on the opener's side: it answers one that the session left behind", () => {
    const { far, link, packets } = single();
    far.sendRaw(header(3, 77, 0, 0));
    pass(5);
    expect(link.isOpen).toBe(true);
    expect(packets).toHaveLength(1);
  });

  it("carries 256 sessions and refuses the next", () => {
    const sessions: Session[] = [];
    const { far, link, packets } = single({
      acceptSession: (id) => {
        const session = new Session({ role: "acceptor", id, onClose() {} });
        sessions.push(session);
        return session;
      },
    });
    for (let id = 1; id <= 257; id += 1) far.sendRaw(Buffer.concat([header(3, id, 0, 0), uint32(1)]));
    pass(5);
    expect(sessions.filter((session) => session.isLive)).toHaveLength(256);
    expect(packets.at(-1)?.[0]).toBe(PacketKind.close);
    expect(packets.at(-1)?.readUIntBE(2, 6)).toBe(257);
    expect(packets.at(-1)?.readUInt16BE(20)).toBe(20);
    // One that goes makes room.
    sessions[0]?.close("DPX_CANCELLED", "done");
    far.sendRaw(Buffer.concat([header(3, 258, 0, 0), uint32(1)]));
    pass(5);
    expect(sessions.at(-1)).toMatchObject({ id: 258, isLive: true });
    link.abort(new DuplexityError("DPX_CANCELLED", "The test is over"));
    for (const session of sessions) session.close("DPX_CANCELLED", "The test is over");
  });

  it("queues nothing for a peer that asks and does not read", () => {
    const { far, near, packets, closed } = single({ acceptSession: () => null });
    near.bufferedBytes = 2_000_000;
    const before = packets.length;
    for (let count = 0; count < 100; count += 1) far.sendRaw(LINK_FRAME(16, Buffer.alloc(8)));
    pass(100);
    expect(packets).toHaveLength(before);
    expect(closed).toEqual([]);
    far.sendRaw(Buffer.concat([header(3, 77, 0, 0), uint32(1)]));
    pass(5);
    expect(closed).toMatchObject([{ code: "DPX_LINK_QUEUE", message: "The peer asks for more than it reads" }]);
  });

  it("gives the first choice of a drained link to another session each time", () => {
    const order: string[] = [];
    const { near, link } = single();
    const fake = (name: string) => {
      const session = new Session({ role: "opener", id: name.length, onClose() {} });
      session.linkDrained = () => order.push(name);
      link.add(session);
      return session;
    };
    const sessions = [fake("a"), fake("bb"), fake("ccc")];
    for (let turn = 0; turn < 3; turn += 1) near.handler.onDrain();
    expect(order.join(" ")).toBe("a bb ccc bb ccc a ccc a bb");
    for (const session of sessions) session.close("DPX_CANCELLED", "The test is over");
  });

  it("keeps a session alive over a link whose headroom it may write into", () => {
    const pair = new SessionPair();
    const [left, right] = simLinks();
    const send = left.send.bind(left);
    left.send = (packet) => {
      packet.parts[0]?.fill(0xff, 0, LINK_HEADROOM_BYTES);
      send(packet);
    };
    new SessionLink(right, { heartbeat: HEARTBEAT, onClose() {}, acceptSession: () => pair.acceptor });
    pair.opener.attach(new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {} }));
    passUntil(() => pair.isLive);
    pair.dispose();
  });
});
