// Every rule of the wire that a peer can break inside a session: the session ends with the rule's own code, and the
// peer is told the same code and sentence.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DuplexityError, Session, SessionLink, type Stream } from "../../src/protocol/index.ts";
import { pass, resumeTime, stopTime } from "./support/fake-time.ts";
import { frame, frames, header, ID, RawPeer } from "./support/raw-peer.ts";
import { HEARTBEAT, REQUEST } from "./support/session-pair.ts";
import { simLinks } from "./support/sim-link.ts";
import { StreamEnd } from "./support/stream-end.ts";

type Role = "opener" | "acceptor";

beforeEach(stopTime);
afterEach(resumeTime);

/** What a session on the other side makes of the CLOSE that was sent to `peer`. */
function learntBy(peer: RawPeer): DuplexityError | null {
  const [left, right] = simLinks();
  let learnt: DuplexityError | null = null;
  const other = new Session({ role: "opener", id: ID, onClose: (error) => (learnt = error) });
  other.attach(new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {} }));
  for (const packet of peer.packets) if (packet[0] === 4) right.sendRaw(packet);
  pass(5);
  other.close("DPX_CANCELLED", "The test is over");
  left.end();
  return learnt;
}

function expectEnd(peer: RawPeer, code: string, message: RegExp): void {
  pass(5);
  expect(peer.closed).toMatchObject({ name: "DuplexityError", code });
  expect(peer.closed?.message).toMatch(message);
  expect(peer.close).toEqual({ code, message: peer.closed?.message });
  expect(learntBy(peer)).toMatchObject({ code, message: peer.closed?.message });
  expect(peer.session.isClosed).toBe(true);
  expect(peer.session.openStreams).toBe(0);
  expect(peer.session.bufferedBytes).toBe(0);
  // The link is innocent: others may use it.
  expect(peer.carrier.isOpen).toBe(true);
  peer.dispose();
}

/** An acceptor that takes every stream, or an opener with stream 1 open and accepted. */
function prepare(role: Role): RawPeer {
  const peer = RawPeer.live({ role, onOpen: (stream: Stream) => stream.accept() });
  if (role === "opener") {
    peer.session.open(REQUEST, new StreamEnd("opener's", 2, 3));
    pass(5);
    peer.send(frames.accept(1));
  } else {
    peer.send(frames.open(1));
  }
  pass(5);
  expect(peer.closed).toBeNull();
  return peer;
}

const REPORT = {
  ...{ hostname: "a", method: "GET", path: "/", status: 200, visitor: "" },
  ...{ durationMs: 1, responseBytes: 0, requestBytes: 0 },
};
const reportOf = (fields: object) => frames.report(JSON.stringify(fields));

type Case = readonly [what: string, role: Role, code: string, message: RegExp, sent: Buffer[]];

