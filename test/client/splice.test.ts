// Splices between a stream without a session and real targets on loopback.

import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Splice } from "../../src/client/splice.ts";
import { parseTarget } from "../../src/client/target.ts";
import { connectFailure } from "../../src/client/target-socket.ts";
import { DuplexityError } from "../../src/protocol/index.ts";
import { createCertificate } from "../support/certificate.ts";
import { useStage } from "../support/stage.ts";
import { FakeStream } from "./fake-stream.ts";
import { listen } from "./support.ts";

const stage = useStage();
let server: Server;
let stream: FakeStream;
let closed: Promise<void>;
const sockets: Socket[] = [];

beforeEach(() => {
  server = createServer({ allowHalfOpen: true });
  server.on("connection", track);
  stream = new FakeStream();
});

afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy();
  server.close();
  vi.useRealTimers();
});

function track(socket: Socket): void {
  sockets.push(socket);
  socket.on("error", () => {});
}

function splice(target: string, connectTimeoutMs = 10_000): Splice {
  let tell = (): void => {};
  closed = new Promise((resolve) => {
    tell = resolve;
  });
  return new Splice(stream, parseTarget(target), { connectTimeoutMs, onClose: () => tell() });
}

/** A splice to `server`, accepted, and the target's end of it. */
async function spliced(scheme: "http" | "tcp"): Promise<{ splice: Splice; target: Socket }> {
  const port = await listen(server);
  const connection = once(server, "connection");
  const made = splice(`${scheme}://localhost:${port}`);
  await stream.until(({ isAccepted }) => isAccepted);
  const [target] = await connection;
  return { splice: made, target };
}

