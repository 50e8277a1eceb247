// Requests while a client is away, and requests whose stream died: which wait, which go again, which never do.

import { describe, expect, it, vi } from "vitest";
import { TARGET_END_GRACE_MS } from "../../../src/server/proxy/options.ts";
import { freePort } from "../../support/sockets.ts";
import { useStage } from "../../support/stage.ts";
import { startTcpOrigin } from "../../support/tcp-origin.ts";
import { poll } from "../../support/wait.ts";
import { get, type ProxyStage, readAnswer, startProxy } from "./setup.ts";

const stage = useStage();
const HOST = "a.example.test";

/** An origin that counts the requests that reach it, and answers each. */
async function countingOrigin(): Promise<{ port: number; heads: string[]; silent: boolean }> {
  const state = { port: 0, heads: [] as string[], silent: false };
  const origin = await startTcpOrigin(stage, (socket) => {
    socket.on("data", (chunk: Buffer) => {
      state.heads.push(chunk.toString("latin1"));
      if (!state.silent) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    });
  });
  state.port = origin.port;
  return state;
}

async function held(at: ProxyStage, count: number): Promise<void> {
  await poll(() => at.proxy.statistics.heldRequests === count, 5_000, `${count} held requests`, 2);
}

describe("held requests", () => {
  it("wait for the link and are delivered once when it is back", async () => {
    const at = await startProxy(stage);
    const origin = await countingOrigin();
    at.routes.register(HOST, origin.port);
    at.routes.cutLink();
    const peers = await Promise.all([at.visitor(), at.visitor(), at.visitor()]);
    for (const peer of peers) peer.write(`POST /once HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\n\r\nbody`);
    await held(at, 3);
    expect(at.proxy.statistics.heldBytes).toBeGreaterThan(100);
    expect(at.routes.watched).toBe(1);
    at.routes.restoreLink();
    for (const peer of peers) expect((await readAnswer(peer)).body).toBe("ok");
    expect(origin.heads.length).toBe(3);
    expect(origin.heads[0]?.endsWith("\r\n\r\nbody")).toBe(true);
    for (const peer of peers) peer.end();
    await at.settled();
    expect(at.routes.watched).toBe(0);
  });

  it("wait while the route is away, and follow it to another registration", async () => {
    const at = await startProxy(stage);
    const origin = await countingOrigin();
    at.routes.register(HOST, origin.port, { state: "away" });
    const peer = await at.visitor();
    peer.write(get("/"));
    await held(at, 1);
    at.routes.register(HOST, origin.port, { clientId: "client-2" });
    expect((await readAnswer(peer)).status).toBe(200);
  });

  it("do not start on an idle stream whose link is down", async () => {
    const at = await startProxy(stage);
    const origin = await countingOrigin();
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(get("/1"));
    await readAnswer(peer);
    at.routes.cutLink();
    peer.write(get("/2"));
    await held(at, 1);
    expect(at.routes.streams[0]?.writtenBytes).toBe(origin.heads[0]?.length);
    at.routes.restoreLink();
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(at.routes.streams.length).toBe(1);
  });

  it("end with 503 and Retry-After when the time is over", async () => {
    const at = await startProxy(stage, { limits: { holdTimeoutMs: 60 } });
    at.routes.register(HOST, 1);
    at.routes.cutLink();
    const peer = await at.visitor();
    peer.write(get("/"));
    const answer = await readAnswer(peer);
    expect(answer.status).toBe(503);
    expect(answer.fields.get("duplexity-error")).toBe("DPX_CLIENT_AWAY");
    expect(answer.fields.get("retry-after")).toBe("5");
    expect(at.routes.watched).toBe(0);
    at.routes.restoreLink();
  });

  it("have waited already while they lay on a stream without a link: not once more as long when that is over", async () => {
    const holdTimeoutMs = 30_000;
    const at = await startProxy(stage, { limits: { holdTimeoutMs, headTimeoutMs: 100 } });
    const origin = await countingOrigin();
    at.routes.register(HOST, origin.port);
    at.routes.register("b.example.test", origin.port);
    const peer = await at.visitor();
    peer.write(get("/1"));
    await readAnswer(peer);
    const [stream] = at.routes.streams;
    if (stream === undefined) throw new Error("no stream");
    stream.isStuck = true;
    peer.write(get("/2"));
    await poll(() => stream.writtenBytes > (origin.heads[0]?.length ?? 0), 5_000, "the second request", 2);
    at.routes.cutLink();
    let time = performance.now();
    vi.spyOn(performance, "now").mockImplementation(() => time);
    stage.defer(() => vi.restoreAllMocks());
    // The sweep that ends another one's wait sees that this one's stream has no link.
    for (let waits = 0; waits < 2; waits += 1) {
      const other = await at.visitor();
      other.write(get("/", "b.example.test"));
      await held(at, 1);
      time += holdTimeoutMs + 1;
      expect((await readAnswer(other)).status).toBe(503);
    }
    stream.kill("DPX_SESSION_EXPIRED", stream.deliveredBytes);
    await held(at, 1);
    time += 2_000;
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_CLIENT_AWAY");
  });

  it("end with 404 when the name is given up meanwhile", async () => {
    const at = await startProxy(stage);
    at.routes.register(HOST, 1, { state: "away" });
    const peer = await at.visitor();
    peer.write(get("/"));
    await held(at, 1);
    at.routes.remove(HOST);
    expect((await readAnswer(peer)).status).toBe(404);
  });

  it("keep their first deadline however often the route flaps", async () => {
    const at = await startProxy(stage, { limits: { holdTimeoutMs: 150 } });
    at.routes.register(HOST, 1, { state: "away" });
    const peer = await at.visitor();
    peer.write(get("/"));
    await held(at, 1);
    const flapping = setInterval(() => at.routes.change(HOST, {}), 10);
    stage.defer(() => clearInterval(flapping));
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_CLIENT_AWAY");
  });

  it("are refused with DPX_HOLD_LIMIT beyond maxHeld", async () => {
    const at = await startProxy(stage, { limits: { maxHeld: 1 } });
    at.routes.register(HOST, 1, { state: "away" });
    const [first, second] = [await at.visitor(), await at.visitor()];
    first.write(get("/"));
    await held(at, 1);
    second.write(get("/"));
    const answer = await readAnswer(second);
    expect(answer.status).toBe(503);
    expect(answer.fields.get("duplexity-error")).toBe("DPX_HOLD_LIMIT");
  });

  it("are refused with DPX_HOLD_LIMIT beyond maxHeldBytes", async () => {
    const at = await startProxy(stage, { limits: { maxHeldBytes: 3_000 } });
    at.routes.register(HOST, 1, { state: "away" });
    const peer = await at.visitor();
    peer.write(get("/", HOST, `X: ${"x".repeat(4_000)}\r\n`));
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_HOLD_LIMIT");
  });

  it("leave the visitor's body unread", async () => {
    const at = await startProxy(stage);
    const origin = await countingOrigin();
    origin.silent = true;
    at.routes.register(HOST, origin.port, { state: "away" });
    const peer = await at.visitor();
    const size = 32 * 1_048_576;
    peer.write(`PUT / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: ${size}\r\n\r\n`);
    peer.write(Buffer.alloc(size));
    await held(at, 1);
    expect(at.proxy.statistics.heldBytes).toBeLessThan(200_000);
    expect(peer.socket.writableLength).toBeGreaterThan(16 * 1_048_576);
    at.routes.change(HOST, { state: "up" });
    await poll(() => (at.routes.streams[0]?.deliveredBytes ?? 0) > size, 10_000, "the whole body", 5);
  });

  it("are forgotten when their visitor leaves", async () => {
    const at = await startProxy(stage);
    at.routes.register(HOST, 1, { state: "away" });
    const peer = await at.visitor();
    peer.write(get("/"));
    await held(at, 1);
    peer.socket.resetAndDestroy();
    await at.settled();
    expect(at.routes.watched).toBe(0);
    expect(at.routes.reports).toMatchObject([{ errorCode: "DPX_VISITOR_GONE" }]);
  });

  it("wait for routes that are found later, too", async () => {
    const at = await startProxy(stage);
    const origin = await countingOrigin();
    at.routes.register(HOST, origin.port, { state: "away" });
    at.routes.isSlow = true;
    const peer = await at.visitor();
    peer.write(get("/1") + get("/2"));
    await held(at, 1);
    at.routes.change(HOST, { state: "up" });
    expect((await readAnswer(peer)).body).toBe("ok");
    expect((await readAnswer(peer)).body).toBe("ok");
  });
});

