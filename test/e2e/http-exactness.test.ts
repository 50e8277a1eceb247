// HTTP/1.1 through the real tunnel, byte by byte: visitor and origin are both bare sockets.

import type { Socket } from "node:net";
import { describe, expect, it } from "vitest";
import { type RunningServer, startServer, startUp } from "../support/duplexity.ts";
import { freePort } from "../support/sockets.ts";
import { useFileStage, useStage } from "../support/stage.ts";
import { startScriptedOrigin, startTcpOrigin, type TcpOrigin } from "../support/tcp-origin.ts";
import { RawVisitor, visit } from "../support/visitor.ts";
import { deferred, within } from "../support/wait.ts";

const file = useFileStage();
const stage = useStage();
const GET = "GET / HTTP/1.1\r\nHost: cat1.localhost\r\n\r\n";

let shared: Promise<RunningServer> | null = null;
/** One server for the whole file; each test has its own client and origin. */
function theServer(): Promise<RunningServer> {
  shared ??= startServer(file);
  return shared;
}

/** A pipe `cat1` to `origin`, and a visitor's socket. */
async function open(origin: TcpOrigin): Promise<RawVisitor> {
  const server = await theServer();
  await startUp(stage, server.url, [`cat1:${origin.target}`], { home: await homeOfFile() });
  return RawVisitor.open(stage, server.port);
}

let home: Promise<{ configDir: string; runtimeDir: string }> | null = null;
/** One owner for the file, so that each test may take the name over from the one before. */
function homeOfFile(): Promise<{ configDir: string; runtimeDir: string }> {
  home ??= file.folder("home").then((folder) => ({ configDir: `${folder}/config`, runtimeDir: `${folder}/run` }));
  return home;
}

async function answered(answer: string | Buffer, request = GET): Promise<RawVisitor> {
  const visitor = await open(await startScriptedOrigin(stage, [answer]));
  visitor.write(request);
  return visitor;
}

/** An origin that hands out the socket of its first connection once a whole head has come. */
async function manualOrigin(): Promise<TcpOrigin & { asked: Promise<{ socket: Socket; received: () => string }> }> {
  const asked = deferred<{ socket: Socket; received: () => string }>();
  const origin = await startTcpOrigin(stage, (socket) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      if (text.includes("\r\n\r\n")) asked.resolve({ socket, received: () => text });
    });
  });
  return Object.assign(origin, { asked: within(asked.promise, 10_000, "a request at the origin") });
}

