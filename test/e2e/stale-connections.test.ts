// Local services close idle connections whenever they like, restart, and die under a request: what a visitor may notice
// of that is nothing, or the truth.

import { once } from "node:events";
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { startServer, startUp } from "../support/duplexity.ts";
import { readMetrics } from "../support/metrics.ts";
import { seededRandom, seededSha256 } from "../support/seeded.ts";
import { closeWithSockets, freePort, listen } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { startTcpOrigin } from "../support/tcp-origin.ts";
import { startFaultyTunnel } from "../support/tunnel.ts";
import { digestOf, keepAliveAgent, openVisit, visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
/** More than is kept of a request to send it again. */
const UPLOAD_BYTES = 200_000;

describe("A target that closes idle connections", () => {
  it("costs nobody a GET, and no POST is sent twice", async () => {
    const posts = new Map<string, number>();
    const origin = createServer((request, response) => {
      const id = request.url ?? "";
      if (request.method === "POST") posts.set(id, (posts.get(id) ?? 0) + 1);
      request.resume();
      response.end(id);
    });
    closeWithSockets(stage, origin);
    const port = await listen(origin);
    // Each connection dies a few milliseconds after its last answer: just when the next request may come.
    origin.on("request", (request, response) => {
      response.on("finish", () => setTimeout(() => request.socket.end(), 4));
    });
    const server = await startServer(stage);
    await startUp(stage, server.url, [`cat1:127.0.0.1:${port}`]);
    const agent = keepAliveAgent(stage);
    const random = seededRandom(3);
    const failed: string[] = [];
    let unknown = 0;
    for (let id = 0; id < 400; id += 1) {
      await delay(random() * 8);
      const isPost = id % 4 === 3;
      const method = isPost ? "POST" : "GET";
      const answer = await visit(server.port, "cat1.localhost", `/${id}`, { method, body: isPost ? "x" : "", agent });
      if (answer.status === 200 && answer.body === `/${id}`) continue;
      // Whether a POST was served that crossed with the connection's end, nobody can know: it must not be sent again.
      const isHonest = isPost && answer.headers["duplexity-error"] === "DPX_TARGET_BROKE";
      if (isHonest) unknown += 1;
      else failed.push(`${method} ${id}: ${answer.status}`);
    }
    expect(failed).toEqual([]);
    console.log(`stale connections: 0 of 300 GETs failed, ${unknown} of 100 POSTs with an unknown end`);
    expect([...posts.values()].filter((times) => times > 1)).toEqual([]);
  });
});

describe("A target that closes an idle connection while the link is dead", () => {
  it.each([
    ["of a known length", { "content-length": UPLOAD_BYTES }],
    ["of unknown length", { "transfer-encoding": "chunked" }],
  ])("costs nobody an upload %s beyond what is kept, and none arrives twice", async (_, headers) => {
    const seen: string[] = [];
    const connections: Socket[] = [];
    const origin = createServer({ keepAliveTimeout: 60_000 }, async (request, response) => {
      seen.push(request.method ?? "");
      let bytes = 0;
      for await (const chunk of request) bytes += chunk.length;
      response.end(`${bytes} bytes`);
    });
    origin.on("connection", (socket) => connections.push(socket));
    closeWithSockets(stage, origin);
    const internal = await freePort();
    const tunnel = await startFaultyTunnel(stage, {
      target: `127.0.0.1:${await listen(origin)}`,
      serverArgs: ["--internal-listen", `127.0.0.1:${internal}`],
    });
    expect((await tunnel.visit("/")).body).toBe("0 bytes");
    // The client hears of the end, its word of that is swallowed, and the server trusts its link still.
    tunnel.link.blackhole();
    const [kept] = connections;
    if (kept === undefined) throw new Error("No connection");
    const closed = once(kept, "close");
    kept.end();
    await closed;
    const answer = tunnel.visit("/", { method: "POST", headers, body: Buffer.alloc(UPLOAD_BYTES, "u") });
    const isRunning = async () => (await readMetrics(internal)).get("duplexity_requests_open") === 1;
    await poll(isRunning, 10_000, "the upload at the server");
    tunnel.link.cutAll();
    expect(await answer).toMatchObject({ status: 200, body: `${UPLOAD_BYTES} bytes` });
    expect(seen).toEqual(["GET", "POST"]);
  });
});

describe("A target that restarts", () => {
  it("is served again as soon as it listens", async () => {
    const server = await startServer(stage);
    const port = await freePort();
    const up = await startUp(stage, server.url, [`cat1:127.0.0.1:${port}`]);
    for (let turn = 0; turn < 3; turn += 1) {
      expect((await visit(server.port, "cat1.localhost", "/")).status).toBe(502);
      const origin = createServer((_request, response) => response.end("up"));
      await listen(origin, port);
      expect((await visit(server.port, "cat1.localhost", "/")).body).toBe("up");
      origin.closeAllConnections();
      await new Promise((resolve) => origin.close(resolve));
    }
    expect(up.process.hasExited).toBe(false);
  });

  it("that dies under a request is a 502 with DPX_TARGET_BROKE, and a POST is not sent again", async () => {
    let heads = 0;
    const origin = await startTcpOrigin(stage, (socket) => {
      socket.on("data", () => {
        heads += 1;
        socket.resetAndDestroy();
      });
    });
    const server = await startServer(stage);
    await startUp(stage, server.url, [`cat1:${origin.target}`]);
    const answer = await visit(server.port, "cat1.localhost", "/", { method: "POST", body: "once" });
    expect([answer.status, answer.headers["duplexity-error"]]).toEqual([502, "DPX_TARGET_BROKE"]);
    expect(heads).toBe(1);
  });
});

describe("A download over a link that falls into a black hole", () => {
  it("goes on over the next link without a byte lost", async () => {
    const tunnel = await startFaultyTunnel(stage, {
      serverArgs: ["--heartbeat-idle", "500ms", "--heartbeat-timeout", "500ms"],
    });
    tunnel.link.bytesPerSecond = 20_000_000;
    const size = 60_000_000;
    const response = await openVisit(tunnel.server.port, tunnel.hostname, `/bytes/${size}?seed=5`);
    const digest = digestOf(response);
    for (let turn = 0; turn < 2; turn += 1) {
      await delay(500);
      tunnel.link.blackhole();
      await tunnel.up.process.nextLine("resumed");
    }
    expect(await digest).toEqual({ bytes: size, sha256: seededSha256(5, size) });
  });
});
