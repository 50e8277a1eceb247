// What ends because nothing moves, what never does, and how a proxy drains.

import { createServer } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { DRAINING_HOLD_MS, HALF_CLOSED_IDLE_MS, HALF_CLOSED_WAIT_MS } from "../../../src/server/proxy/options.ts";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin, startTcpOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HOST = "a.example.test";
const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

describe("deadlines", () => {
  it("end a head that trickles in, counted from its first byte", async () => {
    const { visitor } = await startProxy(stage, { limits: { headTimeoutMs: 150 } });
    const peer = await visitor();
    peer.write("GET / HTTP/1.1\r\nX: ");
    const trickle = setInterval(() => peer.write("x"), 20);
    stage.defer(() => clearInterval(trickle));
    const answer = await readAnswer(peer);
    clearInterval(trickle);
    expect(answer.status).toBe(408);
    expect(answer.fields.get("duplexity-error")).toBe("DPX_HEAD_TIMEOUT");
    await peer.readAll();
  });

  it("end a connection that never says anything, and an idle one, without a word", async () => {
    const { visitor, routes, settled } = await startProxy(stage, {
      limits: { headTimeoutMs: 500, idleTimeoutMs: 500 },
    });
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register(HOST, origin.port);
    const silent = await visitor();
    const idle = await visitor();
    idle.write(get("/"));
    expect((await readAnswer(idle)).body).toBe("hello");
    expect(await silent.readAll()).toBe("");
    expect(await idle.readAll()).toBe("");
    silent.end();
    idle.end();
    await settled();
  });

  it("never end an answer, an upload or a tunnel that is merely silent", async () => {
    const { visitor, routes, proxy } = await startProxy(stage, {
      limits: { headTimeoutMs: 300, idleTimeoutMs: 300, holdTimeoutMs: 300 },
    });
    const switched = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n";
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", (chunk: Buffer) => {
        if (chunk.toString().startsWith("GET /sse"))
          socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        if (chunk.toString().startsWith("GET /up")) socket.write(switched);
      });
    });
    routes.register(HOST, origin.port);
    const peers = await Promise.all([visitor(), visitor(), visitor(), visitor()]);
    peers[0]?.write(get("/sse"));
    peers[1]?.write(get("/up", HOST, "Connection: Upgrade\r\nUpgrade: x\r\n"));
    peers[2]?.write(get("/waits"));
    peers[3]?.write(`PUT / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 9\r\n\r\nx`);
    await poll(() => routes.streams.length === 4, 5_000, "all streams", 2);
    // Five times every limit.
    const silent = await visitor();
    for (let turn = 0; turn < 5; turn++) {
      const peer = turn === 0 ? silent : await visitor();
      await peer.readAll();
      peer.socket.destroy();
    }
    await poll(() => proxy.statistics.openVisitors === 4, 5_000, "the others to be gone", 2);
    expect(routes.streams.some((stream) => stream.isReset)).toBe(false);
    expect(peers.some((peer) => peer.hasEnded)).toBe(false);
  });
});

