// Visitors who come at an even rate: each request whole and once, with when it was sent and what became of it.

import { setTimeout as delay } from "node:timers/promises";
import { type VisitOptions, visit } from "./visitor.ts";

export interface LoadOptions {
  readonly port: number;
  readonly hostname: string;
  readonly perSecond: number;
  /** What the request `number` is. @default `GET /hello` */
  readonly request?: (number: number) => { readonly path: string } & VisitOptions;
  readonly agent?: VisitOptions["agent"];
}

export interface LoadFailure {
  readonly number: number;
  /** By `performance.now()`. */
  readonly sentAt: number;
  readonly what: string;
}

export interface LoadReport {
  readonly total: number;
  readonly failures: readonly LoadFailure[];
  /** The first answer of all that were sent after that moment. */
  firstAnswerAfter(at: number): number | null;
  readonly slowestMs: number;
}

export class RequestLoad {
  readonly #options: LoadOptions;
  readonly #failures: LoadFailure[] = [];
  readonly #running = new Set<Promise<void>>();
  /** Those that were answered with 200. */
  readonly #answered: { readonly sentAt: number; readonly answeredAt: number }[] = [];
  readonly #loop: Promise<void>;
  #total = 0;
  #isOver = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#loop = this.#run();
  }

  get total(): number {
    return this.#total;
  }

  /** No more of them. Resolves when the last one is answered. */
  async stop(): Promise<LoadReport> {
    this.#isOver = true;
    await this.#loop;
    const answered = this.#answered;
    return {
      total: this.#total,
      failures: this.#failures,
      // Not Math.max of all: some hundred thousand are too many arguments.
      slowestMs: answered.reduce((most, { sentAt, answeredAt }) => Math.max(most, answeredAt - sentAt), 0),
      firstAnswerAfter: (at) => {
        const later = answered.filter(({ sentAt }) => sentAt >= at).map(({ answeredAt }) => answeredAt);
        return later.length === 0 ? null : later.reduce((least, answeredAt) => Math.min(least, answeredAt));
      },
    };
  }

  async #run(): Promise<void> {
    const start = performance.now();
    while (!this.#isOver) {
      // As many as are due: a timer is not exact enough for one each.
      const due = ((performance.now() - start) * this.#options.perSecond) / 1_000;
      while (this.#total <= due) this.#send();
      await delay(1);
    }
    await Promise.all(this.#running);
  }

  #send(): void {
    const request = this.#ask(this.#total);
    this.#total += 1;
    this.#running.add(request);
    void request.finally(() => this.#running.delete(request));
  }

  async #ask(number: number): Promise<void> {
    const { port, hostname, request, agent } = this.#options;
    const { path, ...more } = request?.(number) ?? { path: "/hello" };
    const sentAt = performance.now();
    try {
      const options = { ...more, ...(agent === undefined ? {} : { agent }) };
      const { status, body } = await visit(port, hostname, path, options);
      if (status === 200) this.#answered.push({ sentAt, answeredAt: performance.now() });
      else this.#failures.push({ number, sentAt, what: `${status} ${body.slice(0, 100)}` });
    } catch (error) {
      this.#failures.push({ number, sentAt, what: String(error) });
    }
  }
}