describe("Splice", () => {
  it("accepts when the target has accepted, then passes bytes both ways and gives credit back", async () => {
    const { target } = await spliced("http");
    stream.handler.onData(Buffer.from("ping"));
    const [chunk] = await once(target, "data");
    expect(String(chunk)).toBe("ping");
    expect(stream.consumedBytes).toBe(4);
    target.write("pong");
    await stream.until(({ text }) => text === "pong");
    expect(stream.calls[0]).toBe("accept");
  });

  it("keeps what comes before the target has accepted, and owes its credit until then", async () => {
    const port = await listen(server);
    const connection = once(server, "connection");
    splice(`http://localhost:${port}`);
    stream.handler.onData(Buffer.from("GET / "));
    stream.handler.onData(Buffer.from("HTTP/1.1"));
    expect(stream.consumedBytes).toBe(0);
    const [target] = await connection;
    const [chunk] = await once(target, "data");
    expect(String(chunk)).toBe("GET / HTTP/1.1");
  });

  it("reaches a target that listens on ::1 only, as Vite does", async () => {
    const port = await listen(server, "::1");
    splice(`http://localhost:${port}`);
    await stream.until(({ isAccepted }) => isAccepted);
  });

  it("passes bulk by large chunks, each byte as it was", async () => {
    const { target } = await spliced("http");
    const sent = Buffer.alloc(8_000_000);
    for (let offset = 0; offset < sent.length; offset += 4) sent.writeUInt32BE(offset, offset);
    target.end(sent);
    await stream.until(({ hasEnded }) => hasEnded);
    expect(Buffer.concat(stream.chunks).equals(sent)).toBe(true);
    expect(stream.chunks.length).toBeLessThan(sent.length / 16_384);
  });

  it("stops reading while there is no credit, and goes on when there is", async () => {
    const { target } = await spliced("http");
    stream.hasCredit = false;
    const sent = Buffer.alloc(20_000_000, 7);
    target.end(sent);
    await stream.until(({ writtenBytes }) => writtenBytes > 0);
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    expect(stream.chunks).toHaveLength(1);
    expect(target.writableLength).toBeGreaterThan(0);
    for (let round = 2; round <= 5; round += 1) {
      stream.handler.onDrain();
      await stream.until(({ chunks }) => chunks.length === round);
    }
    stream.hasCredit = true;
    stream.handler.onDrain();
    await stream.until(({ hasEnded }) => hasEnded);
    expect(stream.writtenBytes).toBe(sent.length);
  });

  it("owes credit while the target does not read, and gives all of it back when it does", async () => {
    const { target } = await spliced("http");
    target.pause();
    const chunk = Buffer.alloc(262_144);
    let sent = 0;
    for (let count = 0; count < 80; count += 1) {
      stream.handler.onData(chunk);
      sent += chunk.length;
    }
    expect(stream.consumedBytes).toBeLessThan(sent);
    target.resume();
    await stream.until(({ consumedBytes }) => consumedBytes === sent);
  });

  it("keeps half-closes of a TCP pipe in both directions", async () => {
    const { target } = await spliced("tcp");
    stream.handler.onData(Buffer.from("question"));
    stream.handler.onEnd();
    const received: Buffer[] = [];
    target.on("data", (chunk) => received.push(chunk));
    await once(target, "end");
    expect(String(Buffer.concat(received))).toBe("question");
    // The answer comes after the visitor's end.
    target.end("answer");
    await stream.until(({ hasEnded }) => hasEnded);
    expect(stream.text).toBe("answer");
    expect(stream.wasReset).toBeNull();
    await closed;
  });

  it("lets a TCP visitor write on after the target's end", async () => {
    const { target } = await spliced("tcp");
    target.end("done");
    await stream.until(({ hasEnded }) => hasEnded);
    const received: Buffer[] = [];
    target.on("data", (chunk) => received.push(chunk));
    stream.handler.onData(Buffer.from("more"));
    stream.handler.onEnd();
    await once(target, "end");
    expect(String(Buffer.concat(received))).toBe("more");
    expect(stream.wasReset).toBeNull();
  });

  it("tells what reached a target that had closed an idle HTTP connection", async () => {
    const { target } = await spliced("http");
    stream.handler.onData(Buffer.from("first"));
    await once(target, "data");
    target.end("answer");
    await stream.until(({ hasEnded }) => hasEnded);
    stream.handler.onData(Buffer.from("second"));
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_CLOSED", deliveredBytes: 5 });
    expect(stream.text).toBe("answer");
    await closed;
  });

  it("tells at once what reached a target that ends without a word on it", async () => {
    const { target } = await spliced("http");
    stream.handler.onData(Buffer.from("first"));
    await once(target, "data");
    target.write("answer");
    await stream.until(({ text }) => text === "answer");
    stream.handler.onData(Buffer.from("second"));
    target.end();
    await stream.until(({ wasReset }) => wasReset !== null);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_CLOSED", deliveredBytes: 11 });
    expect(stream.calls.slice(-2)).toEqual(["end", "reset"]);
    await closed;
  });

  it("delivers an answer that waits for credit before it tells that the target closed", async () => {
    const { target } = await spliced("http");
    stream.hasCredit = false;
    target.end("answer");
    await stream.until(({ text }) => text === "answer");
    stream.hasCredit = true;
    stream.handler.onDrain();
    await stream.until(({ hasEnded }) => hasEnded);
    expect(stream.calls).toEqual(["accept", "write", "end"]);
  });

  it("keeps an unsent answer when the target breaks, and then tells that it broke", async () => {
    const { target } = await spliced("http");
    stream.handler.onData(Buffer.from("q"));
    await once(target, "data");
    stream.hasCredit = false;
    target.write("half");
    await stream.until(({ text }) => text === "half");
    target.resetAndDestroy();
    stream.handler.onData(Buffer.from("more that meets the reset"));
    await closed;
    expect(stream.wasReset).toBeNull();
    stream.hasCredit = true;
    stream.handler.onDrain();
    expect(stream.wasReset?.code).toBe("DPX_TARGET_BROKE");
  });

  it("says that the target broke, with what it had been given", async () => {
    const { target } = await spliced("http");
    stream.handler.onData(Buffer.from("12345"));
    await once(target, "data");
    target.resetAndDestroy();
    await stream.until(({ wasReset }) => wasReset !== null);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_BROKE", deliveredBytes: 5 });
  });

  it("counts what came before the target accepted, too", async () => {
    const port = await listen(server);
    const connection = once(server, "connection");
    splice(`http://localhost:${port}`);
    stream.handler.onData(Buffer.from("123"));
    const [target] = await connection;
    await once(target, "data");
    await stream.until(({ isAccepted }) => isAccepted);
    target.resetAndDestroy();
    await stream.until(({ wasReset }) => wasReset !== null);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_BROKE", deliveredBytes: 3 });
  });

  it("carries any chunks with any pauses both ways exactly", async () => {
    const chunks = fc.array(fc.integer({ min: 1, max: 90_000 }), { minLength: 1, maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(chunks, fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), async (sizes, pauses) => {
        stream = new FakeStream();
        const echo = createServer({ allowHalfOpen: true }, (socket) => {
          track(socket);
          socket.pipe(socket);
        });
        const port = await listen(echo);
        splice(`tcp://localhost:${port}`);
        const sent = sizes.map((size, index) => Buffer.alloc(size, index));
        for (const chunk of sent) stream.handler.onData(chunk);
        stream.handler.onEnd();
        // No credit now and then: what was read is sent all the same, and then reading rests until the drain.
        for (let look = 0; !stream.hasEnded; look += 1) {
          const had = stream.calls.length;
          stream.hasCredit = pauses[look % pauses.length] ?? true;
          stream.handler.onDrain();
          await stream.until(({ calls, hasEnded }) => calls.length > had || hasEnded);
        }
        await closed;
        echo.close();
        expect(Buffer.concat(stream.chunks).equals(Buffer.concat(sent))).toBe(true);
        expect(stream.wasReset).toBeNull();
      }),
      { numRuns: 30 },
    );
  });

  it("breaks a TCP target's connection when the visitor's breaks, instead of ending it", async () => {
    const { target } = await spliced("tcp");
    const failure = new Promise((resolve) => target.once("error", (error) => resolve("code" in error && error.code)));
    target.resume();
    stream.handler.onReset(new DuplexityError("DPX_VISITOR_GONE", ""), null);
    expect(await failure).toBe("ECONNRESET");
    await closed;
  });
});

