import { afterEach, describe, expect, it } from "vitest";
import {
  type DuplexityError,
  newSessionId,
  type OpenRequest,
  Session,
  SessionLink,
  type Stream,
  type StreamHandler,
} from "../../src/protocol/index.ts";
import { type MemoryLink, memoryLinks } from "./support/memory-link.ts";

const REQUEST: OpenRequest = { hostname: "cat1.localhost", protocol: "http", visitor: "127.0.0.1:1", isTls: false };
const HEARTBEAT = { idleMs: 10_000, timeoutMs: 5_000 };

const open = new Set<Session>();
afterEach(() => {
  for (const session of open) session.close("DPX_CANCELLED", "test over");
  open.clear();
});

/** Collects what a stream receives and consumes it at once, unless told to stall. */
class Collector implements StreamHandler {
  readonly chunks: Buffer[] = [];
  isAccepted = false;
  isEnded = false;
  error: DuplexityError | null = null;
  deliveredBytes: number | null = null;
  drains = 0;
  stream: Stream | undefined;
  isStalled = false;
  onDrained: () => void = () => {};
  onFinished: () => void = () => {};
  onAccept(): void {
    this.isAccepted = true;
  }
  onData(chunk: Buffer): void {
    this.chunks.push(Buffer.from(chunk));
    if (!this.isStalled) this.stream?.consume(chunk.length);
  }
  onEnd(): void {
    this.isEnded = true;
    this.onFinished();
  }
  onDrain(): void {
    this.drains += 1;
    this.onDrained();
  }
  onReset(error: DuplexityError, deliveredBytes: number | null): void {
    this.error = error;
    this.deliveredBytes = deliveredBytes;
    this.onFinished();
  }
  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

function pair(onOpen?: (stream: Stream, request: OpenRequest) => void) {
  const id = newSessionId();
  const closed: { opener: DuplexityError | null; acceptor: DuplexityError | null } = { opener: null, acceptor: null };
  const opener = new Session({ role: "opener", id, onClose: (error) => (closed.opener = error) });
  const acceptor = new Session({
    role: "acceptor",
    id,
    onClose: (error) => (closed.acceptor = error),
    ...(onOpen === undefined ? {} : { onOpen }),
  });
  open.add(opener);
  open.add(acceptor);
  const connect = (): [MemoryLink, MemoryLink] => {
    const [left, right] = memoryLinks();
    const link = new SessionLink(left, { heartbeat: HEARTBEAT, onClose() {} });
    new SessionLink(right, { heartbeat: HEARTBEAT, onClose() {}, acceptSession: () => acceptor });
    opener.attach(link);
    return [left, right];
  };
  return { opener, acceptor, connect, closed };
}

function echo(stream: Stream): void {
  stream.accept();
  stream.handler = {
    onAccept() {},
    onData(chunk) {
      stream.write(chunk);
      stream.consume(chunk.length);
    },
    onEnd: () => stream.end(),
    onDrain() {},
    onReset() {},
  };
}

async function until(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100_000; turn += 1) {
    if (condition()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`never true: ${condition}`);
}

describe("Session", () => {
  it("carries bytes both ways and closes each direction apart", async () => {
    const { opener, acceptor, connect } = pair(echo);
    connect();
    const collector = new Collector();
    const stream = opener.open(REQUEST, collector);
    collector.stream = stream;
    stream.write("hello ");
    stream.write(Buffer.from("world"));
    stream.end();
    await until(() => collector.isEnded);
    expect(collector.isAccepted).toBe(true);
    expect(collector.bytes.toString()).toBe("hello world");
    await until(() => opener.bufferedBytes === 0 && acceptor.bufferedBytes === 0);
    expect(opener.openStreams + acceptor.openStreams).toBe(0);
  });

  it("sends again on a new link what the old one lost", async () => {
    const { opener, acceptor, connect } = pair(echo);
    let [left] = connect();
    const collector = new Collector();
    const stream = opener.open(REQUEST, collector);
    collector.stream = stream;
    const sent: Buffer[] = [];
    for (let round = 0; round < 40; round += 1) {
      const chunk = Buffer.alloc(1 + ((round * 7919) % 60_000), round);
      sent.push(Buffer.from(chunk));
      stream.write(chunk);
      await new Promise((resolve) => setImmediate(resolve));
      if (round % 5 === 4) {
        left.cut();
        [left] = connect();
      }
    }
    stream.end();
    await until(() => collector.isEnded);
    expect(collector.bytes.equals(Buffer.concat(sent))).toBe(true);
    await until(() => opener.bufferedBytes === 0 && acceptor.bufferedBytes === 0);
  });
});