describe("bodyIdleTimeoutMs", () => {
  const LIMITS = { bodyIdleTimeoutMs: 400 };
  const UPLOAD = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 9\r\n\r\nx`;

  it("ends an upload that has stopped with 408, and its stream", async () => {
    const { visitor, routes, settled } = await startProxy(stage, { limits: LIMITS });
    const origin = await startTcpOrigin(stage, () => {});
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(UPLOAD);
    const answer = await readAnswer(peer);
    expect([answer.status, answer.fields.get("duplexity-error")]).toEqual([408, "DPX_BODY_TIMEOUT"]);
    expect(answer.fields.get("connection")).toBe("close");
    expect(routes.streams[0]?.isReset).toBe(true);
    await peer.readAll();
    peer.end();
    await settled();
  });

  it("leaves one whose answer has begun: a stream both ways may be silent", async () => {
    const { visitor, routes } = await startProxy(stage, { limits: { ...LIMITS, headTimeoutMs: 400 } });
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n"));
    });
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(UPLOAD);
    await poll(() => peer.received.toString().endsWith("data: 1\n\n"), 5_000, "the first event", 2);
    for (let turn = 0; turn < 4; turn++) await (await visitor()).readAll();
    expect(routes.streams[0]?.isReset).toBe(false);
    expect(peer.hasEnded).toBe(false);
  });

  it("ends nothing that trickles, waits for its target or its client, or has no body to send", async () => {
    const { visitor, routes, proxy } = await startProxy(stage, { limits: LIMITS });
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", (chunk: Buffer) => {
        if (chunk.includes("/full")) socket.pause();
      });
    });
    routes.register(HOST, origin.port);
    routes.register("away.example.test", origin.port, { state: "away" });
    const [trickling, blocked, away, silent] = await Promise.all([visitor(), visitor(), visitor(), visitor()]);
    trickling.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 9999\r\n\r\nx`);
    blocked.write(`POST /full HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 99999999\r\n\r\n`);
    blocked.write(Buffer.alloc(32_000_000));
    away.write(UPLOAD.replace(HOST, "away.example.test"));
    silent.write(get("/sse"));
    const trickle = setInterval(() => trickling.write("x"), 20);
    stage.defer(() => clearInterval(trickle));
    await poll(() => routes.streams.length === 3, 5_000, "all streams", 2);
    // Another one that stops after the others began: four times, one after another.
    for (let turn = 0; turn < 4; turn++) {
      const peer = await visitor();
      peer.write(UPLOAD);
      expect((await readAnswer(peer)).status).toBe(408);
      peer.socket.destroy();
    }
    expect(routes.streams.slice(0, 3).map((stream) => stream.isReset)).toEqual([false, false, false]);
    expect(proxy.statistics.heldRequests).toBe(1);
  });

  it("is off when it is 0", async () => {
    const { visitor, routes } = await startProxy(stage, { limits: { bodyIdleTimeoutMs: 0, headTimeoutMs: 300 } });
    const origin = await startTcpOrigin(stage, () => {});
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(UPLOAD);
    await poll(() => routes.streams.length === 1, 5_000, "the stream", 2);
    for (let turn = 0; turn < 4; turn++) await (await visitor()).readAll();
    expect(routes.streams[0]?.isReset).toBe(false);
  });
});

describe("a visitor that has ended its side", () => {
  it("is taken for gone when its answer falls silent, but not before it began", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    stage.defer(() => vi.useRealTimers());
    const { visitor, routes } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", (chunk: Buffer) => {
        if (chunk.includes("/events"))
          socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
      });
    });
    routes.register(HOST, origin.port);
    const events = await visitor();
    events.write(get("/events"));
    await events.readUntil("one\r\n");
    events.end();
    const waits = await visitor();
    waits.write(get("/slow"));
    waits.end();
    await poll(() => (routes.streams[1]?.deliveredBytes ?? 0) > 0, 5_000, "the second request", 2);
    await new Promise(setImmediate);
    // A sweep takes the time, the next one sees what is over.
    vi.advanceTimersByTime(HALF_CLOSED_IDLE_MS + 2_000);
    await events.readAll();
    await poll(() => routes.streams[0]?.resetCode, 5_000, "the stream's end", 2);
    expect(routes.streams[0]?.resetCode).toBe("DPX_VISITOR_GONE");
    expect(routes.streams[1]?.resetCode).toBe(null);
    expect(waits.hasEnded).toBe(false);
    vi.advanceTimersByTime(HALF_CLOSED_WAIT_MS);
    await waits.readAll();
  });
});

describe("a connection that is cut", () => {
  const HALF = "HTTP/1.1 200 OK\r\n\r\nhalf";
  const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhalf";
  const UPGRADE = get("/", HOST, "Connection: Upgrade\r\nUpgrade: x\r\n");

  it.each([
    ["by the proxy's end, in an answer without a length", HALF, get("/")],
    ["by the proxy's end, in a tunnel", SWITCHED, UPGRADE],
  ])("%s, is reset, so that it does not look complete", async (_what, answer, request) => {
    const { visitor, routes, proxy, settled } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write(answer));
    });
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(request);
    await peer.readUntil("half");
    await proxy.drain(1);
    await peer.readAll();
    expect(peer.error).toMatchObject({ code: "ECONNRESET" });
    await settled();
  });

  it("because its visitor ended its side and its answer without a length rests, is reset, too", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    stage.defer(() => vi.useRealTimers());
    const { visitor, routes } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write(HALF));
    });
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    await peer.readUntil("half");
    peer.end();
    await poll(
      () => {
        vi.advanceTimersByTime(HALF_CLOSED_IDLE_MS);
        return peer.hasEnded;
      },
      // Of the clock that it moves itself.
      3_600_000,
      "the cut",
      5,
    );
    expect(peer.error).toMatchObject({ code: "ECONNRESET" });
  });
});

