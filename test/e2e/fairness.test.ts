// One server for many: nobody's flood, stall or size may cost the others.

import { connect } from "node:net";
import { describe, expect, it } from "vitest";
import { barMs } from "../support/bars.ts";
import { startServer, startUp } from "../support/duplexity.ts";
import { createFlood } from "../support/flood.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { residentMiB } from "../support/memory.ts";
import { seededSha256 } from "../support/seeded.ts";
import { useStage } from "../support/stage.ts";
import { startTunnel } from "../support/tunnel.ts";
import { type Answer, digestOf, keepAliveAgent, openVisit, visit } from "../support/visitor.ts";
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
    // The bar of bench/ is 64 MiB on a quiet machine; here it is to catch what grows without a bound.
    expect(grown.server).toBeLessThan(128);
    expect(grown.up).toBeLessThan(128);
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
    const flood = await createFlood(stage);
    const calm = await startHttpOrigin(stage, "calm");
    await startUp(stage, server.url, [`busy:${flood.target}`]);
    await startUp(stage, server.url, [`calm:${calm.target}`]);
    await flood.start({ kind: "download", port: server.port, hostname: "busy.localhost", connections: 50 });
    await expectCalm("a flood of another pipe", () => visit(server.port, "calm.localhost", "/hello"));
  });

  it("huge uploads leave small requests of the same tunnel answering", async () => {
    const server = await startServer(stage);
    const flood = await createFlood(stage);
    const calm = await startHttpOrigin(stage, "calm");
    await startUp(stage, server.url, [`busy:${flood.target}`, `calm:${calm.target}`]);
    await flood.start({ kind: "upload", port: server.port, hostname: "busy.localhost", connections: 4 });
    await expectCalm("uploads in the same tunnel", () => visit(server.port, "calm.localhost", "/hello"));
  });

  /** 200 requests, none slower than a busy machine of two cores explains. */
  async function expectCalm(beside: string, ask: () => Promise<Answer>): Promise<void> {
    const times: number[] = [];
    for (let turn = 0; turn < 200; turn += 1) {
      const start = performance.now();
      expect((await ask()).body).toBe("calm");
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    console.log(`beside ${beside}: p50 ${times[100]?.toFixed(1)} ms, p99 ${times[197]?.toFixed(1)} ms`);
    expect(times[197]).toBeLessThan(barMs(1_000));
  }
});
