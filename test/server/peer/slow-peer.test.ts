// What waits at a hub whose way to another node is slow, with real sessions over simulated links, on fake time.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DuplexityError, Session, SessionLink, type Stream } from "../../../src/protocol/index.ts";
import { LeftSessions } from "../../../src/server/peer/left-sessions.ts";
import { PEER_PAUSE_BYTES, PEER_QUEUE_BYTES } from "../../../src/server/peer/limits.ts";
import { type PathSocket, PeerPath } from "../../../src/server/peer/peer-path.ts";
import { Relay } from "../../../src/server/peer/relay.ts";
import { pass, passUntil, resumeTime, stopTime } from "../../protocol/support/fake-time.ts";
import { HEARTBEAT, REQUEST } from "../../protocol/support/session-pair.ts";
import { type SimLink, simLinks } from "../../protocol/support/sim-link.ts";

beforeEach(stopTime);
afterEach(resumeTime);

const CLIENTS = 16;
const STREAMS = 15;
const STREAM_BYTES = 262_144;
const QUIET = { onAccept() {}, onDrain() {}, onReset() {} };

/** A hub with `CLIENTS` clients, each of which sends to a visitor's node as much as its streams' windows allow. */
function start(canPause: boolean) {
  const ends: SimLink[] = [];
  const sessions: Session[] = [];
  const ended: DuplexityError[] = [];
  const [toNode, toHub] = simLinks(1);
  ends.push(toNode, toHub);
  const hubPeer = new SessionLink(toNode, { heartbeat: HEARTBEAT, onClose() {} });
  const nodePeer = new SessionLink(toHub, { heartbeat: HEARTBEAT, onClose() {} });
  const socket: PathSocket = {
    isOpen: true,
    get isCongested() {
      return nodePeer.isCongested;
    },
    get rttMs() {
      return nodePeer.rttMs;
    },
    add: (path) => nodePeer.add(path),
    hasCarried: () => false,
    forget: (path) => nodePeer.forget(path),
    send: (packet) => nodePeer.send(packet),
    leave() {},
  };
  const received = { bytes: 0, ends: 0 };
  for (let id = 1; id <= CLIENTS; id += 1) {
    const [hubEnd, clientEnd] = simLinks(10, 20_000);
    ends.push(hubEnd, clientEnd);
    const send = (stream: Stream): void => {
      stream.handler = { ...QUIET, onData() {}, onEnd() {} };
      stream.accept();
      stream.write(Buffer.alloc(STREAM_BYTES));
      stream.end();
    };
    const client = new Session({ role: "acceptor", id, onOpen: send, onClose() {} });
    const clientLink = new SessionLink(hubEnd, { heartbeat: HEARTBEAT, canPause, onClose() {} });
    new SessionLink(clientEnd, { heartbeat: HEARTBEAT, acceptSession: () => client, onClose() {} });
    const node = new Session({ role: "opener", id, onClose() {} });
    const path = new PeerPath(socket, { relay: id, session: node, nodeId: "node-1" }, 20);
    const relay = new Relay({
      ...{ id, peer: hubPeer, left: new LeftSessions(30_000) },
      onCredit: (bytes, rttMs) => path.credit(bytes, rttMs),
      onEnded: (error) => ended.push(error),
    });
    relay.start(clientLink);
    node.attach(path);
    sessions.push(client, node);
    for (let count = 0; count < STREAMS; count += 1) {
      const stream: Stream = node.open(REQUEST, {
        ...QUIET,
        onData(chunk) {
          received.bytes += chunk.length;
          stream.consume(chunk.length);
        },
        onEnd: () => {
          received.ends += 1;
        },
      });
    }
  }
  const dispose = (): void => {
    for (const session of sessions) session.close("DPX_CANCELLED", "The test is over");
    for (const end of ends) end.end(new DuplexityError("DPX_CANCELLED", "The test is over"));
  };
  return { toNode, ended, received, dispose };
}

describe("Relay to a slow node", () => {
  it("holds little of what the clients have for it, ends no relay, and loses nothing", () => {
    const { toNode, ended, received, dispose } = start(true);
    toNode.bytesPerMs = 400;
    let most = 0;
    for (let turn = 0; turn < 200; turn += 1) {
      pass(5);
      most = Math.max(most, toNode.bufferedBytes);
    }
    expect(most).toBeGreaterThan(PEER_PAUSE_BYTES);
    // What was under way when they were asked to pause: 16 clients, 20 ms, at most 1 MB in each one's link.
    expect(most).toBeLessThan(PEER_QUEUE_BYTES);
    toNode.bytesPerMs = 100_000;
    passUntil(() => received.ends === CLIENTS * STREAMS, 300_000);
    expect([received.bytes, ended]).toEqual([CLIENTS * STREAMS * STREAM_BYTES, []]);
    dispose();
  });

  it("ends relays of clients that cannot be asked to pause when too much waits", () => {
    const { toNode, ended, dispose } = start(false);
    toNode.bytesPerMs = 400;
    pass(1_000);
    expect(ended.map(({ code }) => code)).toContain("DPX_LINK_QUEUE");
    expect(toNode.bufferedBytes).toBeLessThanOrEqual(PEER_QUEUE_BYTES + 524_288);
    dispose();
  });
});
