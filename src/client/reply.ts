// One answer that is waited for: it comes, or fails, or its time is over.

import type { DuplexityError } from "../protocol/index.ts";

export class Reply<T> {
  readonly promise: Promise<T>;
  #resolve: (value: T) => void = () => {};
  #reject: (error: DuplexityError) => void = () => {};
  #timer: NodeJS.Timeout;

  constructor(timeoutMs: number, late: () => DuplexityError) {
    this.promise = new Promise<T>((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // It may fail before anybody awaits it.
    this.promise.catch(() => {});
    this.#timer = setTimeout(() => this.#reject(late()), timeoutMs);
  }

  resolve(value: T): void {
    clearTimeout(this.#timer);
    this.#resolve(value);
  }

  reject(error: DuplexityError): void {
    clearTimeout(this.#timer);
    this.#reject(error);
  }

  /** Fails with `error` unless the answer, which may be on its way on another socket, comes within `ms`. */
  rejectAfter(ms: number, error: DuplexityError): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reject(error), ms);
  }
}