describe("drain", () => {
  it("ends idle connections, lets the running ones finish with Connection: close, and resolves", async () => {
    const { visitor, routes, proxy } = await startProxy(stage);
    let finish = (): void => {};
    const origin = createServer((request, response) => {
      if (request.url === "/idle") response.end();
      else finish = () => response.end("done");
    });
    closeWithSockets(stage, origin);
    routes.register(HOST, await listen(origin));
    const idle = await visitor();
    idle.write(get("/idle"));
    await readAnswer(idle);
    const busy = await visitor();
    busy.write(get("/busy"));
    await poll(() => routes.streams.length >= 1 && proxy.statistics.openExchanges === 1, 5_000, "the request", 2);
    await poll(() => (routes.streams.at(-1)?.deliveredBytes ?? 0) > 0, 5_000, "the delivery", 2);
    const drained = proxy.drain(10_000);
    expect(await idle.readAll()).toBe("");
    idle.end();
    await new Promise(setImmediate);
    await poll(() => finish.toString() !== "() => { }", 1_000, "the origin", 2);
    await new Promise((resolve) => setTimeout(resolve, 5));
    finish();
    const answer = await readAnswer(busy);
    expect(answer.body).toBe("done");
    expect(answer.fields.get("connection")).toBe("close");
    await busy.readAll();
    busy.end();
    await drained;
    expect(proxy.statistics).toMatchObject({ openVisitors: 0, openExchanges: 0, idleStreams: 0 });
  });

  it("lets a first visitor wait while the way to a client that is up is being opened", async () => {
    const { visitor, routes, proxy } = await startProxy(stage, { isDraining: () => true });
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register(HOST, origin.port);
    routes.cutLink();
    const peer = await visitor();
    peer.write(get("/"));
    await poll(() => proxy.statistics.heldRequests === 1, 5_000, "the held request", 2);
    routes.restoreLink();
    expect((await readAnswer(peer)).body).toBe("hello");
  });

  it("refuses at once whose client is away, also who waits for it already, and does not last to its deadline", async () => {
    const { visitor, routes, proxy } = await startProxy(stage);
    routes.register(HOST, 1, { state: "away" });
    const [held, late] = await Promise.all([visitor(), visitor()]);
    held.write(get("/"));
    await poll(() => proxy.statistics.heldRequests === 1, 5_000, "the held request", 2);
    const drained = proxy.drain(3_600_000);
    late.write(get("/"));
    for (const peer of [held, late]) {
      expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_DRAINING");
      await peer.readAll();
      peer.end();
    }
    await drained;
    expect(routes.watched).toBe(0);
  });

  it("waits for the way to a client only so long, however long the others have", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval", "performance"] });
    stage.defer(() => vi.useRealTimers());
    const { visitor, routes, proxy } = await startProxy(stage);
    routes.register(HOST, 1);
    routes.cutLink();
    const [held, late] = await Promise.all([visitor(), visitor()]);
    held.write(get("/"));
    await poll(() => proxy.statistics.heldRequests === 1, 5_000, "the held request", 2);
    const drained = proxy.drain(3_600_000);
    late.write(get("/"));
    await poll(() => proxy.statistics.heldRequests === 2, 5_000, "both", 2);
    // A sweep takes the time, the next one sees what is over.
    vi.advanceTimersByTime(DRAINING_HOLD_MS + 2_000);
    for (const peer of [held, late]) {
      expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_CLIENT_AWAY");
      await peer.readAll();
      peer.end();
    }
    await drained;
  });

  it("cuts what runs longer than its deadline and answers what is held", async () => {
    const { visitor, routes, proxy, settled } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, () => {});
    routes.register(HOST, origin.port);
    routes.register("away.example.test", origin.port, { state: "away" });
    const busy = await visitor();
    busy.write(get("/"));
    const held = await visitor();
    held.write(get("/", "away.example.test"));
    await poll(() => proxy.statistics.heldRequests === 1 && routes.streams.length === 1, 5_000, "both", 2);
    await proxy.drain(50);
    expect((await readAnswer(held)).fields.get("duplexity-error")).toBe("DPX_DRAINING");
    expect(await busy.readAll()).toBe("");
    await settled();
    expect(routes.watched).toBe(0);
    expect(routes.streams[0]?.resetCode).toBe("DPX_VISITOR_GONE");
  });

  it("is followed by the server's own draining state as well", async () => {
    const { visitor, routes } = await startProxy(stage, { isDraining: () => true });
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    expect((await readAnswer(peer)).fields.get("connection")).toBe("close");
  });
});
