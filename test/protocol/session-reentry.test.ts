// Handlers may do anything from inside any event: every pair of an event and a deed, in the middle of a busy session.

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Stream } from "../../src/protocol/index.ts";
import { pass, passUntil, pendingTimers, resumeTime, stopTime } from "./support/fake-time.ts";
import { frames, RawPeer } from "./support/raw-peer.ts";
import { REQUEST, SessionPair } from "./support/session-pair.ts";
import { StreamEnd } from "./support/stream-end.ts";

beforeEach(stopTime);
afterEach(resumeTime);

type Event = "accept" | "data" | "end" | "drain" | "reset" | "open" | "live" | "detached" | "close";
type Deed = "reset" | "end" | "write" | "writeMuch" | "consume" | "open" | "close" | "cut" | "reconnect" | "throw";

const events: readonly Event[] = ["accept", "data", "end", "drain", "reset", "open", "live", "detached", "close"];
const deeds: readonly Deed[] = ["reset", "end", "write", "writeMuch", "consume", "open", "close", "cut", "reconnect"];

/** A conversation both ways on three streams with a cut in the middle, in which `deed` is done inside each `event`. */
class Scene {
  readonly pair: SessionPair;
  readonly ends: StreamEnd[] = [];
  readonly #event: Event;
  readonly #deed: Deed;
  #deedsLeft = 3;
  #opened = 0;

  constructor(event: Event, deed: Deed) {
    this.#event = event;
    this.#deed = deed;
    const session = (who: "opener" | "acceptor") => ({
      onLive: () => this.#on("live", who),
      onDetached: () => this.#on("detached", who),
    });
    this.pair = new SessionPair({
      resumeWindowMs: 60_000,
      openerOptions: session("opener"),
      acceptorOptions: session("acceptor"),
      onOpen: (stream) => this.#accept(stream),
    });
    const closed = this.pair;
    for (const who of ["opener", "acceptor"] as const) {
      const key = `${who}Closed` as const;
      let error = closed[key];
      Object.defineProperty(closed, key, {
        get: () => error,
        set: (value) => {
          expect(error).toBeNull();
          error = value;
          this.#on("close", who);
        },
      });
    }
  }

  run(): void {
    const { pair } = this;
    pair.connect(2);
    const opened = [1, 2, 3].map(() => this.#open()).filter((end) => end !== null);
    for (const end of opened) end.write(300_000);
    pass(20);
    for (const end of this.ends) end.write(5_000);
    pass(5);
    pair.wires.at(-1)?.left.end();
    pair.wires.at(-1)?.right.end();
    pair.connect(2);
    pass(20);
    opened[0]?.end();
    this.ends[3]?.end();
    opened[1]?.reset("DPX_CANCELLED");
    pass(50);
    // Every link of this scene may be cut by a deed: there is always another.
    if (!pair.isLive) pair.connect();
    pass(500);
    // A deed may open further streams: they are to end, too.
    const isAtRest = () => {
      for (const end of this.ends) {
        end.readOn();
        end.end();
      }
      return pair.isQuiet && this.ends.every((end) => end.isOver);
    };
    passUntil(isAtRest, 120_000, 100);
    for (const end of this.ends) end.check();
    pair.dispose();
    pass(100);
    passUntil(() => pendingTimers() === 0);
  }

  #open(): StreamEnd | null {
    if (this.pair.opener.isClosed) return null;
    this.#opened += 1;
    const id = this.#opened;
    const end = this.#end(`opener's end ${id}`, id * 2, id * 2 + 1);
    end.stream = this.pair.opener.open(REQUEST, end);
    return end;
  }

