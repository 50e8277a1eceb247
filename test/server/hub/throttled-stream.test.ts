// A throttled stream is the stream itself, later: same bytes, same order, same ends; and exact in its rate.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DuplexityError, type ErrorCode, type Stream, type StreamHandler } from "../../../src/protocol/index.ts";
import { ByteBucket } from "../../../src/server/hub/byte-bucket.ts";
import { ThrottledStream } from "../../../src/server/hub/throttled-stream.ts";
import { ManualClock } from "../manual-clock.ts";

/** The session's stream as the throttle sees it. */
class FakeStream implements Stream {
  readonly id = 7;
  handler: StreamHandler;
  isLive = true;
  writtenBytes = 0;
  sendCredit = 99;
  hasRoom = true;
  readonly events: string[] = [];

  constructor(handler: StreamHandler) {
    this.handler = handler;
  }

  accept(): void {
    this.events.push("accept");
  }

  write(chunk: Buffer | string): boolean {
    this.writtenBytes += chunk.length;
    this.events.push(chunk.toString());
    return this.hasRoom;
  }

  end(): void {
    this.events.push("END");
  }

  reset(code: ErrorCode, deliveredBytes?: number): void {
    this.events.push(`${code} ${deliveredBytes}`);
  }

  consume(bytes: number): void {
    this.events.push(`consume ${bytes}`);
  }
}

/** The proxy's side. */
class FakeUser implements StreamHandler {
  readonly events: string[] = [];

  onAccept(): void {
    this.events.push("accept");
  }

  onData(chunk: Buffer): void {
    this.events.push(chunk.toString());
  }

  onEnd(): void {
    this.events.push("END");
  }

  onDrain(): void {
    this.events.push("drain");
  }

  onReset({ code }: DuplexityError, deliveredBytes: number | null): void {
    this.events.push(`${code} ${deliveredBytes}`);
  }
}

/** At 1,000 bytes a second, of which the first 250 are there. */
function make() {
  const clock = new ManualClock();
  const bucket = new ByteBucket(1_000, clock);
  const user = new FakeUser();
  let inner: FakeStream | null = null;
  const open = (handler: StreamHandler): Stream => {
    inner = new FakeStream(handler);
    return inner;
  };
  const stream = new ThrottledStream(open, user, bucket);
  if (inner === null) throw new Error("nothing was opened");
  const made: FakeStream = inner;
  return { clock, bucket, user, stream, inner: made };
}

const GONE = new DuplexityError("DPX_TARGET_BROKE", "it broke");

