// The pipes of a tunnel that its hub does not take though it takes others: which they are, and when they are asked for
// again. Dials nothing.

import type { DuplexityError } from "../protocol/index.ts";
import { Backoff } from "./backoff.ts";
import type { SealedPipe } from "./gate.ts";
import type { RefusedPipe } from "./registration.ts";

export interface MissingPipesOptions {
  /** A pipe is missing from now on, or is there again (null). */
  onChange(pipe: SealedPipe, error: DuplexityError | null): void;
  /** Asks for all pipes again. Never rejects. */
  seek(): Promise<void>;
}

/** Between two attempts at least: each costs a hub a dial. */
const SEEK_LEAST_MS = 1_000;
/** On top of that, at most: whoever lacks a pipe does not want to wait for long after its cause is gone. */
const SEEK_MAX_MS = 30_000;

export class MissingPipes {
  readonly #options: MissingPipesOptions;
  readonly #backoff = new Backoff();
  #refused: readonly RefusedPipe[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(options: MissingPipesOptions) {
    this.#options = options;
  }

  get pipes(): readonly SealedPipe[] {
    return this.#refused.map(({ pipe }) => pipe);
  }

  has(pipe: SealedPipe): boolean {
    return this.#refused.some((refused) => refused.pipe === pipe);
  }

  /** What a hub has said last. */
  set(refused: readonly RefusedPipe[]): void {
    const before = this.#refused;
    this.#refused = refused;
    for (const { pipe, error } of refused) {
      if (!before.some((old) => old.pipe === pipe)) this.#options.onChange(pipe, error);
    }
    for (const { pipe } of before) if (!this.has(pipe)) this.#options.onChange(pipe, null);
    this.#arm();
  }

  /** These were closed: nobody misses them. */
  forget(names: readonly string[]): void {
    this.#refused = this.#refused.filter(({ pipe }) => !names.includes(pipe.name));
    this.#arm();
  }

  /** The tunnel ends. */
  stop(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #arm(): void {
    if (this.#isOver) return;
    if (this.#refused.length === 0) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#backoff.reset();
      return;
    }
    this.#timer ??= setTimeout(() => void this.#seek(), SEEK_LEAST_MS + this.#backoff.next(SEEK_MAX_MS)).unref();
  }

  async #seek(): Promise<void> {
    await this.#options.seek();
    this.#timer = undefined;
    this.#arm();
  }
}
