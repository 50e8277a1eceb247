// What takes other tunnels minutes: black holes, a server that dies, a client that freezes.

import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { barMs, HANG_MS, IS_FULL } from "../support/bars.ts";
import { type RunningServer, spawnUp, startServer, startUp } from "../support/duplexity.ts";
import { startHttpOrigin } from "../support/http-origin.ts";
import { textOf } from "../support/lines.ts";
import { freePort } from "../support/sockets.ts";
import { useStage } from "../support/stage.ts";
import { startFaultyTunnel, startTunnel } from "../support/tunnel.ts";
import { visit } from "../support/visitor.ts";
import { poll } from "../support/wait.ts";

const stage = useStage();
/** From the first to the last of them the waits grow to their longest. */
const ATTEMPTS = 5;

describe("A link in a black hole", () => {
  it("is replaced within 20 s, and what was asked meanwhile is delivered once", async () => {
    const tunnel = await startFaultyTunnel(stage);
    expect((await tunnel.visit("/hello")).body).toBe("hello");
    const start = performance.now();
    tunnel.link.blackhole();
    const meanwhile = await Promise.all(
      Array.from({ length: 20 }, (_, id) =>
        tunnel.visit(`/count?id=${id}`, { method: id % 2 ? "POST" : "GET", limitMs: 3 * HANG_MS }),
      ),
    );
    const seconds = (performance.now() - start) / 1_000;
    console.log(`black hole: served again after ${seconds.toFixed(1)} s`);
    expect(meanwhile.map(({ status, body }) => `${status} ${body}`)).toEqual(meanwhile.map((_, id) => `200 ${id} 1`));
    if (IS_FULL) expect(seconds).toBeLessThan(20);
  });

  it("is survived when new connections vanish too for a while", async () => {
    const tunnel = await startFaultyTunnel(stage, {
      serverArgs: ["--heartbeat-idle", "500ms", "--heartbeat-timeout", "500ms"],
    });
    expect((await tunnel.visit("/hello")).body).toBe("hello");
    tunnel.link.blackhole(true);
    const asked = tunnel.visit("/count?id=x", { method: "POST" });
    await tunnel.up.process.nextLine("reconnecting");
    await delay(3_000);
    tunnel.link.heal();
    expect((await asked).body).toBe("x 1");
  });
});

describe("A server that is killed and started again", () => {
  it("serves its pipes within 3 s of listening", async () => {
    const [port, internalPort] = [await freePort(), await freePort()];
    const first = await startServer(stage, { port, internalPort });
    const origin = await startHttpOrigin(stage);
    const up = await startUp(stage, first.url, [`cat1:${origin.target}`]);
    await expectServed(first);
    await first.process.end();
    await up.process.nextLine("reconnecting");
    const second = await startServer(stage, { port, internalPort });
    console.log(`server restarted: served again ${await servedAfter(second)} ms after listening`);
    await up.process.nextLine("resumed");
  });

  it("serves its pipes within 3 s of listening, also after a longer absence", async () => {
    const [port, internalPort] = [await freePort(), await freePort()];
    const first = await startServer(stage, { port, internalPort });
    const origin = await startHttpOrigin(stage);
    const up = await startUp(stage, first.url, [`cat1:${origin.target}`]);
    await first.process.end();
    // Until its waits between two attempts are the longest.
    for (let attempts = 0; attempts < ATTEMPTS; attempts += 1) await up.process.nextLine("reconnecting");
    const second = await startServer(stage, { port, internalPort });
    console.log(`server back after ${ATTEMPTS} attempts: served again ${await servedAfter(second)} ms after listening`);
  });

  async function expectServed(server: RunningServer): Promise<void> {
    expect((await visit(server.port, "cat1.localhost", "/hello")).body).toBe("hello");
  }

  async function servedAfter(server: RunningServer): Promise<number> {
    const start = performance.now();
    await poll(
      async () => {
        const answer = await visit(server.port, "cat1.localhost", "/hello").catch(() => null);
        return answer?.status === 200;
      },
      3_000,
      "cat1 to be served again",
      20,
    );
    return Math.round(performance.now() - start);
  }
});

describe("A client that is frozen", () => {
  it("gives its name to its owner's next client within 2 s, and ends with DPX_REPLACED when it thaws", async () => {
    const tunnel = await startTunnel(stage);
    const frozen = tunnel.up.process;
    const other = await startHttpOrigin(stage, "the other");
    expect((await tunnel.visit("/hello")).body).toBe("hello");
    frozen.kill("SIGSTOP");

    const start = performance.now();
    const fresh = await spawnUp(stage, tunnel.serverUrl, [`cat1:${other.target}`], { home: tunnel.home });
    const answer = await poll(
      async () => {
        const got = await visit(tunnel.server.port, tunnel.hostname, "/hello", { limitMs: 1_000 }).catch(() => null);
        return got?.body === "the other" ? got : null;
      },
      10_000,
      "the second client to serve",
      20,
    );
    const milliseconds = performance.now() - start;
    console.log(`client frozen: the next one serves ${Math.round(milliseconds)} ms after its start`);
    expect(answer.status).toBe(200);
    expect(milliseconds).toBeLessThan(barMs(2_000));

    frozen.kill("SIGCONT");
    const closed = await frozen.nextLine("closed");
    expect(textOf(closed, "code")).toBe("DPX_REPLACED");
    expect(await frozen.exited()).toEqual({ status: 5, signal: null });
    expect((await tunnel.visit("/hello")).body).toBe("the other");
    expect(fresh.hasExited).toBe(false);
  });

  it("serves on when it thaws and nobody took its name", async () => {
    const tunnel = await startTunnel(stage, {
      serverArgs: ["--heartbeat-idle", "300ms", "--heartbeat-timeout", "300ms"],
    });
    tunnel.up.process.kill("SIGSTOP");
    const asked = tunnel.visit("/count?id=frozen", { method: "POST" });
    await delay(3_000);
    tunnel.up.process.kill("SIGCONT");
    expect((await asked).body).toBe("frozen 1");
  });
});
