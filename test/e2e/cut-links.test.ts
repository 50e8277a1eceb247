// The link is cut again and again while bytes and requests are on their way: no visitor may notice.

import { Readable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { IS_FULL } from "../support/bars.ts";
import { seededChunks, seededSha256 } from "../support/seeded.ts";
import { useStage } from "../support/stage.ts";
import { startFaultyTunnel } from "../support/tunnel.ts";
import { digestOf, openVisit } from "../support/visitor.ts";

const stage = useStage();
const SIZE = IS_FULL ? 1_073_741_824 : 268_435_456;
const CUT_EVERY_MS = 1_000;
/** So that either size meets several cuts. */
const LINK_BYTES_PER_SECOND = IS_FULL ? 100_000_000 : 50_000_000;

describe("A link that is cut again and again", () => {
  it("does not change a byte of a long download", async () => {
    const { server, hostname, link } = await startFaultyTunnel(stage);
    link.bytesPerSecond = LINK_BYTES_PER_SECOND;
    const start = performance.now();
    const stop = link.cutEvery(CUT_EVERY_MS);
    const response = await openVisit(server.port, hostname, `/bytes/${SIZE}?seed=7`);
    const digest = await digestOf(response);
    stop();
    report("down", link.cuts, start);
    expect(digest).toEqual({ bytes: SIZE, sha256: seededSha256(7, SIZE) });
    expect(link.cuts).toBeGreaterThan(3);
  });

  it("does not change a byte of a long upload", async () => {
    const { visit, link } = await startFaultyTunnel(stage);
    link.bytesPerSecond = LINK_BYTES_PER_SECOND;
    const start = performance.now();
    const stop = link.cutEvery(CUT_EVERY_MS);
    const answer = await visit("/sha256", {
      method: "POST",
      headers: { "content-length": SIZE },
      body: Readable.from(seededChunks(9, SIZE)),
      limitMs: 100_000,
    });
    stop();
    report("up", link.cuts, start);
    expect(JSON.parse(answer.body)).toEqual({ bytes: SIZE, sha256: seededSha256(9, SIZE) });
    expect(link.cuts).toBeGreaterThan(3);
  });

  it("loses none of 200 requests and delivers none twice", async () => {
    const { visit, link, origin, up } = await startFaultyTunnel(stage);
    const stop = link.cutEvery(1_000);
    const running: Promise<string>[] = [];
    const start = performance.now();
    for (let id = 0; id < 200; id += 1) {
      running.push(
        visit(`/count?id=${id}`, { method: id % 2 ? "POST" : "GET", body: id % 2 ? "some body" : "" }).then(
          (answer) => `${answer.status} ${answer.body}`,
          (error: unknown) => `failed: ${error}`,
        ),
      );
      await delay(Math.max(0, start + (id + 1) * 50 - performance.now()));
    }
    const answers = await Promise.all(running);
    stop();
    expect(answers).toEqual(answers.map((_, id) => `200 ${id} 1`));
    expect([...origin.counts.values()].every((times) => times === 1)).toBe(true);
    expect(link.cuts).toBeGreaterThan(8);
    expect(up.process.lines.map((line) => line.type)).toContain("resumed");
    expect(up.process.hasExited).toBe(false);
  });
});

function report(direction: string, cuts: number, start: number): void {
  const seconds = (performance.now() - start) / 1_000;
  console.log(`${direction}: ${SIZE / 1_048_576} MiB in ${seconds.toFixed(1)} s, ${cuts} connections cut`);
}