describe("An answer", () => {
  it("with Content-Length keeps the connection for the next request", async () => {
    const visitor = await answered("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Cat: Minka\r\n\r\nhello");
    const head = await visitor.readUntil("\r\n\r\n");
    expect(head).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(head).toContain("X-Cat: Minka\r\n");
    expect(await visitor.readBytes(5)).toBe("hello");
    visitor.write(GET);
    await visitor.readUntil("\r\n\r\nhello");
  });

  it("in chunks arrives in chunks, with its trailers", async () => {
    const visitor = await answered(
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    const text = await visitor.readUntil("X-Sum: 42\r\n\r\n");
    expect(text.toLowerCase()).toContain("transfer-encoding: chunked\r\n");
    expect(dechunk(text.slice(text.indexOf("\r\n\r\n") + 4))).toBe("hello world");
    visitor.write(GET);
    await visitor.readUntil("X-Sum: 42\r\n\r\n");
  });

  it("with 103 and 100 before it brings both", async () => {
    const visitor = await answered(
      "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    expect(await visitor.readUntil("\r\n\r\n")).toMatch(
      /^HTTP\/1\.1 103 .*\r\n(.*\r\n)*Link: <\/a\.css>; rel=preload\r\n/,
    );
    expect(await visitor.readUntil("\r\n\r\nok")).toMatch(/^HTTP\/1\.1 200 /);
  });

  it("to HEAD has a length and no body, and the connection goes on", async () => {
    const origin = await startScriptedOrigin(stage, [
      "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ]);
    const visitor = await open(origin);
    visitor.write("HEAD / HTTP/1.1\r\nHost: cat1.localhost\r\n\r\n");
    expect(await visitor.readUntil("\r\n\r\n")).toContain("Content-Length: 1000\r\n");
    visitor.write(GET);
    expect(await visitor.readUntil("\r\n\r\nok")).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  });

  it.each(["204 No Content", "304 Not Modified"])("of %s has no body, and the connection goes on", async (status) => {
    const visitor = await answered(`HTTP/1.1 ${status}\r\nETag: "x"\r\n\r\n`);
    for (let turn = 0; turn < 2; turn += 1) {
      expect(await visitor.readUntil("\r\n\r\n")).toContain(`HTTP/1.1 ${status}\r\n`);
      visitor.write(GET);
    }
  });

  it("that ends with the connection is whole and ends for the visitor too", async () => {
    const origin = await startScriptedOrigin(stage, ["HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"], {
      endAfter: true,
    });
    const visitor = await open(origin);
    visitor.write(GET);
    const all = await visitor.readAll();
    const body = all.slice(all.indexOf("\r\n\r\n") + 4);
    expect(/chunked/i.test(all) ? dechunk(body) : body).toBe("until the end");
    expect(visitor.error).toBeNull();
  });

  it.each([
    ["a length", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly a part"],
    ["chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nonly a part"],
    ["chunks without the last", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nonly a part\r\n"],
  ])("cut off in the middle of %s never looks complete", async (_what, answer) => {
    const visitor = await open(await startScriptedOrigin(stage, [answer], { endAfter: true }));
    visitor.write(GET);
    const all = await visitor.readAll();
    expect(all).toContain("only a part");
    expect(all).not.toContain("\r\n0\r\n\r\n");
    const server = await theServer();
    await expect(visit(server.port, "cat1.localhost", "/")).rejects.toThrow();
  });

  it("that ends with the connection and is cut off ends with a reset, not with an end", async () => {
    const origin = await manualOrigin();
    const visitor = await open(origin);
    visitor.write(GET);
    const { socket } = await origin.asked;
    socket.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonly a part");
    await visitor.readUntil("only a part");
    socket.resetAndDestroy();
    await visitor.readAll();
    expect(visitor.error).toMatchObject({ code: "ECONNRESET" });
  });

  it.each([
    ["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    ["two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"],
    ["a length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
    ["a control in a field", "HTTP/1.1 200 OK\r\nX-Bad: a\0b\r\nContent-Length: 0\r\n\r\n"],
  ])("with %s is a 502 with DPX_TARGET_ANSWER", async (_what, answer) => {
    const visitor = await answered(answer);
    const head = await visitor.readUntil("\r\n\r\n");
    expect(head).toMatch(/^HTTP\/1\.1 502 /);
    expect(head).toContain("Duplexity-Error: DPX_TARGET_ANSWER\r\n");
    expect(head).toMatch(/\r\nProxy-Status: /);
  });

  it("never comes from a target that is down: 502 with DPX_TARGET_REFUSED, and the tunnel stays up", async () => {
    const server = await theServer();
    const port = await freePort();
    const up = await startUp(stage, server.url, [`cat1:127.0.0.1:${port}`], { home: await homeOfFile() });
    const answer = await visit(server.port, "cat1.localhost", "/");
    expect(answer.status).toBe(502);
    expect(answer.headers["duplexity-error"]).toBe("DPX_TARGET_REFUSED");
    expect(answer.body).not.toContain(String(port));
    await startScriptedOriginAt(port);
    expect((await visit(server.port, "cat1.localhost", "/")).status).toBe(200);
    expect(up.process.hasExited).toBe(false);
  });

  async function startScriptedOriginAt(port: number): Promise<void> {
    await startTcpOrigin(stage, (socket) => socket.on("data", () => socket.end("HTTP/1.1 200 OK\r\n\r\n")), port);
  }
});

describe("A request", () => {
  it("of unknown length reaches the target in chunks, with its trailers", async () => {
    const origin = await manualOrigin();
    const visitor = await open(origin);
    visitor.write("POST /up HTTP/1.1\r\nHost: cat1.localhost\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n");
    visitor.write("5\r\nhello\r\n");
    const { socket, received } = await origin.asked;
    visitor.write("6;ext=1\r\n world\r\n0\r\nX-T: end\r\n\r\n");
    await untilContains(socket, received, "X-T: end\r\n\r\n");
    const text = received();
    expect(text.toLowerCase()).toContain("transfer-encoding: chunked\r\n");
    expect(text.toLowerCase()).not.toContain("content-length");
    expect(dechunk(text.slice(text.indexOf("\r\n\r\n") + 4))).toBe("hello world");
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    await visitor.readUntil("\r\n\r\n");
  });

  it("keeps its Host, its path and its fields, loses those of the hop and gains those of the way", async () => {
    const origin = await manualOrigin();
    const visitor = await open(origin);
    visitor.write(
      "GET /a//b/../c?x=%2f&y=%00 HTTP/1.1\r\nhOST: CAT1.localhost:8080\r\nX-One: 1\r\nX-One: 2\r\nConnection: X-Hop, keep-alive\r\n" +
        "X-Hop: secret\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\nX-Forwarded-For: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\n\r\n",
    );
    const { received } = await origin.asked;
    const text = received();
    expect(text).toMatch(/^GET \/a\/\/b\/\.\.\/c\?x=%2f&y=%00 HTTP\/1\.1\r\n/);
    expect(text).toMatch(/\r\nhost: CAT1\.localhost:8080\r\n/i);
    expect(text).toMatch(/X-One: 1\r\n[\s\S]*X-One: 2\r\n/);
    expect(text).not.toMatch(/x-hop|keep-alive: timeout|6\.6\.6\.6/i);
    expect(text).toMatch(/\r\nX-Forwarded-For: 127\.0\.0\.1\r\n/i);
    expect(text).toMatch(/\r\nX-Forwarded-Proto: http\r\n/i);
    expect(text).toMatch(/\r\nVia: /i);
    expect(text).toMatch(/\r\nForwarded: /i);
  });

  it("with Expect waits for the target's 100, and the body follows", async () => {
    const origin = await manualOrigin();
    const visitor = await open(origin);
    visitor.write("POST / HTTP/1.1\r\nHost: cat1.localhost\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n");
    const { socket, received } = await origin.asked;
    socket.write("HTTP/1.1 100 Continue\r\n\r\n");
    expect(await visitor.readUntil("\r\n\r\n")).toMatch(/^HTTP\/1\.1 100 /);
    visitor.write("body");
    await untilContains(socket, received, "\r\n\r\nbody");
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    await visitor.readUntil("\r\n\r\nok");
  });

  it("that is answered before its body has come gets the answer", async () => {
    const visitor = await answered(
      "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig",
      "POST / HTTP/1.1\r\nHost: cat1.localhost\r\nContent-Length: 100000000\r\n\r\n",
    );
    visitor.write(Buffer.alloc(100_000));
    expect(await visitor.readUntil("\r\n\r\nbig")).toMatch(/^HTTP\/1\.1 413 /);
  });

  it("pipelined with others is answered in order", async () => {
    const origin = await startScriptedOrigin(stage, [
      "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nthree",
    ]);
    const visitor = await open(origin);
    visitor.write(GET + GET + GET);
    const all = await visitor.readUntil("three");
    expect([...all.matchAll(/one|two|three/g)].map(String)).toEqual(["one", "two", "three"]);
  });

  it("for another host on the same connection goes to that host", async () => {
    const server = await theServer();
    const [one, two] = [
      await startScriptedOrigin(stage, ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\none"]),
      await startScriptedOrigin(stage, ["HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo"]),
    ];
    await startUp(stage, server.url, [`first:${one.target}`, `second:${two.target}`]);
    const visitor = await RawVisitor.open(stage, server.port);
    for (const [host, body] of [
      ["first.localhost", "one"],
      ["SECOND.localhost.:80", "two"],
      ["first.localhost:1234", "one"],
    ]) {
      visitor.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
      expect((await visitor.readUntil("\r\n\r\n")).slice(0, 12)).toBe("HTTP/1.1 200");
      expect(await visitor.readBytes(3)).toBe(body);
    }
    visitor.write("GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n");
    const head = await visitor.readUntil("\r\n\r\n");
    expect(head).toMatch(/^HTTP\/1\.1 404 /);
    expect(head).toContain("Duplexity-Error: DPX_NAME_UNKNOWN\r\n");
  });
});

describe("An upgrade", () => {
  it("carries the bytes that came with both heads, and both directions close apart", async () => {
    const origin = await manualOrigin();
    const visitor = await open(origin);
    visitor.write("GET /chat HTTP/1.1\r\nHost: cat1.localhost\r\nConnection: Upgrade\r\nUpgrade: cats/1\r\n\r\n");
    visitor.write("early bytes");
    const { socket, received } = await origin.asked;
    expect(received()).toMatch(/\r\nUpgrade: cats\/1\r\n/i);
    expect(received()).toMatch(/\r\nConnection: upgrade\r\n/i);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: cats/1\r\n\r\nserver first");
    const answer = await visitor.readUntil("server first");
    expect(answer).toMatch(/^HTTP\/1\.1 101 /);
    expect(answer).toMatch(/\r\nUpgrade: cats\/1\r\n/i);
    await untilContains(socket, received, "early bytes");
    visitor.write("\0\x01\xff raw");
    visitor.end();
    await untilContains(socket, received, "\0\x01\xff raw");
    socket.end("after the half-close");
    expect(await visitor.readAll()).toBe("after the half-close");
  });

  it("that the target refuses is an ordinary answer", async () => {
    const visitor = await answered(
      "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno",
      "GET / HTTP/1.1\r\nHost: cat1.localhost\r\nConnection: Upgrade\r\nUpgrade: cats/1\r\n\r\n",
    );
    expect(await visitor.readUntil("\r\n\r\nno")).toMatch(/^HTTP\/1\.1 426 /);
  });
});

async function untilContains(socket: Socket, received: () => string, text: string): Promise<void> {
  const arrived = (async () => {
    while (!received().includes(text)) await new Promise((resolve) => socket.once("data", resolve));
  })();
  await within(arrived, 10_000, `${JSON.stringify(text)} at the origin, which has ${JSON.stringify(received())}`);
}

/** The content of a chunked body. */
function dechunk(body: string): string {
  let content = "";
  let at = 0;
  for (;;) {
    const end = body.indexOf("\r\n", at);
    const size = Number.parseInt(body.slice(at, end), 16);
    if (!(size > 0)) return content;
    content += body.slice(end + 2, end + 2 + size);
    at = end + 2 + size + 2;
  }
}
