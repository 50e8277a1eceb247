// Streams within a session: how they are refused, counted, limited and told of their end.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { pass, passUntil, resumeTime, stopTime } from "./support/fake-time.ts";
import { frames, RawPeer } from "./support/raw-peer.ts";
import { openOn, reading } from "./support/reading.ts";
import { REQUEST, SessionPair } from "./support/session-pair.ts";
import { StreamEnd } from "./support/stream-end.ts";

beforeEach(stopTime);
afterEach(resumeTime);

describe("Session", () => {
  it("passes on how much of a reset stream had been delivered, or that it is not known", () => {
    const peer = RawPeer.live({ role: "opener" });
    const [known, unknown] = [openOn(peer.session), openOn(peer.session)];
    peer.send(
      Buffer.concat([Buffer.from("0600000800000001", "hex"), Buffer.from("003d000000000102", "hex")]),
      frames.reset(2),
    );
    expect(known.resetError).toMatchObject({ code: "DPX_TARGET_REFUSED" });
    expect(known.deliveredBytes).toBe(258);
    expect(unknown.resetError).toMatchObject({ code: "DPX_CANCELLED" });
    expect(unknown.deliveredBytes).toBeNull();
    peer.dispose();
  });

  it("says no more of a stream that has ended both ways, whatever still comes for it", () => {
    const peer = RawPeer.live({ role: "opener" });
    const end = openOn(peer.session);
    end.end();
    pass(5);
    peer.sendAs(0, 0, frames.fin(1), frames.accept(1, 100), frames.window(1, 5), frames.reset(1));
    peer.seq = 1;
    expect(peer.closed).toBeNull();
    expect(end.sawEnd).toBe(true);
    expect(end.isAccepted).toBe(false);
    expect(end.resetError).toBeNull();
    peer.session.close("DPX_CANCELLED", "over");
    expect(end.resetError).toBeNull();
    end.check();
    peer.dispose();
  });

  it("refuses streams that nobody takes with DPX_PIPE_UNKNOWN", () => {
    const pair = new SessionPair();
    pair.connect();
    const end = openOn(pair.opener);
    passUntil(() => end.isOver);
    expect(end.resetError).toMatchObject({ code: "DPX_PIPE_UNKNOWN" });
    expect(end.deliveredBytes).toBe(0);
    passUntil(() => pair.isQuiet);
    pair.dispose();
  });

  it("keeps no stream of a request that does not fit into OPEN", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen });
    pair.connect();
    const tooLong = { ...REQUEST, hostname: "h".repeat(256) };
    expect(() => pair.opener.open(tooLong, new StreamEnd("none", 2, 3))).toThrow(
      expect.objectContaining({ code: "DPX_FRAME_INVALID" }),
    );
    expect(pair.opener.openStreams).toBe(0);
    openOn(pair.opener);
    passUntil(() => ends.length === 1);
    pair.dispose();
  });

  it("opens no more streams than its limit, and more again when some have ended", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen, openerLimits: { maxStreams: 3 } });
    pair.connect();
    const opened = [openOn(pair.opener), openOn(pair.opener), openOn(pair.opener)];
    const wanted = { code: "DPX_STREAMS_LIMIT", message: "Cannot open a stream: 3 are open" };
    expect(() => openOn(pair.opener)).toThrow(expect.objectContaining(wanted));
    passUntil(() => ends.length === 3);
    opened[0]?.reset("DPX_CANCELLED");
    openOn(pair.opener);
    expect(() => openOn(pair.opener)).toThrow(expect.objectContaining(wanted));
    pair.dispose();
  });

  it("refuses the peer's streams above its own limit, and goes on with the others", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen, acceptorLimits: { maxStreams: 3 } });
    pair.connect();
    const opened = Array.from({ length: 5 }, () => openOn(pair.opener));
    passUntil(() => ends.length === 3 && opened.filter((end) => end.isGone).length === 2);
    expect(opened[4]?.resetError?.code).toBe("DPX_STREAMS_LIMIT");
    expect(opened[4]?.deliveredBytes).toBe(0);
    opened[0]?.reset("DPX_CANCELLED");
    pass(50);
    openOn(pair.opener);
    passUntil(() => ends.length === 4);
    expect(pair.acceptor.openStreams).toBe(3);
    pair.dispose();
  });

  it("opens streams no faster than its limit, without saving up for later", () => {
    const { onOpen } = reading();
    const pair = new SessionPair({ onOpen, openerLimits: { maxOpensPerSecond: 100 } });
    pair.connect();
    const burst = () => {
      let count = 0;
      try {
        for (; count < 10_000; count += 1) openOn(pair.opener).reset("DPX_CANCELLED");
      } catch (error) {
        expect(error).toMatchObject({ code: "DPX_OPEN_RATE" });
      }
      return count;
    };
    pass(10_000);
    expect(burst()).toBe(100);
    expect(burst()).toBe(0);
    pass(100);
    expect(burst()).toBe(10);
    pass(60_000);
    expect(burst()).toBe(100);
    pair.dispose();
  });

  it("refuses the peer's streams above its own rate, and takes them again after a while", () => {
    const { ends, onOpen } = reading();
    const pair = new SessionPair({ onOpen, acceptorLimits: { maxOpensPerSecond: 10 } });
    pair.connect();
    const opened = Array.from({ length: 30 }, () => openOn(pair.opener));
    passUntil(() => opened.filter((end) => end.isGone).length === 20);
    expect(opened[29]?.resetError?.code).toBe("DPX_OPEN_RATE");
    expect(ends).toHaveLength(10);
    pass(1_000);
    openOn(pair.opener);
    passUntil(() => ends.length === 11);
    pair.dispose();
  });

  it("drops reports that are too large, or for which there is no room", () => {
    const reports: string[] = [];
    const pair = new SessionPair({ acceptorOptions: { onReport: (report) => reports.push(report.path) } });
    const report = (path: string) =>
      pair.opener.report({ hostname: "a", method: "GET", path, status: 200, visitor: "", ...NUMBERS });
    report("/before");
    const { left } = pair.connect();
    passUntil(() => pair.isLive);
    report("/live");
    report(`/${"x".repeat(8_192)}`);
    pass(10);
    left.bufferedBytes = 2_000_000;
    report("/congested");
    left.bufferedBytes = 0;
    pass(10);
    expect(reports).toEqual(["/live"]);
    pair.dispose();
  });
});

const NUMBERS = { durationMs: 1, responseBytes: 0, requestBytes: 0 } as const;
