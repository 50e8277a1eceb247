// A session's way over another hub, as the session sees it.

import { afterEach, describe, expect, it } from "vitest";
import { type Carried, DuplexityError, type OutgoingPacket, Session } from "../../../src/protocol/index.ts";
import { RELAY_WINDOW_BYTES } from "../../../src/server/peer/limits.ts";
import { type PathSocket, PeerPath } from "../../../src/server/peer/peer-path.ts";

const HEADROOM_BYTES = 14;
const KIB_64 = 65_536;

class FakeSocket implements PathSocket {
  readonly isOpen = true;
  isCongested = false;
  rttMs: number | null = 2;
  readonly sent: OutgoingPacket[] = [];
  readonly left: number[] = [];
  carried: Carried | null = null;

  get sentBytes(): number {
    return this.sent.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  add(session: Carried): void {
    this.carried = session;
  }

  hasCarried(): boolean {
    return false;
  }

  forget(): void {
    this.carried = null;
  }

  send(packet: OutgoingPacket): void {
    this.sent.push(packet);
  }

  leave({ relay }: PeerPath): void {
    this.left.push(relay);
  }
}

const endings: (() => void)[] = [];
afterEach(() => {
  for (const end of endings.splice(0)) end();
});

function start() {
  const socket = new FakeSocket();
  const detached: DuplexityError[] = [];
  const session = new Session({
    ...{ role: "opener", id: 5 },
    onDetached: (error) => detached.push(error),
    onClose() {},
  });
  endings.push(() => session.close("DPX_CANCELLED", "The test is over"));
  const path = new PeerPath(socket, { relay: 3, session, nodeId: "node-1" }, 40);
  return { socket, session, path, detached };
}

function packet(bytes = KIB_64): OutgoingPacket {
  return { seq: 0, parts: [Buffer.alloc(HEADROOM_BYTES), Buffer.alloc(bytes)], byteLength: bytes };
}

describe("PeerPath", () => {
  it("sends no more than the hub has room for, and the rest as it gets room", () => {
    const { socket, path } = start();
    for (let count = 0; count < 20; count += 1) path.send(packet());
    expect(socket.sentBytes).toBe(RELAY_WINDOW_BYTES);
    expect(path.isCongested).toBe(true);
    path.credit(2 * KIB_64, 40);
    expect(socket.sentBytes).toBe(RELAY_WINDOW_BYTES + 2 * KIB_64);
    path.credit(RELAY_WINDOW_BYTES, 40);
    expect([socket.sent.length, path.isCongested]).toEqual([18, false]);
    path.credit(2 * KIB_64, 40);
    expect(socket.sent).toHaveLength(20);
  });

  it("leaves the session's packets as they are: another link may still be writing them", () => {
    const { socket, path } = start();
    const part = Buffer.alloc(HEADROOM_BYTES + 10, 7);
    path.send({ seq: 4, parts: [part], byteLength: 10 });
    for (const { parts } of socket.sent) parts[0]?.fill(9, 0, HEADROOM_BYTES);
    expect(part).toEqual(Buffer.alloc(HEADROOM_BYTES + 10, 7));
    expect(socket.sent).toMatchObject([{ seq: 4, byteLength: 10 }]);
  });

  it("is as far away as the hub and the client together", () => {
    const { socket, path } = start();
    expect(path.rttMs).toBe(42);
    path.credit(0, 80);
    expect(path.rttMs).toBe(82);
    socket.rttMs = null;
    expect(path.rttMs).toBeNull();
  });

  it("tells the hub when the session leaves it, once", () => {
    const { socket, path } = start();
    path.forget();
    path.forget();
    path.send(packet());
    expect([socket.left, socket.carried, socket.sent]).toEqual([[3], null, []]);
  });

  it("drops what the client wrote for the way before, up to its answer to RESUME", () => {
    const { session, path } = start();
    session.attach(path);
    const header = { kind: 1, session: 5, seq: 9, ack: 9 } as const;
    path.receive(path, header, Buffer.alloc(20), []);
    expect(session.isClosed).toBe(false);
  });

  it("detaches its session when the hub ends the relay", () => {
    const { session, path, detached } = start();
    session.attach(path);
    path.linkLost(path, new DuplexityError("DPX_LINK_LOST", "The client's link is gone"));
    expect(detached).toMatchObject([{ code: "DPX_LINK_LOST" }]);
    expect([path.isOpen, session.isClosed]).toEqual([false, false]);
  });
});
