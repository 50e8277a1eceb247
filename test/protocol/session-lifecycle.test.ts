// How a session begins, loses its links, and ends; and that it never hangs on a link, a timer or a handler.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DuplexityError, SessionLink, type Stream } from "../../src/protocol/index.ts";
import { PacketKind } from "../../src/protocol/packet.ts";
import { HANG_MS } from "../support/bars.ts";
import { pass, passUntil, pendingTimers, resumeTime, stopTime } from "./support/fake-time.ts";
import { frames, header, ID, RawPeer, uint32 } from "./support/raw-peer.ts";
import { openOn, reading } from "./support/reading.ts";
import { HEARTBEAT, REQUEST, SessionPair } from "./support/session-pair.ts";
import { simLinks } from "./support/sim-link.ts";
import { StreamEnd } from "./support/stream-end.ts";

beforeEach(stopTime);
afterEach(resumeTime);

describe("Session", () => {
  it("keeps what is opened, written and ended before its first link", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen });
    const end = openOn(pair.opener);
    expect(end.stream?.isLive).toBe(false);
    expect(end.stream?.write("")).toBe(true);
    end.write(100);
    expect(end.isWaiting).toBe(true);
    end.write(100_000);
    pair.connect();
    passUntil(() => ends[0]?.receivedBytes === 100_100);
    expect(end.isWaiting).toBe(false);
    expect(end.stream?.isLive).toBe(true);
    expect(end.stream?.writtenBytes).toBe(100_100);
    end.end();
    passUntil(() => pair.isQuiet);
    expect(end.isOver).toBe(true);
    pair.dispose();
  });

  it("says when it is live, each time, and when it is not", () => {
    const told: string[] = [];
    const pair = new SessionPair({
      openerOptions: { onLive: () => told.push("live"), onDetached: (error) => told.push(error.code) },
    });
    expect(pair.opener.isLive).toBe(false);
    pair.connect().left.end(new DuplexityError("DPX_LINK_LOST", "gone"));
    expect(told).toEqual(["DPX_LINK_LOST"]);
    const { left } = pair.connect();
    passUntil(() => pair.isLive);
    left.end(new DuplexityError("DPX_LINK_DEAD", "gone"));
    expect(pair.opener.isLive).toBe(false);
    pair.connect();
    passUntil(() => pair.isLive);
    expect(told).toEqual(["DPX_LINK_LOST", "live", "DPX_LINK_DEAD", "live"]);
    pair.dispose();
  });

  it("expires at both ends when no link comes back, and resets every stream", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen, resumeWindowMs: 30_000 });
    const { left, right } = pair.connect();
    const end = openOn(pair.opener);
    passUntil(() => ends.length === 1);
    left.end();
    right.end();
    pass(29_900);
    expect([pair.openerClosed, pair.acceptorClosed]).toEqual([null, null]);
    pass(200);
    for (const error of [pair.openerClosed, pair.acceptorClosed, end.resetError, ends[0]?.resetError]) {
      expect(error).toMatchObject({ code: "DPX_SESSION_EXPIRED", message: "No link came back within 30 s" });
    }
    expect(pendingTimers()).toBe(0);
  });

  it("expires when it never had a link", () => {
    const pair = new SessionPair({ resumeWindowMs: 500 });
    pass(501);
    expect(pair.openerClosed?.code).toBe("DPX_SESSION_EXPIRED");
    expect(pair.acceptorClosed?.code).toBe("DPX_SESSION_EXPIRED");
    expect(pendingTimers()).toBe(0);
  });

  it("expires also on a link that is alive but never resumes it", () => {
    const peer = new RawPeer({ role: "opener", resumeWindowMs: 30_000 });
    for (let second = 0; second < 31; second += 1) {
      // Of another session: a sign of life, nothing else.
      peer.link.sendRaw(header(PacketKind.ack, 1, 0, 0));
      pass(1_000);
    }
    expect(peer.closed?.code).toBe("DPX_SESSION_EXPIRED");
    peer.dispose();
  });

  it("counts the resume window from the loss of the last link that was live", () => {
    const pair = new SessionPair({ resumeWindowMs: 30_000 });
    const { left, right } = pair.connect();
    passUntil(() => pair.isLive);
    left.end();
    right.end();
    for (let attempt = 0; attempt < 3; attempt += 1) {
      pass(9_000);
      const wire = pair.connect();
      wire.left.isBlackHole = true;
      pass(100);
      wire.left.end();
    }
    expect(pair.openerClosed).toBeNull();
    pass(3_000);
    expect(pair.openerClosed?.code).toBe("DPX_SESSION_EXPIRED");
    pair.dispose();
  });

  it("starts the window anew after each link that was live", () => {
    const pair = new SessionPair({ resumeWindowMs: 30_000 });
    for (let link = 0; link < 5; link += 1) {
      const { left, right } = pair.connect();
      passUntil(() => pair.isLive);
      left.end();
      right.end();
      pass(20_000);
    }
    expect(pair.openerClosed).toBeNull();
    expect(pair.acceptorClosed).toBeNull();
    pair.dispose();
  });

  it("is not taken in by a link that is dead already", () => {
    const pair = new SessionPair({ resumeWindowMs: 30_000 });
    const [left] = simLinks();
    const link = new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {} });
    left.end();
    pair.opener.attach(link);
    pass(30_001);
    expect(pair.openerClosed?.code).toBe("DPX_SESSION_EXPIRED");
    expect(pendingTimers()).toBe(0);
  });

  it("stays on its link when a dead one is attached", () => {
    const pair = new SessionPair();
    pair.connect();
    passUntil(() => pair.isLive);
    const [left] = simLinks();
    const dead = new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {} });
    left.end();
    pair.opener.attach(dead);
    expect(pair.isLive).toBe(true);
    pair.dispose();
  });

  it("takes no notice of the link that it is on, or was on, being attached again", () => {
    const pair = new SessionPair();
    const first = pair.connect();
    passUntil(() => pair.isLive);
    pair.opener.attach(first.opener);
    pass(10);
    expect(pair.isLive).toBe(true);
    pair.connect();
    passUntil(() => pair.isLive);
    pair.opener.attach(first.opener);
    pass(10);
    expect(pair.isLive).toBe(true);
    expect(pair.openerClosed ?? pair.acceptorClosed).toBeNull();
    pair.dispose();
  });

  it("ends on the later of two links that are attached at once, whichever is faster", () => {
    for (const [firstMs, secondMs] of [
      [0, 50],
      [50, 0],
      [10, 10],
    ] as const) {
      const { ends, onOpen } = reading();
      const pair = new SessionPair({ onOpen });
      const end = openOn(pair.opener);
      const first = pair.connect(firstMs);
      const second = pair.connect(secondMs);
      end.write(100_000);
      passUntil(() => ends[0]?.receivedBytes === 100_000);
      expect(first.left.sentBytes).toBeLessThan(1_000);
      expect(second.left.sentBytes).toBeGreaterThan(100_000);
      end.end();
      passUntil(() => pair.isQuiet);
      pair.dispose();
    }
  });

  it("tells the peer when it is closed while it resumes", () => {
    const pair = new SessionPair();
    pair.connect(20);
    pair.opener.close("DPX_REPLACED", "taken");
    passUntil(() => pair.acceptor.isClosed);
    expect(pair.acceptorClosed).toMatchObject({ code: "DPX_REPLACED", message: "taken" });
    pair.dispose();
  });

  it("lets the peer know at the next resume that it was closed between links", () => {
    const pair = new SessionPair();
    const { left, right } = pair.connect();
    passUntil(() => pair.isLive);
    left.end();
    right.end();
    pair.acceptor.close("DPX_CANCELLED", "gone");
    const wire = pair.connect();
    passUntil(() => pair.opener.isClosed);
    expect(pair.openerClosed?.code).toBe("DPX_SESSION_UNKNOWN");
    expect(wire.opener.isOpen).toBe(true);
    pair.dispose();
  });

  it("delivers what was written just before close", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen });
    pair.connect();
    const end = openOn(pair.opener);
    passUntil(() => ends.length === 1);
    end.write(50_000);
    end.end();
    pair.opener.close("DPX_DRAINING", "bye");
    passUntil(() => pair.acceptor.isClosed);
    expect(ends[0]?.receivedBytes).toBe(50_000);
    expect(ends[0]?.sawEnd).toBe(true);
    pair.dispose();
  });

  it("closes once, whoever closes it how often", () => {
    const told: string[] = [];
    const pair = new SessionPair({ openerOptions: { onClose: (error) => told.push(error.code) } });
    const { left } = pair.connect();
    passUntil(() => pair.isLive);
    pair.opener.close("DPX_REPLACED", "first");
    pair.opener.close("DPX_KICKED", "second");
    left.end();
    pair.opener.attach(pair.connect().opener);
    pass(60_000);
    expect(told).toEqual(["DPX_REPLACED"]);
    expect(() => pair.opener.open(REQUEST, new StreamEnd("late", 2, 3))).toThrow(
      expect.objectContaining({ code: "DPX_SESSION_EXPIRED" }),
    );
    pair.opener.report({ ...REQUEST, method: "GET", path: "/", status: 200, ...NUMBERS });
    pair.dispose();
  });

  it("leaves no timer behind, in whatever state it is closed", () => {
    for (const state of ["new", "resuming", "live", "busy", "detached"] as const) {
      const { ends, onOpen } = reading();
      const pair = new SessionPair({ onOpen });
      if (state !== "new") pair.connect();
      if (state !== "new" && state !== "resuming") passUntil(() => pair.isLive);
      if (state === "busy") {
        const end = openOn(pair.opener);
        passUntil(() => ends.length === 1);
        end.write(100_000);
        pass(1);
      }
      if (state === "detached") for (const { left } of pair.wires) left.end();
      pair.dispose();
      // What was under way on the simulated wire, and the turn that was due already.
      pass(2);
      expect(pendingTimers(), state).toBe(0);
    }
  });

  it("counts bytes of streams, and when the last packet came", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen });
    expect(pair.acceptor.lastByteAt).toBeNull();
    pair.connect();
    const end = openOn(pair.opener);
    passUntil(() => ends.length === 1);
    end.write(70_000);
    end.write(1_000, true);
    passUntil(() => ends[0]?.receivedBytes === 71_000);
    expect(pair.opener.bytesOut).toBe(71_000);
    expect(pair.acceptor.bytesIn).toBe(71_000);
    expect(Date.now() - (pair.acceptor.lastByteAt ?? 0)).toBeLessThan(HANG_MS);
    pair.dispose();
  });

  it("ignores an old RESUME that comes late on another link", () => {
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => stream.accept() });
    const [late, far] = simLinks();
    const link = new SessionLink(far, { heartbeat: HEARTBEAT, onClose() {}, acceptSession: () => peer.session });
    late.sendRaw(Buffer.concat([header(PacketKind.resume, ID, 0, 0), uint32(1)]));
    pass(10);
    expect(link.hasCarried(peer.session)).toBe(false);
    peer.send(frames.open(1));
    expect(peer.session.openStreams).toBe(1);
    expect(peer.closed).toBeNull();
    late.end();
    far.end();
    peer.dispose();
  });

  it("goes on over the link that it is on when its opener comes another way to the same hub", () => {
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => stream.accept() });
    peer.send(frames.open(1));
    pass(20);
    peer.resume(1, peer.received, 2);
    // The way before may bring what was under way there, but nothing that is older than this.
    peer.resume(0, 0, 1);
    const answers = peer.packets.filter((packet) => packet[0] === PacketKind.resume);
    expect(answers.map((packet) => packet.readUInt32BE(20))).toEqual([1, 2]);
    peer.send(frames.data(1, 3));
    expect([peer.closed, peer.session.isLive, peer.session.bytesIn]).toEqual([null, true, 3]);
    peer.dispose();
  });

  it("waits for the answer to its newest RESUME: an older one's says what is true no more", () => {
    const peer = new RawPeer({ role: "opener" });
    peer.session.attach(peer.carrier);
    peer.reconnect();
    peer.session.attach(peer.carrier);
    peer.resume(0, 0, 1);
    expect([peer.closed, peer.session.isLive]).toEqual([null, false]);
    peer.resume(0, 0, 2);
    expect(peer.session.isLive).toBe(true);
    peer.dispose();
  });

  it("lets no acknowledgement overtake what was written before", () => {
    const streams: Stream[] = [];
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => streams.push(stream) });
    peer.send(frames.open(1));
    pass(20);
    const before = peer.packets.length;
    // Written in the same moment in which the acknowledgement falls due, and before it.
    setTimeout(() => streams[0]?.write("first"), 10);
    peer.far.handler.onPacket(Buffer.concat([header(PacketKind.data, ID, 1, peer.received), frames.data(1, 1)]));
    pass(20);
    const after = peer.packets.slice(before);
    expect(after.map((packet) => packet[0])).toEqual([PacketKind.data]);
    expect(after[0]?.readUIntBE(14, 6)).toBe(2);
    peer.dispose();
  });

  it("is not live on a link that ended while it sent again what was kept", () => {
    const told: string[] = [];
    const pair = new SessionPair({
      openerOptions: { onLive: () => told.push("live"), onDetached: () => told.push("detached") },
    });
    openOn(pair.opener);
    const [left, right] = simLinks();
    new SessionLink(right, { heartbeat: HEARTBEAT, onClose() {}, acceptSession: () => pair.acceptor });
    const send = left.send.bind(left);
    left.send = (packet) => {
      send(packet);
      if (packet.byteLength > 40) left.end();
    };
    pass(10);
    pair.opener.attach(new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {} }));
    pass(100);
    expect(told).toEqual(["detached"]);
    expect(pair.opener.isLive).toBe(false);
    pair.connect();
    passUntil(() => pair.isLive);
    expect(told).toEqual(["detached", "live"]);
    right.end();
    pair.dispose();
  });

  it("acknowledges within 10 ms, or 256 KiB, or with its own data", () => {
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => stream.accept() });
    peer.send(frames.open(1), frames.open(2));
    pass(20);
    const acks = () => peer.packets.filter((packet) => packet[0] === 2).length;
    const before = acks();
    peer.sendAs(1, peer.received, frames.data(1, 100));
    pass(5);
    expect(acks()).toBe(before);
    pass(10);
    expect(acks()).toBe(before + 1);
    peer.sendAs(2, peer.received, frames.data(1, 130_000));
    expect(acks()).toBe(before + 1);
    peer.sendAs(3, peer.received, frames.data(1, 131_000));
    pass(2);
    expect(acks()).toBe(before + 1);
    peer.sendAs(4, peer.received, frames.data(2, 2_000));
    pass(2);
    expect(acks()).toBe(before + 2);
    peer.dispose();
  });
});

const NUMBERS = { durationMs: 1, responseBytes: 0, requestBytes: 0 } as const;