describe("a request whose stream dies", () => {
  const POST = `POST / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 4\r\n\r\nbody`;

  /** A visitor whose next request goes over a used stream. */
  async function warm(at: ProxyStage) {
    const origin = await countingOrigin();
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(get("/warm"));
    await readAnswer(peer);
    return { origin, peer };
  }

  it("is sent again, whatever its method, when nothing of it was delivered", async () => {
    const at = await startProxy(stage);
    const { origin, peer } = await warm(at);
    const [used] = at.routes.streams;
    if (used === undefined) throw new Error("No stream");
    used.isStuck = true;
    peer.write(POST);
    await poll(() => used.writtenBytes > used.deliveredBytes, 5_000, "the request", 2);
    used.kill("DPX_LINK_LOST", used.deliveredBytes);
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(origin.heads.length).toBe(2);
    expect(origin.heads[1]?.endsWith("\r\n\r\nbody")).toBe(true);
    expect(at.proxy.statistics.replays).toBe(1);
  });

  it("waits when nothing of it was delivered and no link is up", async () => {
    const at = await startProxy(stage);
    const { origin, peer } = await warm(at);
    const [used] = at.routes.streams;
    if (used === undefined) throw new Error("No stream");
    used.isStuck = true;
    peer.write(POST);
    await poll(() => used.writtenBytes > used.deliveredBytes, 5_000, "the request", 2);
    at.routes.cutLink();
    used.kill("DPX_SESSION_EXPIRED", used.deliveredBytes);
    await held(at, 1);
    at.routes.restoreLink();
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(origin.heads.length).toBe(2);
  });

  it.each(["unknown", "a byte more"])("is never sent again when %s was delivered and it is not safe", async (what) => {
    const at = await startProxy(stage);
    const { origin, peer } = await warm(at);
    const before = at.routes.streams[0]?.writtenBytes ?? 0;
    origin.silent = true;
    peer.write(POST);
    await poll(() => origin.heads.length === 2, 5_000, "the request", 2);
    at.routes.streams[0]?.kill("DPX_SESSION_EXPIRED", what === "unknown" ? null : before + 1);
    expect((await readAnswer(peer)).status).toBe(503);
    expect(origin.heads.length).toBe(2);
    expect(at.routes.streams.length).toBe(1);
  });

  it("is sent once more over a fresh stream when it is safe and the stream was used before", async () => {
    const at = await startProxy(stage);
    const { origin, peer } = await warm(at);
    origin.silent = true;
    peer.write(get("/again"));
    await poll(() => origin.heads.length === 2, 5_000, "the request", 2);
    at.routes.streams[0]?.kill("DPX_TARGET_BROKE", null);
    await poll(() => origin.heads.length === 3, 5_000, "the second try", 2);
    at.routes.streams[1]?.kill("DPX_TARGET_BROKE", null);
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_TARGET_BROKE");
    expect(at.routes.streams.length).toBe(2);
  });

  it("is not sent again when its fresh stream dies without a word", async () => {
    const at = await startProxy(stage);
    const origin = await countingOrigin();
    origin.silent = true;
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(get("/"));
    await poll(() => origin.heads.length === 1, 5_000, "the request", 2);
    at.routes.streams[0]?.kill("DPX_TARGET_BROKE", null);
    expect((await readAnswer(peer)).status).toBe(502);
    expect(at.routes.streams.length).toBe(1);
  });

  it("is not sent again once a byte of the answer is there", async () => {
    const at = await startProxy(stage);
    const origin = await startTcpOrigin(stage, (socket) => {
      let turn = 0;
      socket.on("data", () =>
        socket.write(turn++ === 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" : "HTTP/1.1 2"),
      );
    });
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(get("/1"));
    await readAnswer(peer);
    const used = at.routes.streams[0];
    const before = used?.writtenBytes ?? 0;
    peer.write(get("/2"));
    await poll(() => (used?.deliveredBytes ?? 0) > before, 5_000, "the request", 2);
    await poll(() => (used?.socket.bytesRead ?? 0) > 45, 5_000, "the answer's first bytes", 2);
    used?.kill("DPX_TARGET_BROKE", before);
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_TARGET_BROKE");
    expect(at.routes.streams.length).toBe(1);
  });

  it("is sent again when the target closes a used connection just then", async () => {
    const at = await startProxy(stage);
    let connections = 0;
    const heads: string[] = [];
    const origin = await startTcpOrigin(stage, (socket) => {
      connections++;
      let turn = 0;
      socket.on("data", (chunk: Buffer) => {
        heads.push(chunk.toString("latin1"));
        // The first connection takes the second request and ends without a word.
        if (connections === 1 && ++turn === 2) socket.end();
        else socket.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
      });
    });
    at.routes.register(HOST, origin.port);
    const peer = await at.visitor();
    peer.write(get("/1"));
    await readAnswer(peer);
    peer.write(get("/2"));
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(heads.length).toBe(3);
  });

  it("waits for the client's word when the target closed and the request is not safe", async () => {
    const at = await startProxy(stage);
    const { origin, peer } = await warm(at);
    const used = at.routes.streams[0];
    if (used === undefined) throw new Error("No stream");
    used.isStuck = true;
    peer.write(POST);
    await poll(() => used.writtenBytes > used.deliveredBytes, 5_000, "the request", 2);
    used.handler.onEnd();
    used.kill("DPX_TARGET_CLOSED", used.deliveredBytes);
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(origin.heads.length).toBe(2);
  });

  it("breaks with that word, and is not sent again, when it was delivered", async () => {
    const at = await startProxy(stage);
    const { origin, peer } = await warm(at);
    origin.silent = true;
    peer.write(POST);
    await poll(() => origin.heads.length === 2, 5_000, "the request", 2);
    const [used] = at.routes.streams;
    used?.handler.onEnd();
    used?.kill("DPX_TARGET_CLOSED", used.deliveredBytes);
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_TARGET_BROKE");
    expect([origin.heads.length, at.routes.streams.length]).toEqual([2, 1]);
  });

  it("waits for that word for as long as the link is away", async () => {
    const at = await startProxy(stage, { limits: { holdTimeoutMs: 2 * TARGET_END_GRACE_MS } });
    const { origin, peer } = await warm(at);
    const used = at.routes.streams[0];
    if (used === undefined) throw new Error("No stream");
    used.isStuck = true;
    peer.write(POST);
    await poll(() => used.writtenBytes > used.deliveredBytes, 5_000, "the request", 2);
    at.routes.cutLink();
    used.handler.onEnd();
    // By the proxy's own clock: what was held after it has waited twice as long as a word may stay out.
    const other = await at.visitor();
    other.write(get("/held"));
    expect((await readAnswer(other)).fields.get("duplexity-error")).toBe("DPX_CLIENT_AWAY");
    at.routes.restoreLink();
    used.kill("DPX_TARGET_CLOSED", used.deliveredBytes);
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(origin.heads.length).toBe(2);
  });

  it("breaks when that word does not come", async () => {
    const at = await startProxy(stage, { limits: { holdTimeoutMs: 40 } });
    const { origin, peer } = await warm(at);
    origin.silent = true;
    peer.write(POST);
    await poll(() => origin.heads.length === 2, 5_000, "the request", 2);
    at.routes.streams[0]?.handler.onEnd();
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_TARGET_BROKE");
    expect(origin.heads.length).toBe(2);
  });

  it("is not sent again when more was sent than is kept", async () => {
    const at = await startProxy(stage);
    const { origin, peer } = await warm(at);
    origin.silent = true;
    peer.write(`PUT / HTTP/1.1\r\nHost: ${HOST}\r\nContent-Length: 200000\r\n\r\n`);
    peer.write(Buffer.alloc(100_000));
    await poll(() => (at.routes.streams[1]?.writtenBytes ?? 0) > 100_000, 5_000, "the body", 2);
    at.routes.streams[1]?.kill("DPX_LINK_LOST", 0);
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_LINK_LOST");
    expect(at.routes.streams.length).toBe(2);
  });

  it.each([
    ["longer than what is kept", "Content-Length: 65537\r\n\r\n", "b".repeat(65_537)],
    ["of no known length", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", "0\r\n\r\n"],
  ])("was a fresh one's from the start when its body is %s", async (_, begin, rest) => {
    const at = await startProxy(stage);
    const { peer } = await warm(at);
    const [used] = at.routes.streams;
    if (used === undefined) throw new Error("No stream");
    // Its target may have closed it, and the word of that be on its way.
    used.isStuck = true;
    peer.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${begin}`);
    await poll(() => at.routes.streams.length === 2, 5_000, "a fresh stream", 2);
    used.kill("DPX_TARGET_CLOSED", used.deliveredBytes);
    peer.write(rest);
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(at.routes.streams.length).toBe(2);
    expect(at.proxy.statistics.replays).toBe(0);
  });

  it.each([
    ["is as long as what is kept", "Content-Length: 65536\r\n\r\n", "b".repeat(65_536)],
    ["is here already", "Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", ""],
  ])("is sent again over a fresh one when its body %s", async (_, begin, rest) => {
    const at = await startProxy(stage);
    const { peer } = await warm(at);
    const [used] = at.routes.streams;
    if (used === undefined) throw new Error("No stream");
    used.isStuck = true;
    const before = used.writtenBytes;
    peer.write(`POST / HTTP/1.1\r\nHost: ${HOST}\r\n${begin}${rest}`);
    await poll(() => used.writtenBytes >= before + begin.length + rest.length, 5_000, "the request", 2);
    used.kill("DPX_TARGET_CLOSED", used.deliveredBytes);
    expect((await readAnswer(peer)).body).toBe("ok");
    expect(at.routes.streams.length).toBe(2);
    expect(at.proxy.statistics.replays).toBe(1);
  });

  it("ends with 503, not 404, when its client drains and the name is free by then", async () => {
    const at = await startProxy(stage);
    const { peer } = await warm(at);
    const [used] = at.routes.streams;
    if (used === undefined) throw new Error("No stream");
    used.isStuck = true;
    peer.write(POST);
    await poll(() => used.writtenBytes > used.deliveredBytes, 5_000, "the request", 2);
    at.routes.remove(HOST);
    used.kill("DPX_DRAINING", used.deliveredBytes);
    const answer = await readAnswer(peer);
    expect([answer.status, answer.fields.get("duplexity-error")]).toEqual([503, "DPX_CLIENT_AWAY"]);
    // The next one was never on its way.
    peer.write(POST);
    expect((await readAnswer(peer)).fields.get("duplexity-error")).toBe("DPX_NAME_UNKNOWN");
  });

  it("meets no second refusal of its target", async () => {
    const at = await startProxy(stage);
    at.routes.register(HOST, await freePort());
    const peer = await at.visitor();
    peer.write(POST);
    expect((await readAnswer(peer)).status).toBe(502);
    expect(at.routes.streams.length).toBe(1);
  });
});
