import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { describe, expect, it } from "vitest";
import { FakeClock } from "./fake-clock.ts";
import { useStage } from "./stage.ts";
import { poll } from "./wait.ts";

const stage = useStage();
const SCRIPT = "setInterval(() => console.log(Date.now(), performance.now()), 50)";

describe("FakeClock", () => {
  it("is wrong from the start, and jumps while timers and performance.now() go on", async () => {
    const clock = await FakeClock.create(stage, 600);
    const child = spawn(process.execPath, ["-e", SCRIPT], {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, ...clock.env },
    });
    stage.defer(() => void child.kill("SIGKILL"));
    const aheadMs: number[] = [];
    const steady: number[] = [];
    createInterface(child.stdout).on("line", (line) => {
      const [wall = 0, monotonic = 0] = line.split(" ").map(Number);
      aheadMs.push(wall - Date.now());
      steady.push(monotonic);
    });
    await poll(() => aheadMs.length > 0, 20_000, "the first line");
    expect(Math.abs((aheadMs[0] ?? 0) - 600_000)).toBeLessThan(10_000);
    await clock.set(-600);
    await poll(() => (aheadMs.at(-1) ?? 0) < -590_000, 20_000, "the jump");
    expect(steady.every((at, index) => index === 0 || at > (steady[index - 1] ?? 0))).toBe(true);
  });

  it("takes away what killed processes left, and nothing of those that live", async () => {
    const dead = spawn(process.execPath, ["-e", ""]);
    await once(dead, "close");
    const [left, kept] = [dead.pid, process.pid].map((pid) => `/dev/shm/faketime_shm_${pid}`);
    if (left === undefined || kept === undefined) throw new Error("No process");
    for (const path of [left, kept]) await writeFile(path, "");
    stage.defer(() => rm(kept));
    await FakeClock.create(stage, 0);
    expect([existsSync(left), existsSync(kept)]).toEqual([false, true]);
  });
});
