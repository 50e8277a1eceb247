// Work that must not overtake other work on the same thing, on its way over several connections.

import { DuplexityError } from "../../protocol/index.ts";

/** Pieces of work on one thing, with the one that runs; further ones are refused. */
export const MAX_IN_ORDER = 1_000;

interface Line {
  last: Promise<unknown>;
  length: number;
}

export class InOrder {
  readonly #lines = new Map<string, Line>();

  /**
   * Does `work` when all that was given for `name` before is over, however it ended.
   *
   * @throws {DuplexityError} `DPX_STORE` if `MAX_IN_ORDER` pieces are in line.
   */
  async run<T>(name: string, work: () => Promise<T>): Promise<T> {
    const line = this.#lines.get(name) ?? { last: Promise.resolve(), length: 0 };
    if (line.length >= MAX_IN_ORDER) {
      throw new DuplexityError("DPX_STORE", `Cannot change "${name}": ${line.length} changes of it wait already`);
    }
    this.#lines.set(name, line);
    line.length += 1;
    const done = line.last.then(work);
    line.last = done.catch(() => {});
    try {
      return await done;
    } finally {
      line.length -= 1;
      if (line.length === 0) this.#lines.delete(name);
    }
  }
}
