// Makes what a folder store was asked for last: takes together what waits, decides it in order, writes it as one commit,
// and answers when the disk has it. Nobody reads what is not on the disk yet.

import { DuplexityError } from "../../protocol/index.ts";
import { weighChange } from "./changes.ts";
import type { Draft } from "./draft.ts";
import type { Image } from "./image.ts";
import type { Committer, Operation } from "./image-store.ts";
import type { Journal } from "./journal.ts";

/** Calls that wait for the disk at a time. */
export const MAX_WAITING = 20_000;
/** Characters in one commit; the call that passes it is the last one in it. */
const MAX_COMMIT_CHARS = 8_388_608;
/** The journal is not rewritten before it has so many bytes … */
export const COMPACT_BYTES = 4_194_304;
/** … and so many times those of what is still true. */
const COMPACT_RATIO = 2;

export interface JournalCommitterOptions {
  readonly image: Image;
  readonly journal: Journal;
  readonly path: string;
  /** Of the last commit. */
  readonly sequence: number;
  /** Rejects if the folder is another process's by now. */
  readonly checkHeld: () => Promise<void>;
  /** Closes the journal and leaves the folder to others. */
  readonly release: () => Promise<void>;
  readonly warn: (message: string) => void;
  /** How long the disk may take for one commit before those who wait are told. */
  readonly stallMs: number;
  readonly compactBytes: number;
}

interface Waiting {
  /** Runs the operation; answers what settles its promise once the commit has succeeded. */
  readonly decide: (draft: Draft) => () => void;
  readonly reject: (error: unknown) => void;
}

export class JournalCommitter implements Committer {
  readonly #options: JournalCommitterOptions;
  #sequence: number;
  #waiting: Waiting[] = [];
  #loop: Promise<void> | null = null;
  #isStalled = false;
  /** A failed compaction is tried again when the journal has grown as much again. */
  #compactAt: number;

  constructor(options: JournalCommitterOptions) {
    this.#options = options;
    this.#sequence = options.sequence;
    this.#compactAt = options.compactBytes;
  }

  run<T>(operation: Operation<T>): Promise<T> {
    if (this.#isStalled) return Promise.reject(this.#stalled());
    if (this.#waiting.length >= MAX_WAITING) {
      const message = `Cannot write the store "${this.#options.path}": ${MAX_WAITING} calls wait for the disk already`;
      return Promise.reject(new DuplexityError("DPX_STORE", message));
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ decide: decision(operation, resolve, reject), reject });
      this.#loop ??= this.#work();
    });
  }

  /** @throws {DuplexityError} `DPX_STORE` if the disk does not answer. */
  async close(): Promise<void> {
    if (this.#loop !== null) await this.#unlessStalled(this.#loop);
    await this.#unlessStalled(this.#options.release());
  }

  async #work(): Promise<void> {
    // What else is asked for in this turn comes into the same commit.
    await null;
    while (this.#waiting.length > 0) await this.#commitNext();
    this.#loop = null;
  }

  async #commitNext(): Promise<void> {
    const draft = this.#options.image.draft();
    const { settlers, taken } = this.#decideWaiting(draft);
    const written = draft.changes.length === 0 ? Promise.resolve() : this.#write(draft);
    try {
      await this.#unlessStalled(written);
      for (const settle of settlers) settle();
    } catch (error) {
      for (const { reject } of taken) reject(error);
    }
    // Until a stalled disk answers, nothing else is begun; what it says in the end is true for the image too.
    await written.catch(() => {});
    this.#isStalled = false;
    await this.#compact();
  }

  #decideWaiting(draft: Draft): { readonly settlers: readonly (() => void)[]; readonly taken: readonly Waiting[] } {
    const settlers: (() => void)[] = [];
    let chars = 0;
    for (const { decide } of this.#waiting) {
      const before = draft.changes.length;
      settlers.push(decide(draft));
      for (const change of draft.changes.slice(before)) chars += weighChange(change);
      if (chars >= MAX_COMMIT_CHARS) break;
    }
    return { settlers, taken: this.#waiting.splice(0, settlers.length) };
  }

  async #write({ changes }: Draft): Promise<void> {
    const { image, journal, checkHeld } = this.#options;
    await checkHeld();
    if (!journal.isSound) await journal.renew(image, this.#sequence);
    const sequence = this.#sequence + 1;
    await journal.append({ sequence, changes });
    this.#sequence = sequence;
    image.apply(changes);
    // After the disk has it: who took the folder over before this has not read it, and who does so now will.
    await checkHeld();
  }

  async #compact(): Promise<void> {
    const { image, journal, compactBytes, warn } = this.#options;
    if (journal.bytes < this.#compactAt || journal.bytes < COMPACT_RATIO * image.allChars) return;
    const renewed = journal.renew(image, this.#sequence);
    try {
      await this.#unlessStalled(renewed);
      this.#compactAt = compactBytes;
    } catch (error) {
      this.#compactAt = journal.bytes + compactBytes;
      warn(`cannot make the journal shorter: ${error instanceof Error ? error.message : String(error)}`);
    }
    await renewed.catch(() => {});
    this.#isStalled = false;
  }

  async #unlessStalled(work: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const stall = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        this.#isStalled = true;
        const error = this.#stalled();
        for (const waiting of this.#waiting.splice(0)) waiting.reject(error);
        reject(error);
      }, this.#options.stallMs);
    });
    try {
      await Promise.race([work, stall]);
    } finally {
      clearTimeout(timer);
    }
  }

  #stalled(): DuplexityError {
    const { path, stallMs } = this.#options;
    const message = `Cannot write the store "${path}": the disk has not answered for ${stallMs} ms, whether it is kept is unknown`;
    return new DuplexityError("DPX_STORE", message, { hint: "Look at the disk; the server goes on when it answers." });
  }
}

/** `operation` with the ends of its promise, which are reached only when its commit has been. */
function decision<T>(
  operation: Operation<T>,
  resolve: (answer: T) => void,
  reject: (error: unknown) => void,
): Waiting["decide"] {
  return (draft) => {
    try {
      const answer = operation(draft);
      return () => resolve(answer);
    } catch (error) {
      return () => reject(error);
    }
  };
}
