// Bodies of any size and pace: constant memory, early answers, broken answers, upgrades.

import { createHash } from "node:crypto";
import { createServer } from "node:http";
import { describe, expect, it, vi } from "vitest";
import { seededChunks, sha256 } from "../../support/seeded.ts";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { FAKE_WINDOW_BYTES } from "./fake-routes.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HOST = "a.example.test";
const MIB = 1_048_576;

describe("a body", () => {
  it("goes down exactly, by length and by chunks, and no stream keeps credit", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = createServer(async (request, response) => {
      if (request.url === "/length") response.setHeader("content-length", 20 * MIB);
      for (const chunk of seededChunks(1, 20 * MIB)) {
        if (!response.write(chunk)) await new Promise((resolve) => response.once("drain", resolve));
      }
      response.end();
    });
    closeWithSockets(stage, origin);
    routes.register(HOST, await listen(origin));
    const expected = sha256();
    for (const chunk of seededChunks(1, 20 * MIB)) expected.update(chunk);
    const wanted = expected.digest("hex");
    for (const path of ["/length", "/chunks"]) {
      const peer = await visitor();
      peer.write(get(path, HOST, "Connection: close\r\n"));
      await peer.readUntil("\r\n\r\n");
      const hash = createHash("sha256");
      if (path === "/length") {
        let left = 20 * MIB;
        while (left > 0) {
          const some = await peer.readSome();
          left -= some.length;
          hash.update(some);
        }
      } else {
        for (;;) {
          const size = Number.parseInt(await peer.readUntil("\r\n"), 16);
          if (size === 0) break;
          hash.update(Buffer.from(await peer.readBytes(size), "latin1"));
          await peer.readUntil("\r\n");
        }
      }
      expect(hash.digest("hex")).toBe(wanted);
    }
    await poll(() => routes.streams.every((stream) => stream.unconsumed === 0), 5_000, "all credit back", 2);
  });

  it("goes up exactly, with little in memory while the target does not read", async () => {
    const { visitor, routes } = await startProxy(stage);
    let resume: (() => void) | null = null;
    const received = sha256();
    const origin = createServer((request, response) => {
      request.pause();
      resume = () => {
        request.on("data", (chunk: Buffer) => received.update(chunk));
        request.on("end", () => response.end("done"));
        request.resume();
      };
    });
    closeWithSockets(stage, origin);
    routes.register(HOST, await listen(origin));
    const peer = await visitor();
    const size = 24 * MIB;
    peer.write(`PUT / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${size}\r\n\r\n`);
    const sent = sha256();
    for (const chunk of seededChunks(2, size)) {
      sent.update(chunk);
      peer.socket.write(chunk);
    }
    await poll(() => (routes.streams[0]?.writtenBytes ?? 0) >= FAKE_WINDOW_BYTES, 5_000, "a full window", 2);
    const stalledAt = routes.streams[0]?.writtenBytes ?? 0;
    expect(stalledAt).toBeLessThan(8 * MIB);
    (await poll(() => resume, 5_000, "the request", 2))();
    expect((await readAnswer(peer)).body).toBe("done");
    expect(received.digest("hex")).toBe(sent.digest("hex"));
  });

  it("of a stalled reader costs one window, and its neighbour goes on", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = createServer(async (request, response) => {
      if (request.url === "/small") {
        response.end("small");
        return;
      }
      response.on("close", () => response.removeAllListeners("drain"));
      const chunk = Buffer.alloc(65_536);
      const pump = (): void => {
        while (response.write(chunk));
        response.once("drain", pump);
      };
      pump();
    });
    closeWithSockets(stage, origin);
    routes.register(HOST, await listen(origin));
    const stalled = await Promise.all(Array.from({ length: 10 }, visitor));
    for (const peer of stalled) {
      peer.socket.pause();
      peer.write(get("/endless"));
    }
    await poll(
      () => routes.streams.length === 10 && routes.streams.every((stream) => stream.unconsumed >= FAKE_WINDOW_BYTES),
      10_000,
      "all windows used up",
      5,
    );
    for (const stream of routes.streams) expect(stream.peakUnconsumed).toBeLessThan(FAKE_WINDOW_BYTES + 65_537);
    const neighbour = await visitor();
    neighbour.write(get("/small"));
    expect((await readAnswer(neighbour)).body).toBe("small");
    for (const peer of [...stalled, neighbour]) peer.socket.destroy();
    await settled();
  });

  it("pipelined behind unread answers does not pile up", async () => {
    const { visitor, routes } = await startProxy(stage);
    const body = "x".repeat(250_000);
    const origin = createServer((_request, response) => response.end(body));
    closeWithSockets(stage, origin);
    routes.register(HOST, await listen(origin));
    const peer = await visitor();
    peer.socket.pause();
    for (let index = 0; index < 120; index++) {
      peer.write(get(`/${index}`));
      // One by one: most come when the answer before waits to be read.
      await new Promise((resolve) => setTimeout(resolve, 8));
    }
    let last = -1;
    const hasStopped = () => {
      const before = last;
      last = routes.reports.length;
      return last === before && last > 0;
    };
    await poll(hasStopped, 10_000, "the proxy to wait for its visitor", 200);
    // The kernels take some MiB of the 30 that were asked for.
    expect(routes.reports.length).toBeLessThan(80);
    peer.socket.resume();
    for (let index = 0; index < 120; index++) expect((await readAnswer(peer)).body.length).toBe(body.length);
  });
});

