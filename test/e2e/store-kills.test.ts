// The folder store under kill -9: a real process writes, is killed at any moment, and the next one finds all that was
// confirmed.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { isObject } from "../support/lines.ts";
import { seededRandom } from "../support/seeded.ts";
import { useStage } from "../support/stage.ts";
import { within } from "../support/wait.ts";

const stage = useStage();

const SCRIPT = fileURLToPath(new URL("../support/store-writer.js", import.meta.url));
const FOLDERS = 4;
const KILLS_PER_FOLDER = 50;
/** Every so many kills one comes before the store was opened, or while it is. */
const EARLY_KILL_EVERY = 4;
/** A start of Node on a busy machine, for kills while the store is opened. */
const START_MS = 150;
const STEPS = 4;

interface Found {
  readonly codes: readonly number[];
  readonly count: number;
  readonly log: number;
}

/** What a writer must find that has taken `step` steps, of which four make a round. */
function stateAfter(step: number): Found {
  const round = Math.floor(step / STEPS) + 1;
  const rest = step % STEPS;
  return {
    codes: rest === 1 || rest === 2 ? [round] : [],
    count: rest >= 2 ? round : round - 1,
    log: round - 1,
  };
}

/** What was confirmed to each writer of one folder. */
class Confirmed {
  readonly steps = new Map<string, number>();

  /** What is there is what was confirmed, or one step more: the one that was under way. */
  check(found: Readonly<Record<string, unknown>>): void {
    for (const [writer, state] of Object.entries(found)) {
      const step = this.steps.get(writer) ?? 0;
      expect([stateAfter(step), stateAfter(step + 1)], `${writer} after step ${step}`).toContainEqual(state);
      if (JSON.stringify(state) === JSON.stringify(stateAfter(step + 1))) this.steps.set(writer, step + 1);
    }
  }

  note(line: Readonly<Record<string, unknown>>): void {
    const { writer, step } = line;
    if (typeof writer !== "string" || typeof step !== "number") throw new Error(`Not a line: ${JSON.stringify(line)}`);
    expect(step).toBe((this.steps.get(writer) ?? 0) + 1);
    this.steps.set(writer, step);
  }
}

/** When to kill: some ms after the start, or when so many steps were confirmed. */
type Moment = { readonly afterMs: number } | { readonly afterSteps: number };

/** One process, from its start to its kill; answers whether it had opened the store. */
async function runAndKill(folder: string, seed: number, moment: Moment, confirmed: Confirmed): Promise<boolean> {
  const child = spawn(process.execPath, [SCRIPT, folder, String(seed)], { stdio: ["ignore", "pipe", "pipe"] });
  const kill = (): boolean => child.kill("SIGKILL");
  stage.defer(kill);
  const timer = "afterMs" in moment ? setTimeout(kill, moment.afterMs) : undefined;
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  const exit = new Promise<NodeJS.Signals | null>((resolve) => child.on("close", (_status, signal) => resolve(signal)));
  let hasOpened = false;
  let steps = 0;
  let failure: unknown = null;
  createInterface({ input: child.stdout }).on("line", (text) => {
    try {
      const line: unknown = JSON.parse(text);
      if (!isObject(line)) throw new Error(`Not a line: ${text}`);
      if (isObject(line.found)) {
        hasOpened = true;
        confirmed.check(line.found);
      } else {
        confirmed.note(line);
        steps++;
      }
      if ("afterSteps" in moment && steps >= moment.afterSteps) kill();
    } catch (error) {
      failure ??= error;
      kill();
    }
  });
  const signal = await within(exit, 30_000, `the end of the writer in ${folder}`);
  clearTimeout(timer);
  if (failure !== null) throw failure;
  if (signal !== "SIGKILL") throw new Error(`The writer in ${folder} ended by itself: ${stderr}`);
  return hasOpened;
}

describe("FolderStore", () => {
  it(`opens after each of ${FOLDERS * KILLS_PER_FOLDER} kills, with everything that was confirmed`, async () => {
    const runs = Array.from({ length: FOLDERS }, async (_, index) => {
      const folder = await stage.folder("kills");
      const random = seededRandom(1_000 + index);
      const confirmed = new Confirmed();
      let opened = 0;
      for (let kill = 1; kill <= KILLS_PER_FOLDER; kill++) {
        const isEarly = kill % EARLY_KILL_EVERY === 0;
        const moment = isEarly
          ? { afterMs: Math.floor(random() * 2 * START_MS) }
          : { afterSteps: Math.floor(random() * 80) };
        if (await runAndKill(folder, index * 1_000 + kill, moment, confirmed)) opened++;
      }
      expect(opened).toBeGreaterThanOrEqual(KILLS_PER_FOLDER * (1 - 1 / EARLY_KILL_EVERY) - 1);
      return [...confirmed.steps.values()].reduce((sum, steps) => sum + steps, 0);
    });
    const steps = await Promise.all(runs);
    expect(Math.min(...steps)).toBeGreaterThan(500);
  });
});