describe("ThrottledStream", () => {
  it("passes everything at once while there are bytes", () => {
    const { stream, inner, user } = make();
    stream.accept();
    expect(stream.write("ab")).toBe(true);
    stream.consume(5);
    stream.end();
    expect(inner.events).toEqual(["accept", "ab", "consume 5", "END"]);
    stream.onAccept();
    stream.onData(Buffer.from("cd"));
    stream.onEnd();
    expect(user.events).toEqual(["accept", "cd", "END"]);
    expect([stream.id, stream.isLive, stream.sendCredit, stream.writtenBytes]).toEqual([7, true, 99, 2]);
  });

  it("makes a writer wait: in order, told when there is room, the end behind the last byte", () => {
    const { clock, stream, inner, user } = make();
    expect(stream.write("x".repeat(350))).toBe(true);
    expect(stream.write("one")).toBe(false);
    expect(stream.write("two")).toBe(false);
    expect(stream.writtenBytes).toBe(356);
    expect(inner.events).toHaveLength(1);
    clock.advance(200);
    expect(inner.events.slice(1)).toEqual(["one", "two"]);
    expect(user.events).toEqual(["drain"]);
    stream.write("y".repeat(1_000));
    stream.write("three");
    stream.end();
    clock.advance(3_000);
    expect(inner.events.slice(-2)).toEqual(["three", "END"]);
    // Who has ended is told nothing.
    expect(user.events).toEqual(["drain"]);
  });

  it("tells of room only when the stream itself has some, too", () => {
    const { clock, stream, inner, user } = make();
    stream.write("x".repeat(300));
    inner.hasRoom = false;
    stream.write("one");
    stream.onDrain();
    expect(user.events).toEqual([]);
    clock.advance(1_000);
    expect(inner.events.at(-1)).toBe("one");
    expect(user.events).toEqual([]);
    stream.onDrain();
    expect(user.events).toEqual(["drain"]);
  });

  it("keeps a copy of a small piece, which its writer may use again", () => {
    const { clock, stream, inner } = make();
    stream.write("x".repeat(300));
    const piece = Buffer.from("mine");
    stream.write(piece);
    piece.fill("?");
    clock.advance(1_000);
    expect(inner.events.at(-1)).toBe("mine");
  });

  it("tells a reader later, in order, the end behind the last byte", () => {
    const { clock, stream, user } = make();
    stream.onData(Buffer.alloc(300, "x"));
    stream.onData(Buffer.from("one"));
    stream.onData(Buffer.from("two"));
    stream.onEnd();
    expect(user.events).toHaveLength(1);
    clock.advance(1_000);
    expect(user.events.slice(1)).toEqual(["one", "two", "END"]);
  });

  it("drops what waits when the stream is reset, by either side", () => {
    const byPeer = make();
    byPeer.stream.onData(Buffer.alloc(300));
    byPeer.stream.onData(Buffer.from("half"));
    byPeer.stream.onReset(GONE, 3);
    byPeer.clock.advance(10_000);
    expect(byPeer.user.events.slice(1)).toEqual(["DPX_TARGET_BROKE 3"]);
    const byUser = make();
    byUser.stream.write("x".repeat(300));
    byUser.stream.write("late");
    byUser.stream.onData(Buffer.from("late, too"));
    byUser.stream.onEnd();
    byUser.stream.reset("DPX_VISITOR_GONE", 4);
    byUser.clock.advance(10_000);
    expect(byUser.inner.events.slice(1)).toEqual(["DPX_VISITOR_GONE 4"]);
    expect(byUser.user.events).toEqual([]);
    expect(byUser.clock.pending).toBe(0);
  });

  it("tells a whole answer to its end although the session ended behind it", () => {
    const { clock, stream, user } = make();
    stream.onData(Buffer.alloc(300));
    stream.onData(Buffer.from("whole"));
    stream.onEnd();
    stream.onReset(GONE, null);
    expect(user.events).toHaveLength(1);
    clock.advance(1_000);
    expect(user.events.slice(1)).toEqual(["whole", "END", "DPX_TARGET_BROKE null"]);
  });

  it("shares the owner's rate among streams and directions", () => {
    const { clock, bucket, stream, user, inner } = make();
    const otherUser = new FakeUser();
    const other = new ThrottledStream((handler) => new FakeStream(handler), otherUser, bucket);
    for (let count = 0; count < 500; count += 1) {
      stream.write("a".repeat(10));
      stream.onData(Buffer.alloc(10, "b"));
      other.onData(Buffer.alloc(10, "c"));
    }
    const passed = (events: readonly string[]) => events.reduce((sum, text) => sum + text.length, 0);
    for (let second = 1; second <= 10; second += 1) {
      clock.advance(1_000);
      const all = passed(inner.events) + passed(user.events) + passed(otherUser.events);
      expect(all).toBeGreaterThan(second * 1_000 - 20);
      expect(all).toBeLessThanOrEqual(second * 1_000 + 250 + 10);
    }
    expect(passed(otherUser.events)).toBeGreaterThan(3_000);
    expect(passed(inner.events)).toBeGreaterThan(3_000);
  });

  it("never loses, repeats or reorders a byte, however pieces and time go", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("write" as const), size: fc.integer({ min: 1, max: 600 }) }),
      fc.record({ kind: fc.constant("data" as const), size: fc.integer({ min: 1, max: 600 }) }),
      fc.record({ kind: fc.constant("time" as const), size: fc.integer({ min: 1, max: 500 }) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const { clock, stream, user, inner } = make();
        let written = "";
        let came = "";
        for (const [index, { kind, size }] of steps.entries()) {
          const text = String.fromCharCode(97 + (index % 26)).repeat(size);
          if (kind === "time") {
            clock.advance(size);
          } else if (kind === "write") {
            written += text;
            stream.write(text);
          } else {
            came += text;
            stream.onData(Buffer.from(text));
          }
        }
        stream.end();
        stream.onEnd();
        clock.advance(1_000_000);
        expect(inner.events.join("")).toBe(`${written}END`);
        expect(user.events.filter((event) => event !== "drain").join("")).toBe(`${came}END`);
        expect(clock.pending).toBe(0);
      }),
    );
  });
});
