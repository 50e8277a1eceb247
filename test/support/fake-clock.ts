// A clock of a process that is wrong and can be set while it runs: libfaketime in front of the system's. Timers and
// performance.now() go on as they are, as they do when a real machine's clock is set.

import { execFile } from "node:child_process";
import { readdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Stage } from "./stage.ts";

const execute = promisify(execFile);

/** How long a process goes on with a time that was changed meanwhile. */
const CACHE_S = 1;

export class FakeClock {
  /** For the process that is to have it. */
  readonly env: Readonly<Record<string, string>>;
  readonly #path: string;

  private constructor(path: string, library: string) {
    this.#path = path;
    this.env = {
      LD_PRELOAD: library,
      FAKETIME_TIMESTAMP_FILE: path,
      FAKETIME_CACHE_DURATION: String(CACHE_S),
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
      DONT_FAKE_MONOTONIC: "1",
    };
  }

  /** @param aheadS Seconds ahead of the system's clock; behind it when negative. */
  static async create(stage: Stage, aheadS: number): Promise<FakeClock> {
    await sweep();
    // Where the library lies differs from machine to machine: the command knows.
    const { stdout } = await execute("faketime", ["-m", "-f", "+0", "printenv", "LD_PRELOAD"]);
    const clock = new FakeClock(join(await stage.folder("clock"), "clock"), stdout.trim());
    await clock.set(aheadS);
    return clock;
  }

  async set(aheadS: number): Promise<void> {
    await writeFile(`${this.#path}.new`, `${aheadS < 0 ? "" : "+"}${aheadS}\n`);
    // A process that reads it meanwhile sees the one or the other.
    await rename(`${this.#path}.new`, this.#path);
  }
}

/** Where libfaketime keeps what the processes of one clock have in common, each named after the first one's pid. */
const SHARED = "/dev/shm";

/** A process that is killed leaves its part there, and keeps the next one that gets its pid from starting. */
async function sweep(): Promise<void> {
  for (const name of await readdir(SHARED)) {
    const [, pid] = /^(?:sem\.faketime_sem|faketime_shm)_(\d+)$/.exec(name) ?? [];
    if (pid !== undefined && !isAlive(Number(pid))) await rm(join(SHARED, name), { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
