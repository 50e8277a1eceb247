// One server for many: nobody's flood, stall or size may cost the others.

import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { startServer, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { residentMiB } from "../support/memory.ts";
import { seededSha256 } from "../support/seeded.ts";
import { useStage } from "../support/stage.ts";
import { startTunnel } from "../support/tunnel.ts";
import { digestOf, keepAliveAgent, openVisit, RawVisitor, visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();

describe("Stalled readers", () => {
  it("cost their own window only: 100 of 1 GiB each", async () => {
    const tunnel = await startTunnel(stage);
    for (let warm = 0; warm < 200; warm += 1) await tunnel.visit("/hello");
    const pids = { server: tunnel.server.process.pid, up: tunnel.up.process.pid };
    const before = { server: await residentMiB(pids.server), up: await residentMiB(pids.up) };
    const stalled = await Promise.all(
      Array.from({ length: 100 }, async () => {
        const socket = connect({ host: "127.0.0.1", port: tunnel.server.port });
        stage.defer(() => socket.destroy());
        socket.write(`GET /bytes/1073741824 HTTP/1.1\r\nHost: ${tunnel.hostname}\r\n\r\n`);
        await new Promise<void>((resolve, reject) => socket.once("readable", resolve).once("error", reject));
        return socket;
      }),
    );
    // Nobody reads: the memory has to stop growing by itself.
    const total = async () => (await residentMiB(pids.server)) + (await residentMiB(pids.up));
    let last = -1;
    await poll(
      async () => {
        const now = await total();
        const isSteady = Math.abs(now - last) < 1;
        last = now;
        return isSteady;
      },
      20_000,
      "the memory to settle",
      500,
    );
    const grown = {
      server: (await residentMiB(pids.server)) - before.server,
      up: (await residentMiB(pids.up)) - before.up,
    };
    console.log(`100 stalled readers: server +${grown.server.toFixed(0)} MiB, client +${grown.up.toFixed(0)} MiB`);
    expect((await tunnel.visit("/hello")).status).toBe(200);
    expect(stalled.every((socket) => !socket.destroyed)).toBe(true);
    expect(grown.server).toBeLessThan(64);
    expect(grown.up).toBeLessThan(64);
  });

  it("do not hold up their neighbours in the same tunnel", async () => {
    const tunnel = await startTunnel(stage);
    const agent = keepAliveAgent(stage);
    for (let index = 0; index < 20; index += 1) {
      (await openVisit(tunnel.server.port, tunnel.hostname, "/bytes/1073741824")).pause();
    }
    const response = await openVisit(tunnel.server.port, tunnel.hostname, "/bytes/50000000?seed=2", { agent });
    expect(await digestOf(response)).toEqual({ bytes: 50_000_000, sha256: seededSha256(2, 50_000_000) });
  });
});

describe("Many at once", () => {
  it("200 visitors in 20 rounds each get their own answer", async () => {
    const tunnel = await startTunnel(stage);
    const agent = keepAliveAgent(stage, 200);
    await Promise.all(
      Array.from({ length: 200 }, async (_, id) => {
        for (let round = 0; round < 20; round += 1) {
          const body = `${id}/${round} `.repeat(1 + ((id * 7 + round * 13) % 500));
          const answer = await tunnel.visit("/echo", { method: "POST", body, agent });
          if (answer.body !== body) throw new Error(`${id}/${round} got ${answer.body.slice(0, 40)}`);
        }
      }),
    );
  });

  it("one pipe's flood leaves the other pipe answering", async () => {
    const server = await startServer(stage);
    const [busy, calm] = [await startHttpOrigin(stage, "busy"), await startHttpOrigin(stage, "calm")];
    await startUp(stage, server.url, [`busy:${busy.target}`]);
    await startUp(stage, server.url, [`calm:${calm.target}`]);
    const flooders = await Promise.all(Array.from({ length: 50 }, () => RawVisitor.open(stage, server.port)));
    let isOver = false;
    // Each asks for megabytes again and again; what comes is thrown away.
    const flood = flooders.map(async (visitor) => {
      while (!isOver) {
        visitor.write("GET /bytes/1000000 HTTP/1.1\r\nHost: busy.localhost\r\n\r\n");
        let left = 1_000_000;
        await visitor.readUntil("\r\n\r\n", 60_000);
        while (left > 0 && !isOver) left -= (await visitor.readSome(60_000)).length;
      }
    });
    const agent = keepAliveAgent(stage);
    const times: number[] = [];
    for (let turn = 0; turn < 200; turn += 1) {
      const start = performance.now();
      const answer = await visit(server.port, "calm.localhost", "/hello", { agent });
      expect(answer.body).toBe("calm");
      times.push(performance.now() - start);
    }
    isOver = true;
    for (const visitor of flooders) visitor.socket.destroy();
    await Promise.allSettled(flood);
    times.sort((a, b) => a - b);
    console.log(`beside a flood: p50 ${times[100]?.toFixed(1)} ms, p99 ${times[197]?.toFixed(1)} ms`);
    expect(times[197]).toBeLessThan(1_000);
  });

  it("a huge upload leaves small requests of the same tunnel answering", async () => {
    const tunnel = await startTunnel(stage);
    const upload = await RawVisitor.open(stage, tunnel.server.port);
    upload.write(`POST /sha256 HTTP/1.1\r\nHost: ${tunnel.hostname}\r\nContent-Length: 100000000000\r\n\r\n`);
    const block = Buffer.alloc(1_048_576);
    const pump = () => {
      while (!upload.socket.destroyed && upload.socket.write(block));
    };
    upload.socket.on("drain", pump);
    pump();
    const times: number[] = [];
    for (let turn = 0; turn < 100; turn += 1) {
      const start = performance.now();
      expect((await tunnel.visit("/hello")).body).toBe("hello");
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    console.log(`beside an upload: p50 ${times[50]?.toFixed(1)} ms, p99 ${times[98]?.toFixed(1)} ms`);
    expect(times[98]).toBeLessThan(1_000);
    upload.socket.destroy();
  });
});
