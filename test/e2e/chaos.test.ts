// Everything at once over a link that is cut at random: whole answers, aborted ones, uploads, WebSockets, targets that
// break off. What was not broken on purpose has to be exact, and at the end nothing may be left over.

import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { runDuplexity } from "../support/duplexity.ts";
import { INSPECT_ARGS, memoryAfterGc } from "../support/inspect.ts";
import { numberOf } from "../support/lines.ts";
import { seededBytes, seededRandom, seededSha256, sha256 } from "../support/seeded.ts";
import { useStage } from "../support/stage.ts";
import { type RunningTunnel, startFaultyTunnel } from "../support/tunnel.ts";
import { digestOf, keepAliveAgent, openVisit } from "../support/visitor.ts";
import { poll, within } from "../support/wait.ts";

const stage = useStage();
const SECONDS = 15;
const MEBIBYTE = 1_048_576;

type Visit = (tunnel: RunningTunnel, random: () => number) => Promise<void>;

describe("A tunnel whose link is cut at random", () => {
  it("serves every visitor exactly, aborted ones beside it, and has nothing left over at the end", async () => {
    const tunnel = await startFaultyTunnel(stage, { serverNodeArgs: INSPECT_ARGS });
    const agent = keepAliveAgent(stage, 32);
    const visits: readonly Visit[] = [download, upload, aborted, small(agent), webSocket];
    const counts = new Map<string, number>();
    const random = seededRandom(12);
    let isOver = false;
    const workers = Array.from({ length: 20 }, async (_, index) => {
      const own = seededRandom(index);
      while (!isOver) {
        const visit = visits[index % visits.length] ?? download;
        await within(visit(tunnel, own), 60_000, `${visit.name} of visitor ${index}`);
        counts.set(visit.name, (counts.get(visit.name) ?? 0) + 1);
      }
    });
    const over = Promise.all(workers);
    over.catch(() => {});
    for (const end = performance.now() + SECONDS * 1_000; performance.now() < end; ) {
      await delay(200 + random() * 1_500);
      const choice = random();
      if (choice < 0.7) tunnel.link.cutAll();
      else if (choice < 0.85) tunnel.link.delayMs = tunnel.link.delayMs === 0 ? 40 : 0;
      else tunnel.link.bytesPerSecond = tunnel.link.bytesPerSecond === 0 ? 20_000_000 : 0;
    }
    tunnel.link.delayMs = 0;
    tunnel.link.bytesPerSecond = 0;
    isOver = true;
    await over;
    console.log("chaos:", Object.fromEntries(counts), { cuts: tunnel.link.cuts });
    for (const count of counts.values()) expect(count).toBeGreaterThan(0);

    agent.destroy();
    // One session from the beginning to the end: none of the cuts was allowed to end it.
    expect(tunnel.server.process.stderr).not.toMatch(/ended with DPX|DPX_INTERNAL/);
    await poll(async () => (await openStreams(tunnel)) <= IDLE_STREAMS, 20_000, "the streams to end", 500);
    const memory = await memoryAfterGc(tunnel.server.process);
    expect(memory.externalMiB).toBeLessThan(32);
    expect((await tunnel.visit("/hello")).body).toBe("hello");
  }, 180_000);
});

/** The proxy keeps idle ones to the target for the next visitors. */
const IDLE_STREAMS = 64;

async function openStreams(tunnel: RunningTunnel): Promise<number> {
  const status = await runDuplexity(stage, ["status", "--json"], { home: tunnel.home });
  return numberOf(status.lines[0] ?? { v: 1, type: "none" }, "openStreams");
}

async function download(tunnel: RunningTunnel, random: () => number): Promise<void> {
  const size = Math.floor(random() * 8 * MEBIBYTE);
  const seed = Math.floor(random() * 1_000);
  const response = await openVisit(tunnel.server.port, tunnel.hostname, `/bytes/${size}?seed=${seed}`);
  expect(await digestOf(response)).toEqual({ bytes: size, sha256: seededSha256(seed, size) });
}

async function upload(tunnel: RunningTunnel, random: () => number): Promise<void> {
  const body = seededBytes(Math.floor(random() * 1_000), Math.floor(random() * 4 * MEBIBYTE));
  const answer = await tunnel.visit("/sha256", { method: "POST", body, limitMs: 60_000 });
  expect(JSON.parse(answer.body)).toEqual({ bytes: body.length, sha256: sha256().update(body).digest("hex") });
}

/** Leaves in the middle of a long answer. */
async function aborted(tunnel: RunningTunnel, random: () => number): Promise<void> {
  const response = await openVisit(tunnel.server.port, tunnel.hostname, `/bytes/${64 * MEBIBYTE}`);
  response.on("error", () => {});
  let left = random() * 4 * MEBIBYTE;
  for await (const chunk of response) {
    const data: Buffer = chunk;
    left -= data.length;
    if (left < 0) break;
  }
  response.destroy();
}

function small(agent: ReturnType<typeof keepAliveAgent>): Visit {
  return async function small(tunnel, random) {
    const id = `${random()}`;
    const answer = await tunnel.visit(`/count?id=${id}`, { method: "POST", body: "x", agent, limitMs: 60_000 });
    expect(`${answer.status} ${answer.body}`).toBe(`200 ${id} 1`);
  };
}

async function webSocket(tunnel: RunningTunnel, random: () => number): Promise<void> {
  const socket = new WebSocket(`ws://127.0.0.1:${tunnel.server.port}/`, {
    headers: { host: tunnel.hostname },
    perMessageDeflate: false,
  });
  const broken = new Promise<never>((_, reject) => socket.once("error", reject));
  broken.catch(() => {});
  await Promise.race([once(socket, "open"), broken]);
  for (let turn = 0; turn < 20; turn += 1) {
    const message = seededBytes(turn, Math.floor(random() * 200_000));
    const echo = once(socket, "message");
    socket.send(message);
    const [data] = await Promise.race([echo, broken]);
    expect(message.equals(data)).toBe(true);
  }
  // Some say goodbye, others just go.
  if (random() < 0.5) socket.close();
  else socket.terminate();
}
