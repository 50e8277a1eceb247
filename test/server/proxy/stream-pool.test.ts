// Which idle stream is used next, and which never again.

import { describe, expect, it } from "vitest";
import { DuplexityError, type OpenRequest, type Stream, type StreamHandler } from "../../../src/protocol/index.ts";
import { IDLE_STREAM_MS, MAX_IDLE_STREAMS } from "../../../src/server/proxy/options.ts";
import { OriginStream } from "../../../src/server/proxy/origin-stream.ts";
import { StreamPool } from "../../../src/server/proxy/stream-pool.ts";
import type { Route, Routes } from "../../../src/server/routes.ts";

const ROUTE: Route = {
  hostname: "a.example.test",
  protocol: "http",
  clientId: "c1",
  epoch: 1,
  state: "up",
  wantsReports: false,
};

class IdleStream implements Stream {
  readonly sendCredit = 16_777_216;
  readonly id = 1;
  readonly writtenBytes = 0;
  isLive = true;
  resets = 0;
  handler: StreamHandler;
  constructor(handler: StreamHandler) {
    this.handler = handler;
  }
  accept(): void {}
  write(): boolean {
    return true;
  }
  end(): void {}
  reset(): void {
    this.resets++;
  }
  consume(): void {}
}

function setup() {
  const streams: IdleStream[] = [];
  let current: Route | null = ROUTE;
  const routes: Routes = {
    locate: () => current,
    open: (_route: Route, _request: OpenRequest, handler: StreamHandler) => {
      const stream = new IdleStream(handler);
      streams.push(stream);
      return stream;
    },
    changed: () => new Promise(() => {}),
    report: () => {},
  };
  const pool = new StreamPool(routes);
  const setRoute = (route: Route | null): void => {
    current = route;
  };
  const open = (route = ROUTE) => new OriginStream(routes, route, pool, { address: "", isTls: false });
  return { pool, streams, open, setRoute };
}

describe("StreamPool", () => {
  it("gives the stream out first that was used last", () => {
    const { pool, open } = setup();
    const [first, second] = [open(), open()];
    pool.put(first, 0);
    pool.put(second, 1);
    expect(pool.take(ROUTE)).toBe(second);
    expect(pool.take(ROUTE)).toBe(first);
    expect(first.isReused).toBe(true);
    expect(pool.take(ROUTE)).toBe(null);
    expect(pool.count).toBe(0);
  });

  it("keeps streams when the route's object changes, and ends them when it changes hands", () => {
    const { pool, streams, open } = setup();
    pool.put(open(), 0);
    pool.put(open(), 0);
    expect(pool.take({ ...ROUTE })).not.toBe(null);
    expect(pool.take({ ...ROUTE, epoch: 2 })).toBe(null);
    expect(streams.map((stream) => stream.resets)).toEqual([1, 0]);
    expect(pool.count).toBe(0);
  });

  it("does not take back a stream of an earlier registration", () => {
    const { pool, streams, open, setRoute } = setup();
    const old = open();
    setRoute({ ...ROUTE, epoch: 2 });
    pool.put(open({ ...ROUTE, epoch: 2 }), 0);
    pool.put(old, 0);
    expect(streams.map((stream) => stream.resets)).toEqual([1, 0]);
    expect(pool.count).toBe(1);
  });

  it("ends the idle streams of a registration that is over, and takes none back", () => {
    const { pool, streams, open, setRoute } = setup();
    const running = open();
    const other = { ...ROUTE, epoch: 2 };
    pool.put(open(), 0);
    pool.drop(other);
    expect(pool.count).toBe(1);
    setRoute(null);
    pool.drop({ ...ROUTE, state: "away" });
    expect(streams.map((stream) => stream.resets)).toEqual([0, 1]);
    pool.put(running, 0);
    expect(streams.map((stream) => stream.resets)).toEqual([1, 1]);
    expect(pool.count).toBe(0);
  });

  it("gives out no stream whose link is down, and keeps it", () => {
    const { pool, streams, open } = setup();
    pool.put(open(), 0);
    for (const stream of streams) stream.isLive = false;
    expect(pool.take(ROUTE)).toBe(null);
    expect(pool.count).toBe(1);
  });

  it("ends streams that were idle too long, the oldest when there are too many, and all when it closes", () => {
    const { pool, streams, open } = setup();
    pool.put(open(), 0);
    pool.put(open(), 1_000);
    pool.sweep(IDLE_STREAM_MS);
    expect(streams.map((stream) => stream.resets)).toEqual([1, 0]);
    for (let index = 0; index < MAX_IDLE_STREAMS; index++) pool.put(open(), 2_000);
    expect(pool.count).toBe(MAX_IDLE_STREAMS);
    expect(streams[1]?.resets).toBe(1);
    pool.close();
    expect(pool.count).toBe(0);
    expect(streams.every((stream) => stream.resets === 1)).toBe(true);
  });

  it("forgets a stream that is reset, ends, or speaks while it is idle", () => {
    const { pool, streams, open } = setup();
    for (let index = 0; index < 3; index++) pool.put(open(), 0);
    streams[0]?.handler.onEnd();
    streams[1]?.handler.onData(Buffer.from("x"));
    streams[2]?.handler.onReset(new DuplexityError("DPX_LINK_LOST", "Gone"), null);
    expect(pool.count).toBe(0);
    expect(streams.map((stream) => stream.resets)).toEqual([1, 1, 0]);
  });
});