  #accept(stream: Stream): void {
    const end = this.#end(`acceptor's end ${stream.id}`, stream.id * 2 + 1, stream.id * 2);
    end.stream = stream;
    stream.handler = end;
    stream.accept();
    this.#on("open", "acceptor", end);
  }

  #end(name: string, writeKey: number, readKey: number): StreamEnd {
    const end = new StreamEnd(name, writeKey, readKey);
    end.onEvent = (event) => this.#on(event, name.startsWith("opener") ? "opener" : "acceptor", end);
    this.ends.push(end);
    return end;
  }

  #on(event: Event, who: "opener" | "acceptor", end: StreamEnd | undefined = this.ends[0]): void {
    if (event !== this.#event || this.#deedsLeft === 0) return;
    this.#deedsLeft -= 1;
    const { pair } = this;
    switch (this.#deed) {
      case "reset":
        for (const one of this.ends) one.reset("DPX_CANCELLED");
        return;
      case "end":
        end?.end();
        return;
      case "write":
        end?.write(100);
        return;
      case "writeMuch":
        end?.write(300_000);
        return;
      case "consume":
        end?.stall();
        end?.readOn();
        return;
      case "open":
        this.#open();
        return;
      case "close":
        pair[who].close("DPX_REPLACED", "from inside");
        return;
      case "cut":
        pair.wires.at(-1)?.left.end();
        pair.wires.at(-1)?.right.end();
        return;
      case "reconnect":
        pair.connect(1);
        return;
      case "throw":
        throw new TypeError("from inside");
    }
  }
}

describe("Session", () => {
  it.each(events.flatMap((event) => deeds.map((deed) => [deed, event] as const)))(
    "bears %s inside %s",
    (deed, event) => {
      new Scene(event, deed).run();
    },
  );

  it.each(["accept", "data", "end", "open"] as const)("ends with DPX_INTERNAL when a handler throws in %s", (event) => {
    const scene = new Scene(event, "throw");
    scene.run();
    const errors = [scene.pair.openerClosed, scene.pair.acceptorClosed];
    expect(errors.map((error) => error?.code)).toEqual(["DPX_INTERNAL", "DPX_INTERNAL"]);
    expect(errors.some((error) => error?.cause instanceof TypeError)).toBe(true);
  });

  it("reads no further in a packet when a handler has closed the session", () => {
    const opened: number[] = [];
    const peer = RawPeer.live({
      role: "acceptor",
      onOpen(stream) {
        opened.push(stream.id);
        peer.session.close("DPX_REPLACED", "from inside");
      },
      onReport: () => opened.push(0),
    });
    peer.send(frames.open(1), frames.open(2), frames.report(REPORT), frames.data(1, 5), frames.fin(1));
    expect(opened).toEqual([1]);
    expect(peer.closed).toMatchObject({ code: "DPX_REPLACED", message: "from inside" });
    peer.dispose();
  });

  it("never calls onDrain inside write(), so that who waits after a false is woken", () => {
    const accepted: Stream[] = [];
    const pair = new SessionPair({
      onOpen(stream) {
        accepted.push(stream);
        stream.accept();
      },
    });
    const { left } = pair.connect();
    let isInside = false;
    let drains = 0;
    const end = new StreamEnd("opener's end", 2, 3);
    const stream = pair.opener.open(REQUEST, end);
    end.onDrain = () => {
      expect(isInside).toBe(false);
      drains += 1;
    };
    passUntil(() => accepted.length === 1);
    for (const size of [1, 16_384, 16_385, 262_144, 262_145]) {
      for (const congested of [false, true]) {
        left.bufferedBytes = congested ? 2_000_000 : 0;
        const before = drains;
        isInside = true;
        const first = stream.write(Buffer.alloc(size));
        left.bufferedBytes = 0;
        const second = stream.write(Buffer.alloc(size));
        isInside = false;
        for (const target of accepted) target.consume(0);
        pass(1);
        left.handler.onDrain();
        pass(20);
        accepted[0]?.consume(2 * size);
        pass(20);
        if (!first || !second) expect(drains).toBeGreaterThan(before);
      }
    }
    pair.dispose();
  });
});

const REPORT = JSON.stringify({
  ...{ hostname: "a", method: "GET", path: "/", status: 200, visitor: "" },
  ...{ durationMs: 1, responseBytes: 0, requestBytes: 0 },
});