describe("Splice, when the target does not accept", () => {
  it("DPX_TARGET_REFUSED: nothing listens", async () => {
    const port = await listen(server);
    await new Promise((resolve) => server.close(resolve));
    splice(`http://localhost:${port}`);
    stream.handler.onData(Buffer.from("GET"));
    await stream.until(({ wasReset }) => wasReset !== null);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_REFUSED", deliveredBytes: 0 });
    await closed;
  });

  it("DPX_TARGET_REFUSED: there is no such socket", async () => {
    splice("unix:/nonexistent/app.sock");
    await stream.until(({ wasReset }) => wasReset !== null);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_REFUSED", deliveredBytes: 0 });
  });

  it("DPX_TARGET_TIMEOUT: a TLS target that says nothing", async () => {
    const port = await listen(server);
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const connection = once(server, "connection");
    splice(`https://localhost:${port}`);
    await connection;
    vi.advanceTimersByTime(9_999);
    expect(stream.wasReset).toBeNull();
    vi.advanceTimersByTime(1);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_TIMEOUT", deliveredBytes: 0 });
    await closed;
  });

  it("DPX_TARGET_TLS: the target does not speak TLS", async () => {
    const port = await listen(server);
    server.on("connection", (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    splice(`https://localhost:${port}`);
    stream.handler.onData(Buffer.from("GET"));
    await stream.until(({ wasReset }) => wasReset !== null);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_TLS", deliveredBytes: 0 });
  });
});

describe("Splice over unix sockets and TLS", () => {
  it("reaches a unix socket", async () => {
    const path = join(await stage.folder("unix"), "s");
    await new Promise<void>((resolve) => server.listen(path, resolve));
    server.on("connection", (socket: Socket) => socket.pipe(socket));
    splice(`unix:${path}`);
    stream.handler.onData(Buffer.from("hello"));
    await stream.until(({ text }) => text === "hello");
    stream.handler.onEnd();
    await stream.until(({ hasEnded }) => hasEnded);
  });

  it("verifies a certificate unless it is told not to", async () => {
    const { key, cert } = await createCertificate(stage);
    const names: (string | false | null)[] = [];
    const tls = createTlsServer({ key, cert, ALPNProtocols: ["h2", "http/1.1"] }, (socket) => {
      track(socket);
      names.push(socket.servername, socket.alpnProtocol);
      socket.pipe(socket);
    });
    const port = await listen(tls);
    splice(`https://localhost:${port}`);
    await stream.until(({ wasReset }) => wasReset !== null);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_TLS", deliveredBytes: 0 });

    stream = new FakeStream();
    splice(`https+insecure://localhost:${port}`);
    const sent = Buffer.alloc(1_000_000, "x");
    stream.handler.onData(sent);
    await stream.until(({ writtenBytes }) => writtenBytes === sent.length);
    await stream.until(({ consumedBytes }) => consumedBytes === sent.length);
    expect(names).toEqual(["localhost", "http/1.1"]);
    stream.handler.onEnd();
    await stream.until(({ hasEnded }) => hasEnded);
    await closed;
    tls.close();
  });

  it("sends an end that came with the answer, and waits for credit, before it tells what crossed it", async () => {
    const { key, cert } = await createCertificate(stage);
    const tls = createTlsServer({ key, cert });
    const port = await listen(tls);
    let isHeld = false;
    // Passes on what the target says from then on in one piece, its end with it.
    server.on("connection", (socket: Socket) => {
      const target = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
      track(target);
      const held: Buffer[] = [];
      socket.pipe(target);
      target.on("data", (chunk: Buffer) => void (isHeld ? held.push(chunk) : socket.write(chunk)));
      target.on("end", () => socket.end(Buffer.concat(held)));
    });
    const connection = once(tls, "secureConnection");
    splice(`https+insecure://localhost:${await listen(server)}`);
    const [target] = await connection;
    track(target);
    stream.handler.onData(Buffer.from("first"));
    await once(target, "data");
    stream.hasCredit = false;
    isHeld = true;
    target.end("answer");
    // That the splice has seen the target's end shows in its own.
    await once(target, "end");
    expect(stream.text).toBe("answer");
    stream.handler.onData(Buffer.from("second"));
    expect([stream.hasEnded, stream.wasReset]).toEqual([false, null]);
    stream.hasCredit = true;
    stream.handler.onDrain();
    expect(stream.calls.filter((call) => call !== "consume")).toEqual(["accept", "write", "end", "reset"]);
    expect(stream.wasReset).toEqual({ code: "DPX_TARGET_CLOSED", deliveredBytes: 5 });
    await closed;
    tls.close();
  });
});

describe("connectFailure", () => {
  const plain = parseTarget("http://h");
  const secure = parseTarget("https://h");
  it.each([
    ["ECONNREFUSED", "DPX_TARGET_REFUSED", "DPX_TARGET_REFUSED"],
    ["ENOENT", "DPX_TARGET_REFUSED", "DPX_TARGET_REFUSED"],
    ["ENOTFOUND", "DPX_TARGET_UNREACHABLE", "DPX_TARGET_UNREACHABLE"],
    ["EAI_AGAIN", "DPX_TARGET_UNREACHABLE", "DPX_TARGET_UNREACHABLE"],
    ["EHOSTUNREACH", "DPX_TARGET_UNREACHABLE", "DPX_TARGET_UNREACHABLE"],
    ["EACCES", "DPX_TARGET_UNREACHABLE", "DPX_TARGET_UNREACHABLE"],
    ["ETIMEDOUT", "DPX_TARGET_TIMEOUT", "DPX_TARGET_TIMEOUT"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "DPX_TARGET_UNREACHABLE", "DPX_TARGET_TLS"],
    ["ECONNRESET", "DPX_TARGET_UNREACHABLE", "DPX_TARGET_TLS"],
  ])("%s is %s, over TLS %s", (errno, code, secureCode) => {
    const error = Object.assign(new Error(errno), { code: errno });
    expect(connectFailure(plain, error)).toBe(code);
    expect(connectFailure(secure, error)).toBe(secureCode);
    // When several addresses were tried, what each said counts.
    expect(connectFailure(plain, new AggregateError([new Error("?"), error]))).toBe(code);
  });
});