describe("an early answer", () => {
  it("reaches a visitor that goes on sending, and then the connection ends", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig"));
    });
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(`PUT / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${64 * MIB}\r\n\r\n`);
    const sending = setInterval(() => peer.socket.write(Buffer.alloc(16_384)), 1);
    stage.defer(() => clearInterval(sending));
    const answer = await readAnswer(peer);
    expect(answer).toMatchObject({ status: 413, body: "big" });
    expect(answer.fields.get("connection")).toBe("close");
    await peer.readAll();
    clearInterval(sending);
    peer.socket.destroy();
    await settled();
    expect(routes.streams[0]?.resetCode).toBe("DPX_CANCELLED");
  });

  it("may go on while the upload does, in both directions", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = createServer((request, response) => request.pipe(response));
    closeWithSockets(stage, origin);
    routes.register(HOST, await listen(origin));
    const peer = await visitor();
    peer.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n`);
    peer.write("4\r\nping\r\n");
    await peer.readUntil("\r\n\r\n4\r\nping\r\n");
    peer.write("5\r\nagain\r\n");
    await peer.readUntil("5\r\nagain\r\n");
    peer.write("0\r\n\r\n");
    await peer.readUntil("0\r\n\r\n");
    expect(await peer.readAll()).toBe("");
  });
});

describe("a broken message", () => {
  it.each([
    ["length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"],
    ["chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"],
  ])("with %s reaches the visitor without its end", async (_how, bytes) => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.end(bytes));
    });
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    await peer.readUntil("\r\n\r\n");
    const rest = await peer.readAll();
    expect(rest).toContain("half");
    expect(rest).not.toContain("0\r\n\r\n");
    peer.socket.destroy();
    await settled();
    expect(routes.reports).toMatchObject([{ status: 200, errorCode: "DPX_TARGET_BROKE" }]);
  });

  it("without a length is reset, so that its end does not look like one", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\n\r\nhalf"));
    });
    routes.register(HOST, origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    await peer.readUntil("half");
    routes.streams[0]?.kill("DPX_LINK_LOST", null);
    await peer.readAll();
    expect(peer.error).toMatchObject({ code: "ECONNRESET" });
    await settled();
  });

  it("from the target is answered with 502, and what follows it is never passed on", async () => {
    const { visitor, routes } = await startProxy(stage);
    const answers = [
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "SSH-2.0-OpenSSH\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhi",
    ];
    let turn = 0;
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.on("data", () => socket.write(answers[turn++] ?? ""));
    });
    routes.register(HOST, origin.port);
    const peer = await visitor();
    for (const _ of answers) {
      peer.write(get("/"));
      const answer = await readAnswer(peer);
      expect(answer.status).toBe(502);
      expect(answer.fields.get("duplexity-error")).toBe("DPX_TARGET_ANSWER");
    }
    expect(routes.streams.length).toBe(answers.length);
    expect(routes.streams.every((stream) => stream.isReset)).toBe(true);
  });

  it("from the visitor is cut before the target takes it for whole", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    const bodies: string[] = [];
    const origin = createServer((request) => {
      request.on("data", (chunk: Buffer) => bodies.push(chunk.toString()));
      request.on("end", () => bodies.push("END"));
      request.on("error", () => bodies.push("BROKEN"));
    });
    closeWithSockets(stage, origin);
    routes.register(HOST, await listen(origin));
    const peer = await visitor();
    peer.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n`);
    await poll(() => bodies.length > 0, 5_000, "the first chunk", 2);
    peer.write("4\r\nbadXX0\r\n\r\n");
    const answer = await readAnswer(peer);
    expect(answer.fields.get("duplexity-error")).toBe("DPX_REQUEST_INVALID");
    const half = await visitor();
    half.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 100\r\n\r\nhalf`);
    half.end();
    expect((await readAnswer(half)).status).toBe(400);
    peer.end();
    await settled();
    await poll(() => bodies.includes("BROKEN"), 5_000, "the request to break at the target", 2);
    expect(bodies).not.toContain("END");
  });
});

describe("an upgrade", () => {
  const UPGRADE = `GET /ws HTTP/1.1\r\nHost: ${HOST}\r\nConnection: keep-alive, Upgrade\r\nUpgrade: echo\r\n\r\n`;
  const SWITCHED = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";

  it("becomes a tunnel, with the bytes that came behind both heads, and ends apart in each direction", async () => {
    const at = await startProxy(stage);
    let received = "";
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
        if (received.endsWith("\r\n\r\n")) socket.write(`${SWITCHED}early-down`);
        else if (received.endsWith("again")) socket.write("echo");
      });
      socket.on("end", () => socket.end("after-half-close"));
    });
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(`${UPGRADE}early-up`);
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(101);
    expect(answer.fields.get("upgrade")).toBe("echo");
    expect(await peer.readBytes(10)).toBe("early-down");
    await poll(() => received.endsWith("early-up"), 5_000, "the bytes behind the head", 2);
    expect(at.proxy.statistics.openTunnels).toBe(1);
    peer.write("again");
    expect(await peer.readBytes(4)).toBe("echo");
    peer.end();
    expect(await peer.readAll()).toBe("after-half-close");
    await at.settled();
    expect(at.routes.streams[0]?.resetCode).toBe(null);
    expect(at.proxy.statistics.idleStreams).toBe(0);
  });

  it("brings its visitor all there is when its target ends while something more comes for it", async () => {
    const at = await startProxy(stage);
    const tail = "t".repeat(100_000);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write(SWITCHED));
      socket.on("end", () => socket.end(tail));
    });
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(UPGRADE);
    await readAnswer(peer);
    const [used] = at.routes.streams;
    if (used === undefined) throw new Error("No stream");
    const { handler } = used;
    const onEnd = handler.onEnd.bind(handler);
    vi.spyOn(handler, "onEnd").mockImplementation(() => {
      onEnd();
      used.kill("DPX_TARGET_CLOSED", used.deliveredBytes);
    });
    used.socket.end();
    expect(await peer.readAll()).toBe(tail);
    expect(peer.error).toBeNull();
    // It does not end its side.
    await at.settled();
  });

  it("that the target declines is an ordinary request, and the next one follows", async () => {
    const at = await startProxy(stage);
    const origin = createServer((request, response) => response.end(request.url));
    closeWithSockets(stage, origin);
    at.routes.register(HOST, await listen(origin));
    const peer = await at.visitor();
    peer.write(UPGRADE + get("/next"));
    expect((await readAnswer(peer)).body).toBe("/ws");
    expect((await readAnswer(peer)).body).toBe("/next");
  });

  it("resets the visitor when its stream breaks, and the stream when the visitor is gone", async () => {
    const at = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => socket.write(SWITCHED));
    });
    at.routes.register(HOST, origin.port);
    const first = await at.visitor();
    first.write(UPGRADE);
    await readAnswer(first);
    at.routes.streams[0]?.kill("DPX_SESSION_EXPIRED", null);
    await first.readAll();
    expect(first.error).toMatchObject({ code: "ECONNRESET" });
    const second = await at.visitor();
    second.write(UPGRADE);
    await readAnswer(second);
    second.socket.resetAndDestroy();
    await at.settled();
    expect(at.routes.streams[1]?.resetCode).toBe("DPX_VISITOR_GONE");
  });

  it("waits for its slower side", async () => {
    const at = await startProxy(stage);
    const total = 6 * MIB;
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.once("data", () => {
        socket.write(SWITCHED);
        for (const chunk of seededChunks(3, total)) socket.write(chunk);
      });
    });
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(UPGRADE);
    await readAnswer(peer);
    peer.socket.pause();
    await poll(() => (at.routes.streams[0]?.unconsumed ?? 0) >= FAKE_WINDOW_BYTES, 5_000, "a full window", 2);
    expect(at.routes.streams[0]?.peakUnconsumed).toBeLessThan(FAKE_WINDOW_BYTES + 65_537);
    peer.socket.resume();
    await poll(() => peer.received.length === total, 10_000, "the rest", 5);
  });
});