const cases: readonly Case[] = [
  [
    "a frame of 262,145 bytes",
    "acceptor",
    "DPX_FRAME_TOO_LARGE",
    /^Frame of 262145 bytes came, at most 262144/,
    [frames.data(1, 262_145)],
  ],
  [
    "a frame's header that is cut off",
    "acceptor",
    "DPX_FRAME_INVALID",
    /ends 7 bytes after/,
    [Buffer.from("05000000000000", "hex")],
  ],
  [
    "a frame's payload that is cut off",
    "acceptor",
    "DPX_FRAME_INVALID",
    /ends 12 bytes after/,
    [frames.data(1, 5).subarray(0, 12)],
  ],
  ["a frame of type 0", "acceptor", "DPX_FRAME_INVALID", /^Frame of type 0 came/, [frame(0, 1)]],
  ["a frame of type 8", "opener", "DPX_FRAME_INVALID", /^Frame of type 8 came/, [frame(8, 1)]],
  ["a frame of the link", "acceptor", "DPX_FRAME_INVALID", /^Frame of type 16 came/, [frame(16, 0, Buffer.alloc(8))]],
  ["DATA without a byte", "opener", "DPX_FRAME_INVALID", /^Empty DATA came for stream 1$/, [frame(3, 1)]],
  ["WINDOW of 0 bytes", "opener", "DPX_FRAME_INVALID", /^WINDOW of 0 bytes came/, [frames.window(1, 0)]],
  ["WINDOW of a wrong length", "opener", "DPX_FRAME_INVALID", /^WINDOW has 3 bytes/, [frame(4, 1, Buffer.alloc(3))]],
  ["ACCEPT of a wrong length", "opener", "DPX_FRAME_INVALID", /^ACCEPT has 5 bytes/, [frame(2, 1, Buffer.alloc(5))]],
  ["RESET of a wrong length", "opener", "DPX_FRAME_INVALID", /^RESET has 7 bytes/, [frame(6, 1, Buffer.alloc(7))]],
  ["FIN with a payload", "opener", "DPX_FRAME_INVALID", /^FIN has 1 bytes/, [frame(5, 1, Buffer.alloc(1))]],
  [
    "OPEN that is too short",
    "acceptor",
    "DPX_FRAME_INVALID",
    /^OPEN of 6 bytes does not fit/,
    [frame(1, 2, Buffer.alloc(6))],
  ],
  [
    "OPEN with a byte too many",
    "acceptor",
    "DPX_FRAME_INVALID",
    /^OPEN of 9 bytes does not fit/,
    [frame(1, 2, Buffer.from("000400000001610000", "hex"))],
  ],
  [
    "OPEN with a flag that is not known",
    "acceptor",
    "DPX_FRAME_INVALID",
    /^OPEN of 8 bytes does not fit/,
    [frame(1, 2, Buffer.from("0004000004016100", "hex"))],
  ],
  [
    "REPORT of 8,193 bytes",
    "acceptor",
    "DPX_FRAME_INVALID",
    /^REPORT of 8193 bytes is not/,
    [frames.report(JSON.stringify("x".repeat(8_191)))],
  ],
  ["REPORT that is not JSON", "acceptor", "DPX_FRAME_INVALID", /^REPORT of 1 bytes is not/, [frames.report("{")]],
  ["REPORT that is an array", "acceptor", "DPX_FRAME_INVALID", /^REPORT of 2 bytes is not/, [frames.report("[]")]],
  ["REPORT without a text", "acceptor", "DPX_FRAME_INVALID", /no text "hostname"/, [reportOf({ status: 200 })]],
  [
    "REPORT with a negative number",
    "acceptor",
    "DPX_FRAME_INVALID",
    /no number "status" of 0 or more/,
    [reportOf({ ...REPORT, status: -1 })],
  ],
  ["REPORT to the opener", "opener", "DPX_FRAME_INVALID", /only the server's side sends it/, [reportOf(REPORT)]],
  [
    "more bytes than the window that OPEN gave",
    "opener",
    "DPX_STREAM_WINDOW",
    /DATA of 1 bytes came for stream 1, which had credit for 0$/,
    [frames.data(1, 262_144), frames.data(1, 1)],
  ],
  ["OPEN of an id in use", "acceptor", "DPX_STREAM_ID", /OPEN came for stream 1 after stream 1/, [frames.open(1)]],
  [
    "OPEN of an id that was used",
    "acceptor",
    "DPX_STREAM_ID",
    /OPEN came for stream 1 after stream 7/,
    [frames.reset(1), frames.open(7), frames.open(1)],
  ],
  ["OPEN of id 0", "acceptor", "DPX_STREAM_ID", /OPEN came for stream 0/, [frames.open(0)]],
  ["OPEN to the opener", "opener", "DPX_STREAM_ID", /only the server's side opens/, [frames.open(2)]],
  ["DATA before OPEN", "acceptor", "DPX_STREAM_ID", /stream 2, which was not opened/, [frames.data(2, 1)]],
  ["WINDOW before OPEN", "acceptor", "DPX_STREAM_ID", /stream 2, which was not opened/, [frames.window(2, 1)]],
  ["FIN before OPEN", "acceptor", "DPX_STREAM_ID", /stream 2, which was not opened/, [frames.fin(2)]],
  ["RESET before OPEN", "acceptor", "DPX_STREAM_ID", /stream 2, which was not opened/, [frames.reset(2)]],
  ["ACCEPT of what was not opened", "opener", "DPX_STREAM_ID", /stream 2, which was not opened/, [frames.accept(2)]],
  [
    "DATA after the peer's RESET",
    "opener",
    "DPX_STREAM_ID",
    /stream 1, which has ended/,
    [frames.reset(1), frames.data(1, 1)],
  ],
  [
    "DATA after FIN",
    "opener",
    "DPX_STREAM_CLOSED",
    /DATA came for stream 1 after its FIN/,
    [frames.fin(1), frames.data(1, 1)],
  ],
  ["a second FIN", "opener", "DPX_STREAM_CLOSED", /second FIN came for stream 1/, [frames.fin(1), frames.fin(1)]],
  ["a second ACCEPT", "opener", "DPX_FRAME_INVALID", /ACCEPT for stream 1 came twice/, [frames.accept(1)]],
  ["ACCEPT to the acceptor", "acceptor", "DPX_FRAME_INVALID", /or from the opener/, [frames.accept(1)]],
  [
    "credit above 2^31-1 by WINDOW",
    "opener",
    "DPX_CREDIT_OVERFLOW",
    /Credit of 2147483647 on top of 65536 for stream 1 passes 2147483647/,
    [frames.window(1, 2_147_483_647)],
  ],
  [
    "credit above 2^31-1 by OPEN",
    "acceptor",
    "DPX_CREDIT_OVERFLOW",
    /OPEN gives 2147483648 bytes/,
    [frames.open(2, 2_147_483_648)],
  ],
];

describe("Session", () => {
  it.each(cases)("ends on %s (%s) with %s", (_what, role, code, message, sent) => {
    const peer = prepare(role);
    peer.send(...sent);
    pass(5);
    expectEnd(peer, code, message);
  });

  it("ends on ACCEPT with credit above 2^31-1", () => {
    const peer = RawPeer.live({ role: "opener" });
    peer.session.open(REQUEST, new StreamEnd("opener's", 2, 3));
    pass(5);
    peer.send(frames.accept(1, 2_147_483_647));
    expectEnd(peer, "DPX_CREDIT_OVERFLOW", /Credit of 2147483647 on top of 65536/);
  });

  it("allows credit of exactly 2^31-1", () => {
    const peer = prepare("opener");
    peer.send(frames.window(1, 2_147_483_647 - 65_536));
    expect(peer.closed).toBeNull();
    peer.dispose();
  });

  it("ends on more bytes than 65,536 before it has accepted the stream, and takes 262,144 after that", () => {
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => stream.id === 2 && stream.accept() });
    peer.send(frames.open(1), frames.data(1, 65_536), frames.open(2), frames.data(2, 262_144));
    expect(peer.closed).toBeNull();
    peer.send(frames.data(1, 1));
    expectEnd(peer, "DPX_STREAM_WINDOW", /DATA of 1 bytes came for stream 1, which had credit for 0$/);
  });

  it("takes a window's last byte", () => {
    const peer = prepare("opener");
    peer.send(frames.data(1, 262_144));
    expect(peer.closed).toBeNull();
    peer.dispose();
  });

  it.each([
    ["a gap", 2, 0, /^Packet 2 came, expected 1$/],
    ["a number from the future", 281_474_976_710_655, 0, /^Packet 281474976710655 came, expected 1$/],
    ["a repeated number", 0, 0, /^Packet 0 came, expected 1$/],
  ])("ends on %s in the sequence with DPX_SEQUENCE", (_what, seq, ack, message) => {
    const peer = prepare("acceptor");
    peer.sendAs(seq, ack);
    expectEnd(peer, "DPX_SEQUENCE", message);
  });

  it("ends when what was never sent is acknowledged, by DATA or by ACK", () => {
    const byData = prepare("acceptor");
    byData.sendAs(1, 2);
    expectEnd(byData, "DPX_SEQUENCE", /^Acknowledgement of 2 came/);
    const byAck = prepare("acceptor");
    byAck.ack(2);
    expectEnd(byAck, "DPX_SEQUENCE", /^Acknowledgement of 2 came/);
  });

  it("takes an acknowledgement that goes back for a late one", () => {
    const peer = prepare("acceptor");
    peer.ack(1);
    peer.ack(0);
    peer.sendAs(1, 0, frames.data(1, 1));
    expect(peer.closed).toBeNull();
    expect(peer.session.bytesIn).toBe(1);
    peer.dispose();
  });

  it("ends on a second answer to its RESUME on one link with DPX_SEQUENCE", () => {
    const opener = prepare("opener");
    opener.resume(1, 1);
    expectEnd(opener, "DPX_SEQUENCE", /^A second RESUME came on one link$/);
  });

  it("ends on DATA or ACK ahead of the RESUME that answers its own", () => {
    for (const kind of [1, 2]) {
      const peer = new RawPeer({ role: "opener" });
      peer.sendRaw(header(kind, ID, 0, 0));
      expectEnd(peer, "DPX_SEQUENCE", /^A packet came on a link before the RESUME/);
    }
  });

  it.each([
    ["keeps less than is missing", 2, 0, /keeps packets from 2 and expects 0; 1 is expected here/],
    ["expects what was never sent", 0, 2, /expects 2; 1 is expected here and 0 to 1 are kept/],
  ])("ends on RESUME of a peer that %s with DPX_SESSION_UNKNOWN", (_what, seq, ack, message) => {
    const peer = prepare("acceptor");
    peer.reconnect();
    peer.resume(seq, ack);
    expectEnd(peer, "DPX_SESSION_UNKNOWN", message);
  });

  it("ends on RESUME that expects what is not kept any more", () => {
    const peer = prepare("opener");
    peer.reconnect();
    peer.resume(0, 0);
    expectEnd(peer, "DPX_SESSION_UNKNOWN", /expects 0; 1 is expected here and 1 to 1 are kept/);
  });

  it("ends on RESUME without its count with DPX_PACKET_INVALID", () => {
    const peer = new RawPeer({ role: "acceptor" });
    peer.sendRaw(header(3, ID, 0, 0));
    expect(peer.closed).toMatchObject({ code: "DPX_PACKET_INVALID", message: "RESUME has 20 bytes, expected 24" });
    peer.dispose();
  });

  it("ends on CLOSE without a code with DPX_PACKET_INVALID", () => {
    const peer = prepare("acceptor");
    peer.sendRaw(Buffer.concat([header(4, ID, 0, 0), Buffer.alloc(1)]));
    expectEnd(peer, "DPX_PACKET_INVALID", /^CLOSE has no error code$/);
  });

  it("reads a code that it does not know as DPX_INTERNAL, and no more than 1,024 bytes of the message", () => {
    const peer = prepare("acceptor");
    peer.sendRaw(Buffer.concat([header(4, ID, 0, 0), Buffer.from([0xff, 0xff]), Buffer.alloc(5_000, "m")]));
    expect(peer.closed).toMatchObject({ code: "DPX_INTERNAL", message: "m".repeat(1_024) });
    peer.dispose();
  });

  it("cuts what it tells the peer to 1,024 bytes, at a character's border", () => {
    const peer = prepare("acceptor");
    peer.session.close("DPX_REPLACED", `x${"é".repeat(1_000)}`);
    pass(5);
    expect(peer.closed).toMatchObject({ code: "DPX_REPLACED", message: `x${"é".repeat(1_000)}` });
    expect(peer.close).toEqual({ code: "DPX_REPLACED", message: `x${"é".repeat(511)}` });
    peer.dispose();
  });

  it("ignores late frames of a stream that it reset until the peer has acknowledged that, and not longer", () => {
    const streams: Stream[] = [];
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => streams.push(stream) });
    peer.send(frames.open(1), frames.data(1, 10));
    streams[0]?.reset("DPX_TARGET_BROKE");
    pass(5);
    // The RESET is in packet 0, and these were written before it came.
    peer.sendAs(1, 0, frames.data(1, 65_000), frames.data(1, 65_000), frames.window(1, 5), frames.fin(1));
    expect(peer.closed).toBeNull();
    // This one acknowledges it, but its frames were written before.
    peer.sendAs(2, 1, frames.window(1, 5));
    expect(peer.closed).toBeNull();
    peer.sendAs(3, 1, frames.window(1, 5));
    expectEnd(peer, "DPX_STREAM_ID", /^A frame came for stream 1, which has ended$/);
  });

  it("ignores late frames of a stream that it reset also when a resume has acknowledged that", () => {
    const streams: Stream[] = [];
    const peer = RawPeer.live({ role: "acceptor", onOpen: (stream) => streams.push(stream) });
    peer.send(frames.open(1));
    streams[0]?.reset("DPX_TARGET_BROKE");
    pass(5);
    peer.reconnect();
    peer.resume(1, 1);
    // Written before the RESET came, lost with the old link, sent again.
    peer.sendAs(1, 0, frames.data(1, 10));
    expect(peer.closed).toBeNull();
    peer.sendAs(2, 1, frames.open(2));
    peer.sendAs(3, 1, frames.data(1, 10));
    expectEnd(peer, "DPX_STREAM_ID", /^A frame came for stream 1, which has ended$/);
  });

  it("ends, and says nothing of its inside, when a handler throws", () => {
    const peer = RawPeer.live({
      role: "acceptor",
      onOpen() {
        throw new TypeError("secret");
      },
    });
    peer.send(frames.open(1));
    expect(peer.closed).toMatchObject({ code: "DPX_INTERNAL", message: "secret" });
    expect(peer.closed?.cause).toBeInstanceOf(TypeError);
    pass(5);
    expect(peer.close).toEqual({
      code: "DPX_INTERNAL",
      message: "A defect in duplexity; the log has the cause.",
    });
    peer.dispose();
  });

  it("reads a report with all its fields, and leaves out a code that it does not know", () => {
    const reports: unknown[] = [];
    const peer = RawPeer.live({ role: "acceptor", onReport: (report) => reports.push(report) });
    peer.send(reportOf({ ...REPORT, errorCode: "DPX_LOOP" }), reportOf({ ...REPORT, errorCode: "toString", more: 1 }));
    expect(reports).toEqual([{ ...REPORT, errorCode: "DPX_LOOP" }, REPORT]);
    expect(peer.closed).toBeNull();
    peer.dispose();
  });
});
