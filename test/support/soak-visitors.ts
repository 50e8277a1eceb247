// A little of every kind of visit to a cluster, for as long as it is let: requests, uploads, event streams, WebSockets.
// What breaks off or comes back wrong is written down; nothing is judged here.

import { once, setMaxListeners } from "node:events";
import type { Agent } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { WebSocket } from "ws";
import type { HttpOrigin } from "./http-origin.ts";
import { sha256 } from "./seeded.ts";
import { openVisit, visit } from "./visitor.ts";
import { within } from "./wait.ts";

export interface SoakVisitorsOptions {
  readonly origin: HttpOrigin;
  readonly agent: Agent;
  readonly random: () => number;
  /** Public ports, one of which is chosen for each visit. */
  ports(): readonly number[];
  /** Of clients that stay. */
  readonly hostnames: readonly string[];
  /** How long an event stream or a WebSocket stays at most. */
  readonly maxStayMs: number;
}

/** A request comes so often. */
const REQUEST_EVERY_MS = 125;
/** Of each kind. */
const LONG_VISITORS = 6;
const TICK_MS = 1_000;
const UPLOAD_BYTES = 262_144;
/** One in so many requests is an upload. */
const UPLOAD_SHARE = 16;
const LIMIT_MS = 30_000;

export class SoakVisitors {
  readonly #options: SoakVisitorsOptions;
  readonly #ending = new AbortController();
  readonly #visits = new Set<Promise<void>>();
  #loops: Promise<unknown> = Promise.resolve();
  /** What went wrong. */
  readonly failures: string[] = [];
  /** What went right, by kind. */
  readonly counts = { requests: 0, uploads: 0, events: 0, messages: 0 };

  constructor(options: SoakVisitorsOptions) {
    this.#options = options;
    // Each pause of each visitor listens to it.
    setMaxListeners(0, this.#ending.signal);
  }

  begin(): void {
    const long = Array.from({ length: LONG_VISITORS }, () => [
      this.#again("event stream", () => this.#eventStream()),
      this.#again("WebSocket", () => this.#webSocket()),
    ]);
    this.#loops = Promise.all([this.#requests(), this.#ticks(), ...long.flat()]);
  }

  /** No more of them; resolves when the last has ended and closed its connection. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#loops;
    await Promise.all(this.#visits);
    this.#options.agent.destroy();
  }

  get #isOver(): boolean {
    return this.#ending.signal.aborted;
  }

  async #requests(): Promise<void> {
    for (let number = 0; !this.#isOver; number += 1) {
      const one = number % UPLOAD_SHARE === 0 ? this.#upload(number) : this.#request(number);
      const done = one.catch((error: unknown) => this.#failed("request", error));
      this.#visits.add(done);
      void done.finally(() => this.#visits.delete(done));
      await this.#pause(REQUEST_EVERY_MS);
    }
  }

  /** What the event streams bring. */
  async #ticks(): Promise<void> {
    while (!this.#isOver) {
      for (const response of this.#options.origin.events) response.write("data: tick\n\n");
      await this.#pause(TICK_MS);
    }
  }

  async #again(what: string, stay: () => Promise<void>): Promise<void> {
    while (!this.#isOver) {
      await stay().catch((error: unknown) => this.#failed(what, error));
      await this.#pause(REQUEST_EVERY_MS);
    }
  }

  async #request(number: number): Promise<void> {
    const { port, hostname } = this.#choose();
    const agent = number % 2 === 0 ? { agent: this.#options.agent } : {};
    const answer = await visit(port, hostname, "/hello", agent).catch((error: unknown) => {
      // As every client of HTTP does (RFC 9112 §9.3.1): the idle connection was being closed.
      if (!String(error).includes("On a reused connection")) throw error;
      return visit(port, hostname, "/hello");
    });
    if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
    this.counts.requests += 1;
  }

  async #upload(number: number): Promise<void> {
    const { port, hostname } = this.#choose();
    const body = Buffer.alloc(UPLOAD_BYTES, String(number));
    const answer = await visit(port, hostname, "/sha256", { method: "POST", body });
    const wanted = JSON.stringify({ bytes: body.length, sha256: sha256().update(body).digest("hex") });
    if (answer.body !== wanted) throw new Error(`upload: ${answer.status} ${answer.body}`);
    this.counts.uploads += 1;
  }

  async #eventStream(): Promise<void> {
    const { port, hostname } = this.#choose();
    const response = await openVisit(port, hostname, "/events");
    let isLeaving = false;
    const ended = new Promise<void>((resolve, reject) => {
      response.on("data", () => {
        this.counts.events += 1;
      });
      response.on("error", (error) => (isLeaving ? resolve() : reject(error)));
      response.on("close", () => (isLeaving ? resolve() : reject(new Error("It ended by itself"))));
    });
    await Promise.race([this.#stay(), ended]);
    isLeaving = true;
    response.destroy();
    await within(ended, LIMIT_MS, "the end of an event stream");
  }

  async #webSocket(): Promise<void> {
    const { port, hostname } = this.#choose();
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { headers: { host: hostname }, perMessageDeflate: false });
    try {
      const broken = new Promise<never>((_, reject) => {
        socket.once("error", reject);
        socket.once("close", (code) => reject(new Error(`It closed with ${code}`)));
      });
      broken.catch(() => {});
      await within(Promise.race([once(socket, "open"), broken]), LIMIT_MS, "a WebSocket");
      const until = performance.now() + this.#stayMs();
      for (let number = 0; performance.now() < until && !this.#isOver; number += 1) {
        const echo = once(socket, "message");
        socket.send(String(number));
        const [data] = await within(Promise.race([echo, broken]), LIMIT_MS, `echo ${number}`);
        if (String(data) !== String(number)) throw new Error(`Echo ${number} came back as ${data}`);
        this.counts.messages += 1;
        await this.#pause(TICK_MS);
      }
    } finally {
      socket.terminate();
    }
  }

  #choose(): { readonly port: number; readonly hostname: string } {
    const { ports, hostnames } = this.#options;
    return { port: this.#oneOf(ports()) ?? 0, hostname: this.#oneOf(hostnames) ?? "" };
  }

  #oneOf<T>(all: readonly T[]): T | undefined {
    return all[Math.floor(this.#options.random() * all.length)];
  }

  #stayMs(): number {
    return this.#options.random() * this.#options.maxStayMs;
  }

  #stay(): Promise<void> {
    return this.#pause(this.#stayMs());
  }

  async #pause(ms: number): Promise<void> {
    await delay(ms, undefined, { signal: this.#ending.signal }).catch(() => {});
  }

  #failed(what: string, error: unknown): void {
    this.failures.push(
      `${new Date().toISOString()} ${what}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
