import { afterEach, describe, expect, it } from "vitest";
import {
  type DuplexityError,
  newSessionId,
  Session,
  SessionLink,
  type Stream,
  type StreamHandler,
} from "../../src/protocol/index.ts";
import { type MemoryLink, memoryLinks } from "./support/memory-link.ts";

const REQUEST = { hostname: "cat1.localhost", protocol: "http", visitor: "127.0.0.1:1", isTls: false } as const;
const HEARTBEAT = { idleMs: 10_000, timeoutMs: 5_000 };
const SILENT: StreamHandler = { onAccept() {}, onData() {}, onEnd() {}, onDrain() {}, onReset() {} };

const open = new Set<Session>();
afterEach(() => {
  for (const session of open) session.close("DPX_CANCELLED", "test over");
  open.clear();
});

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never true: ${condition}`);
}

describe("Session", () => {
  it("goes on when data for a stream that was reset meanwhile is sent again after a cut", async () => {
    const id = newSessionId();
    const closed: DuplexityError[] = [];
    const onClose = (error: DuplexityError) => closed.push(error);
    const accepted: Stream[] = [];
    const opener = new Session({ role: "opener", id, onClose });
    const acceptor = new Session({
      ...{ role: "acceptor", id, onClose },
      onOpen(stream) {
        accepted.push(stream);
        stream.accept();
      },
    });
    open.add(opener).add(acceptor);
    const connect = (): MemoryLink => {
      const [left, right] = memoryLinks();
      opener.attach(new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {} }));
      new SessionLink(right, { heartbeat: HEARTBEAT, onClose() {}, acceptSession: () => acceptor });
      return left;
    };

    const first = connect();
    let isReset = false;
    const stream = opener.open(REQUEST, { ...SILENT, onReset: () => (isReset = true) });
    await until(() => accepted.length === 1);
    // What the opener sends from here on is lost, what comes to it is not.
    first.isBlackHole = true;
    for (let packet = 0; packet < 3; packet += 1) {
      stream.write(Buffer.from("in a packet of its own"));
      await new Promise((resolve) => setImmediate(resolve));
    }
    accepted[0]?.reset("DPX_TARGET_BROKE");
    await until(() => isReset);
    first.cut();
    connect();
    await until(() => opener.isLive && acceptor.isLive);

    const next = opener.open(REQUEST, SILENT);
    next.end();
    await until(() => accepted.length === 2 || closed.length > 0);
    expect(closed).toEqual([]);
  });
});
