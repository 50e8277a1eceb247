// What a test has opened, ended again in reverse order when the test (or its file) is over. Never ends what it did not
// open itself.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach } from "vitest";

export class Stage {
  readonly #endings: (() => unknown)[] = [];

  /** Runs `ending` when the stage closes: last deferred, first run. */
  defer(ending: () => unknown): void {
    this.#endings.push(ending);
  }

  /** A fresh folder that goes with the stage. */
  async folder(label: string): Promise<string> {
    const path = await mkdtemp(join(tmpdir(), `dpx-${label}-`));
    this.defer(() => rm(path, { recursive: true, force: true, maxRetries: 3 }));
    return path;
  }

  /** Runs every ending, also after one has failed; then throws the first failure. */
  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (let ending = this.#endings.pop(); ending !== undefined; ending = this.#endings.pop()) {
      try {
        await ending();
      } catch (error) {
        failures.push(error);
      }
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** A stage that closes after each test of the file that calls this at its top. */
export function useStage(): Stage {
  const stage = new Stage();
  afterEach(() => stage.close(), 60_000);
  return stage;
}

/** A stage that lasts for the whole file: for a server that many tests visit. */
export function useFileStage(): Stage {
  const stage = new Stage();
  afterAll(() => stage.close(), 60_000);
  return stage;
}
