// Public TCP ports: bytes both ways, ends apart, waiting while the client is away.

import { once } from "node:events";
import { createServer } from "node:net";
import { describe, expect, it, vi } from "vitest";
import { createTcpPorts, type TcpPorts } from "../../../src/server/proxy/index.ts";
import { DRAINING_HOLD_MS } from "../../../src/server/proxy/options.ts";
import { seededChunks, sha256 } from "../../support/seeded.ts";
import { freePort, listen } from "../../support/sockets.ts";
import { type Stage, useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { RawVisitor } from "../../support/visitor.ts";
import { poll } from "../../support/wait.ts";
import { FAKE_WINDOW_BYTES, FakeRoutes } from "./fake-routes.ts";

const stage = useStage();
const HOST = "db.example.test";

async function start(at: Stage, limits: { holdTimeoutMs?: number; maxHeld?: number } = {}) {
  const routes = new FakeRoutes(at);
  const port = await freePort();
  const ports: TcpPorts = createTcpPorts({ from: 1_024, to: 65_535, host: "127.0.0.1", routes, limits });
  at.defer(() => ports.closeAll());
  const open = (originPort: number, state: "up" | "away" = "up") =>
    ports.open(routes.register(HOST, originPort, { protocol: "tcp", tcpPort: port, state }));
  return { routes, port, ports, open, visitor: () => RawVisitor.open(at, port) };
}

describe("createTcpPorts", () => {
  it("passes bytes both ways, and an answer after the visitor's half-close", async () => {
    const { routes, open, visitor, ports } = await start(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.write("welcome");
      let received = "";
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString();
      });
      socket.on("end", () => socket.end(received.toUpperCase()));
    });
    await open(origin.port);
    const peer = await visitor();
    const { localPort } = peer.socket;
    expect(await peer.readBytes(7)).toBe("welcome");
    peer.write("late");
    peer.end();
    expect(await peer.readAll()).toBe("LATE");
    expect(peer.error).toBe(null);
    await poll(() => ports.statistics.openVisitors === 0, 5_000, "no visitor", 2);
    expect(routes.streams[0]?.resetCode).toBe(null);
    expect(routes.streams[0]?.request).toEqual({
      hostname: HOST,
      protocol: "tcp",
      visitor: `127.0.0.1:${localPort}`,
      isTls: false,
    });
    expect(routes.reports).toMatchObject([{ method: "TCP", requestBytes: 4, responseBytes: 11 }]);
  });

  it("keeps the visitor's direction open when the target ends first", async () => {
    const { open, visitor } = await start(stage);
    let received = "";
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.end("bye");
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString();
      });
    });
    await open(origin.port);
    const peer = await visitor();
    expect(await peer.readAll()).toBe("bye");
    peer.write("still here");
    await poll(() => received === "still here", 5_000, "the visitor's bytes", 2);
    peer.end();
  });

  it("resets a visitor that its gate does not let in, before a stream is opened", async () => {
    const { routes, open, visitor, ports } = await start(stage);
    const origin = await startTcpOrigin(stage, (socket) => socket.end("hello"));
    await open(origin.port);
    routes.change(HOST, { gate: { allowCidr: ["127.0.0.0/8"] } });
    const welcome = await visitor();
    expect(await welcome.readAll()).toBe("hello");
    welcome.end();
    await poll(() => ports.statistics.openVisitors === 0, 5_000, "no visitor", 2);
    const closed = [
      { allowCidr: ["192.0.2.0/24"] },
      { allowCidr: ["127.0.0.0/8"], login: true as const },
      { basicAuth: [{ user: "ada", hash: "" }] },
    ];
    for (const gate of closed) {
      routes.change(HOST, { gate });
      // The reset may come before the visitor knows that it is connected.
      const error = await visitor().then(
        async (peer) => {
          expect(await peer.readAll()).toBe("");
          return peer.error;
        },
        (reason: unknown) => reason,
      );
      expect(error).toMatchObject({ code: "ECONNRESET" });
    }
    await poll(() => ports.statistics.openVisitors === 0, 5_000, "no visitor", 2);
    expect(routes.streams).toHaveLength(1);
    expect(routes.reports.map(({ errorCode }) => errorCode ?? null)).toEqual([
      null,
      ...["DPX_VISITOR_FORBIDDEN", "DPX_VISITOR_FORBIDDEN", "DPX_VISITOR_FORBIDDEN"],
    ]);
  });

  it("passes 16 MiB exactly to a slow reader, with one window in memory", async () => {
    const { routes, open, visitor } = await start(stage);
    const total = 16 * 1_048_576;
    const expected = sha256();
    for (const chunk of seededChunks(5, total)) expected.update(chunk);
    const origin = await startTcpOrigin(stage, (socket) => {
      for (const chunk of seededChunks(5, total)) socket.write(chunk);
      socket.end();
    });
    await open(origin.port);
    const peer = await visitor();
    peer.socket.pause();
    await poll(() => (routes.streams[0]?.unconsumed ?? 0) >= FAKE_WINDOW_BYTES, 5_000, "a full window", 2);
    peer.socket.resume();
    const hash = sha256();
    for (;;) {
      const some = await peer.readSome();
      if (some.length === 0) break;
      hash.update(some);
    }
    expect(hash.digest("hex")).toBe(expected.digest("hex"));
    expect(routes.streams[0]?.peakUnconsumed).toBeLessThan(FAKE_WINDOW_BYTES + 65_537);
  });

  it("lets a visitor wait, unread, until the client is back", async () => {
    const { routes, open, visitor, ports } = await start(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.pipe(socket);
    });
    await open(origin.port);
    routes.cutLink();
    const peer = await visitor();
    peer.write("echo");
    await poll(() => ports.statistics.heldVisitors === 1, 5_000, "one held", 2);
    routes.restoreLink();
    expect(await peer.readBytes(4)).toBe("echo");
    expect(ports.statistics.heldVisitors).toBe(0);
  });

  it("resets a visitor that waited too long, or for whom there is no room", async () => {
    const { open, visitor, ports } = await start(stage, { holdTimeoutMs: 500, maxHeld: 1 });
    await open(1, "away");
    const first = await visitor();
    await poll(() => ports.statistics.heldVisitors === 1, 5_000, "one held", 2);
    // The reset may come before the connection is even known to be there.
    const error = await visitor().then(
      async (second) => second.readAll().then(() => second.error),
      (refused: unknown) => refused,
    );
    expect(error).toMatchObject({ code: "ECONNRESET" });
    await first.readAll();
    expect(first.error).toMatchObject({ code: "ECONNRESET" });
    await poll(() => ports.statistics.openVisitors + ports.statistics.heldVisitors === 0, 5_000, "no visitor", 2);
  });

  it("resets the visitor when the target refuses or the stream breaks", async () => {
    const { open, visitor, ports } = await start(stage);
    await open(await freePort());
    const error = await visitor().then(
      async (peer) => peer.readAll().then(() => peer.error),
      (refused: unknown) => refused,
    );
    expect(error).toMatchObject({ code: "ECONNRESET" });
    await poll(() => ports.statistics.openVisitors === 0, 5_000, "no visitor", 2);
  });

  it("resets the stream when the visitor is gone", async () => {
    const { routes, open, visitor, ports } = await start(stage);
    const origin = await startTcpOrigin(stage, () => {});
    await open(origin.port);
    const peer = await visitor();
    await poll(() => routes.streams.length === 1, 5_000, "a stream", 2);
    peer.socket.resetAndDestroy();
    await poll(() => ports.statistics.openVisitors === 0, 5_000, "no visitor", 2);
    expect(routes.streams[0]?.resetCode).toBe("DPX_VISITOR_GONE");
  });

  it("listens no more after close, while what runs goes on", async () => {
    const { open, visitor, ports, port } = await start(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.pipe(socket);
    });
    await open(origin.port);
    const peer = await visitor();
    await poll(() => ports.statistics.openVisitors === 1, 5_000, "a visitor", 2);
    // The port is free as soon as it was said, not only when the promise says so.
    const closed = ports.close(port);
    const probe = createServer();
    await listen(probe, port);
    await closed;
    probe.close();
    peer.write("on");
    expect(await peer.readBytes(2)).toBe("on");
  });

  it("gives a port that is open already to the hostname that registers it now", async () => {
    const { routes, open, visitor, ports, port } = await start(stage);
    const first = await startTcpOrigin(stage, (socket) => socket.end("first"));
    const second = await startTcpOrigin(stage, (socket) => socket.end("second"));
    await open(first.port);
    await ports.open(routes.register("db2.example.test", second.port, { protocol: "tcp", tcpPort: port }));
    expect(await (await visitor()).readAll()).toBe("second");
  });

  it("refuses a port outside its range, and one that something else holds", async () => {
    const { routes, ports, port } = await start(stage);
    const outside = routes.register(HOST, 1, { protocol: "tcp", tcpPort: 80 });
    await expect(ports.open(outside)).rejects.toMatchObject({
      code: "DPX_TCP_PORTS",
      message: `Cannot open port 80 for "${HOST}": the server's TCP ports are 1024-65535`,
    });
    const other = createServer();
    await listen(other, port);
    stage.defer(() => other.close());
    await expect(ports.open(routes.register(HOST, 1, { protocol: "tcp", tcpPort: port }))).rejects.toMatchObject({
      code: "DPX_TCP_PORTS",
    });
    other.close();
    await once(other, "close");
    await ports.open(routes.register(HOST, 1, { protocol: "tcp", tcpPort: port }));
    expect(ports.statistics.openPorts).toBe(1);
  });

  it("drains: lets those wait on whose client is up, and cuts those whose client is away", async () => {
    const { routes, open, visitor, ports } = await start(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.pipe(socket);
    });
    await open(origin.port);
    routes.cutLink();
    const peer = await visitor();
    peer.write("echo");
    await poll(() => ports.statistics.heldVisitors === 1, 5_000, "one held", 2);
    const drained = ports.drain(3_600_000);
    routes.restoreLink();
    expect(await peer.readBytes(4)).toBe("echo");
    peer.end();
    await drained;
    await peer.readAll();
    expect(peer.error).toBe(null);

    const next = await start(stage);
    await next.open(origin.port, "away");
    const waiting = await next.visitor();
    await poll(() => next.ports.statistics.heldVisitors === 1, 5_000, "one held", 2);
    await next.ports.drain(3_600_000);
    await waiting.readAll();
    expect(waiting.error).toMatchObject({ code: "ECONNRESET" });
  });

  it("drains: lets nobody wait longer for a way than that takes, however long what runs has", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    stage.defer(() => vi.useRealTimers());
    const { routes, open, visitor, ports } = await start(stage);
    await open(1);
    routes.cutLink();
    const peer = await visitor();
    await poll(() => ports.statistics.heldVisitors === 1, 5_000, "one held", 2);
    const drained = ports.drain(3_600_000);
    await poll(() => ports.statistics.heldVisitors === 1, 5_000, "it waits on", 2);
    vi.advanceTimersByTime(DRAINING_HOLD_MS - 2_000);
    // A route that flaps gives no more time.
    routes.restoreLink();
    routes.cutLink();
    await poll(() => routes.watched === 1, 5_000, "it waits again", 2);
    expect(ports.statistics.heldVisitors).toBe(1);
    vi.advanceTimersByTime(3_000);
    await peer.readAll();
    expect(peer.error).toMatchObject({ code: "ECONNRESET" });
    await drained;
  });

  it("drains: waits for what runs, then cuts it", async () => {
    const { open, visitor, ports } = await start(stage);
    const origin = await startTcpOrigin(stage, () => {});
    await open(origin.port);
    const peer = await visitor();
    await poll(() => ports.statistics.openVisitors === 1, 5_000, "a visitor", 2);
    await ports.drain(30);
    await peer.readAll();
    expect(peer.error).toMatchObject({ code: "ECONNRESET" });
    await poll(() => ports.statistics.openVisitors === 0, 5_000, "no visitor", 2);
  });
});
