// What passes through when nothing goes wrong: heads, bodies, framing, order, reuse.

import { createServer } from "node:http";
import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { closeWithSockets, listen } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { startScriptedOrigin, startTcpOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { get, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

describe("createProxy", () => {
  it("passes a request on with forwarding fields and the answer back", async () => {
    const { visitor, routes, proxy } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/x?y=1", "a.example.test", "X-Forwarded-For: 6.6.6.6\r\nConnection: x-hop\r\nX-Hop: 1\r\n"));
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(200);
    expect(answer.body).toBe("hello");
    const seen = origin.received();
    expect(seen).toMatch(/^GET \/x\?y=1 HTTP\/1\.1\r\nHost: a\.example\.test\r\n/);
    expect(seen).toContain("X-Forwarded-For: 127.0.0.1\r\n");
    expect(seen).toContain("X-Forwarded-Proto: http\r\n");
    expect(seen).toContain("X-Forwarded-Host: a.example.test\r\n");
    expect(seen).toContain("X-Forwarded-Port: 80\r\n");
    expect(seen).toContain("duplexity-n1");
    expect(seen).not.toMatch(/6\.6\.6\.6|x-hop/i);
    expect(proxy.statistics).toMatchObject({ openVisitors: 1, openExchanges: 0, requests: 1, failures: 0 });
  });

  it("routes each request of one connection by its own Host", async () => {
    const { visitor, routes } = await startProxy(stage);
    const a = await startScriptedOrigin(stage, ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"]);
    const b = await startScriptedOrigin(stage, ["HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nb"]);
    routes.register("a.example.test", a.port);
    routes.register("b.example.test", b.port);
    const peer = await visitor();
    let bodies = "";
    for (const host of ["a.example.test", "B.Example.Test:8080", "b.example.test.", "a.example.test"]) {
      peer.write(get("/", host));
      bodies += (await readAnswer(peer)).body;
    }
    expect(bodies).toBe("abba");
    expect(routes.streams.length).toBe(2);
  });

  it("answers pipelined requests in order, one after another", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = createServer((request, response) => {
      setTimeout(() => response.end(request.url), request.url === "/0" ? 30 : 0);
    });
    closeWithSockets(stage, origin);
    routes.register("a.example.test", await listen(origin));
    const peer = await visitor();
    const count = 50;
    let all = "";
    for (let index = 0; index < count; index++) all += get(`/${index}`);
    peer.write(all);
    for (let index = 0; index < count; index++) expect((await readAnswer(peer)).body).toBe(`/${index}`);
    expect(routes.streams.length).toBe(1);
  });

  it("stops reading from a visitor that pipelines without end", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, () => {});
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.socket.write(Buffer.from(get("/").repeat(400_000), "latin1"));
    const sent = () => peer.socket.bytesWritten - peer.socket.writableLength;
    // What the kernels of both sides take is some MiB; then nothing may move any more.
    let last = -1;
    const hasStopped = () => {
      const before = last;
      last = sent();
      return last === before;
    };
    await poll(hasStopped, 5_000, "the visitor to be stopped", 100);
    expect(peer.socket.writableLength).toBeGreaterThan(4 * 1_048_576);
    expect(routes.streams.length).toBe(1);
  });

  it("passes chunks, extensions and trailers on both ways as they came", async () => {
    const { visitor, routes } = await startProxy(stage);
    const body = "3;x=y\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\n\r\n";
    let received = "";
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.on("data", (chunk: Buffer) => {
        received += chunk.toString("latin1");
        if (!received.endsWith(body) && !received.includes("GET /2")) return;
        socket.write(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n${body}`);
      });
    });
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(`POST / HTTP/1.1\r\nHost: a.example.test\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n${body}`);
    await peer.readUntil("\r\n\r\n");
    expect(await peer.readUntil("X-Sum: 7\r\n\r\n")).toBe(body);
    expect(received).toMatch(/\r\nTransfer-Encoding: chunked\r\n/i);
    expect(received.endsWith(body)).toBe(true);
    peer.write(get("/2"));
    await peer.readUntil("X-Sum: 7\r\n\r\n");
    expect(routes.streams.length).toBe(1);
  });

  it("sends nothing of a request to another one's stream, whatever the pace", async () => {
    const { visitor, routes } = await startProxy(stage);
    const [a, b] = [await startScriptedOrigin(stage, [HELLO]), await startScriptedOrigin(stage, [HELLO])];
    routes.register("a.example.test", a.port);
    routes.register("b.example.test", b.port);
    const peers = [await visitor(), await visitor()];
    for (let turn = 0; turn < 3; turn++) {
      for (const [index, host] of ["a", "b"].entries()) {
        const peer = peers[(turn + index) % 2];
        const head = `POST /${turn} HTTP/1.1\r\nHost: ${host}.example.test\r\nContent-Length: 4\r\n\r\n`;
        peer?.write(`${head}${host}${turn}${turn}${host}`);
        if (peer !== undefined) expect((await readAnswer(peer)).body).toBe("hello");
      }
    }
    const bodies = (received: string) => received.split(/POST [\s\S]*?\r\n\r\n/);
    expect(bodies(a.received())).toEqual(["", "a00a", "a11a", "a22a"]);
    expect(bodies(b.received())).toEqual(["", "b00b", "b11b", "b22b"]);
  });

  it("goes on with a body whose rest came while the request before was answered", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = createServer((request, response) => {
      setTimeout(() => request.pipe(response), 20);
    });
    closeWithSockets(stage, origin);
    routes.register("a.example.test", await listen(origin));
    const peer = await visitor();
    const post = "POST / HTTP/1.1\r\nHost: a.example.test\r\nContent-Length: 9\r\n\r\n";
    for (const piece of [`${get("/first")}${post}one`, "two", "six"]) {
      peer.write(piece);
      await new Promise(setImmediate);
    }
    peer.end();
    expect((await readAnswer(peer)).body).toBe("");
    expect((await readAnswer(peer)).body).toBe("onetwosix");
    expect(await peer.readAll()).toBe("");
  });

  it("joins a head that comes byte by byte, and a body that does", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = createServer((request, response) => request.pipe(response));
    closeWithSockets(stage, origin);
    routes.register("a.example.test", await listen(origin));
    const peer = await visitor();
    for (const byte of "POST / HTTP/1.1\r\nHost: a.example.test\r\nContent-Length: 5\r\n\r\nhello") {
      peer.write(byte);
      await new Promise(setImmediate);
    }
    expect((await readAnswer(peer)).body).toBe("hello");
  });

  it("knows where answers without a body end", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [
      "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n",
      "HTTP/1.1 204 No Content\r\n\r\n",
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: "x"\r\n\r\n',
      HELLO,
    ]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/").replace("GET", "HEAD"));
    expect((await readAnswer(peer, "HEAD")).fields.get("content-length")).toBe("5000");
    peer.write(get("/"));
    expect((await readAnswer(peer)).status).toBe(204);
    peer.write(get("/"));
    expect((await readAnswer(peer)).fields.get("etag")).toBe('"x"');
    peer.write(get("/"));
    expect((await readAnswer(peer)).body).toBe("hello");
    expect(routes.streams.length).toBe(1);
  });

  it("passes 100 and 103 on before the answer, but not to HTTP/1.0", async () => {
    const { visitor, routes } = await startProxy(stage);
    const hints = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
    const origin = await startScriptedOrigin(stage, [`${hints}${hints}${HELLO}`]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    expect((await readAnswer(peer)).fields.get("link")).toBe("</a.css>; rel=preload");
    expect((await readAnswer(peer)).status).toBe(103);
    expect((await readAnswer(peer)).body).toBe("hello");
    const old = await visitor();
    old.write("GET / HTTP/1.0\r\nHost: a.example.test\r\n\r\n");
    expect((await readAnswer(old)).body).toBe("hello");
    expect(await old.readAll()).toBe("");
  });

  it("lets the target say 100 before the visitor sends its body", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = createServer((request, response) => request.pipe(response));
    closeWithSockets(stage, origin);
    routes.register("a.example.test", await listen(origin));
    const peer = await visitor();
    peer.write("POST / HTTP/1.1\r\nHost: a.example.test\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    expect((await readAnswer(peer)).status).toBe(100);
    peer.write("body");
    expect((await readAnswer(peer)).body).toBe("body");
  });

  it("breaks off an answer with interim answers without end", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, ["HTTP/1.1 102 Processing\r\n\r\n".repeat(40)]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    expect(await peer.readUntil("DPX_TARGET_ANSWER")).toContain("HTTP/1.1 502 ");
  });

  it("ends the visitor's connection where the target's end is the answer's", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, ["HTTP/1.1 200 OK\r\n\r\nuntil the end"], { endAfter: true });
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    const answer = await readAnswer(peer);
    expect(answer.body).toBe("until the end");
    expect(answer.fields.get("connection")).toBe("close");
    expect(peer.error).toBe(null);
    peer.end();
    await settled();
  });

  it("takes chunk framing off for an HTTP/1.0 visitor", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n",
    ]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write("GET / HTTP/1.0\r\nHost: a.example.test\r\nConnection: keep-alive\r\n\r\n");
    const answer = await readAnswer(peer);
    expect(answer.body).toBe("abcdef");
    expect(answer.fields.has("transfer-encoding")).toBe(false);
    expect(routes.streams[0]?.resetCode).toBe(null);
  });

  it("closes when the visitor asks for it, and keeps the stream", async () => {
    const { visitor, routes, settled, proxy } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("a.example.test", origin.port);
    for (let turn = 0; turn < 3; turn++) {
      const peer = await visitor();
      peer.write(get("/", "a.example.test", "Connection: close\r\n"));
      const answer = await readAnswer(peer);
      expect(answer.fields.get("connection")).toBe("close");
      expect(await peer.readAll()).toBe("");
      peer.end();
    }
    await settled();
    expect(routes.streams.length).toBe(1);
    expect(proxy.statistics.idleStreams).toBe(1);
  });

  it("still answers a visitor that has ended its side", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = createServer((_request, response) => {
      setTimeout(() => response.end("late"), 20);
    });
    closeWithSockets(stage, origin);
    routes.register("a.example.test", await listen(origin));
    const peer = await visitor();
    peer.write(get("/"));
    peer.end();
    expect((await readAnswer(peer)).body).toBe("late");
    expect(await peer.readAll()).toBe("");
    await settled();
  });

  it("drops the stream of a visitor that is gone", async () => {
    const { visitor, routes, settled } = await startProxy(stage);
    const origin = await startTcpOrigin(stage, () => {});
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/"));
    await poll(() => routes.streams[0]?.deliveredBytes, 5_000, "the request at the origin", 2);
    peer.socket.resetAndDestroy();
    await settled();
    expect(routes.streams[0]?.resetCode).toBe("DPX_VISITOR_GONE");
    expect(routes.reports).toMatchObject([{ status: 499, errorCode: "DPX_VISITOR_GONE" }]);
  });

  it("does not use a stream again after Connection: close, leftovers, or bytes between answers", async () => {
    const { visitor, routes } = await startProxy(stage);
    const sockets: Socket[] = [];
    let turn = 0;
    const answers = [
      HELLO.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n"),
      `${HELLO}HTTP/1.1 200 OK\r\n`,
      HELLO,
      HELLO,
    ];
    const origin = await startTcpOrigin(stage, (socket) => {
      sockets.push(socket);
      socket.on("data", () => socket.write(answers[turn++] ?? HELLO));
    });
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    for (const streams of [1, 2, 3]) {
      peer.write(get("/"));
      expect((await readAnswer(peer)).body).toBe("hello");
      expect(routes.streams.length).toBe(streams);
    }
    // The third stream is idle now: what comes on it belongs to no request.
    sockets[2]?.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison");
    await poll(() => routes.streams[2]?.isReset, 5_000, "the idle stream's end", 2);
    peer.write(get("/"));
    expect((await readAnswer(peer)).body).toBe("hello");
    expect(routes.streams.length).toBe(4);
  });

  it("reports each request to a client that wants it", async () => {
    const { visitor, routes } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("a.example.test", origin.port);
    routes.register("quiet.example.test", origin.port, { wantsReports: false });
    const peer = await visitor();
    peer.write(`POST /p?q HTTP/1.1\r\nHost: a.example.test\r\nContent-Length: 3\r\n\r\nabc`);
    await readAnswer(peer);
    peer.write(get("/", "quiet.example.test"));
    await readAnswer(peer);
    expect(routes.reports).toEqual([
      {
        hostname: "a.example.test",
        method: "POST",
        path: "/p?q",
        status: 200,
        durationMs: expect.any(Number),
        requestBytes: 3,
        responseBytes: 5,
        visitor: `127.0.0.1:${peer.socket.localPort}`,
      },
    ]);
  });

  it("gives the server's own hostname, localhost and addresses to serveOwn, with all that was read", async () => {
    const { visitor, own, settled } = await startProxy(stage);
    const hosts = ["example.test", "EXAMPLE.test:8080", "localhost:1", "127.0.0.1:80", "[::1]:80"];
    for (const host of hosts) {
      const peer = await visitor();
      peer.write(`POST /control HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 4\r\n\r\nbody`);
      expect((await readAnswer(peer)).body).toBe("own");
    }
    expect(own.map(({ head }) => head.endsWith("\r\n\r\nbody"))).toEqual(hosts.map(() => true));
    expect(own[0]?.socket.listenerCount("data")).toBe(0);
    await settled();
  });

  it("gives a connection away that has served a pipe before", async () => {
    const { visitor, own, routes, settled } = await startProxy(stage);
    const origin = await startScriptedOrigin(stage, [HELLO]);
    routes.register("a.example.test", origin.port);
    const peer = await visitor();
    peer.write(get("/") + get("/api", "example.test", "X: 1\r\n"));
    expect((await readAnswer(peer)).body).toBe("hello");
    expect((await readAnswer(peer)).body).toBe("own");
    expect(own[0]?.head).toBe(get("/api", "example.test", "X: 1\r\n"));
    peer.end();
    await settled();
  });
});
