// One running `up` from its first dial to its end: drives a tunnel, tells the
// view, answers other terminals. Reads no flags and ends no process.

import { setTimeout as delay } from "node:timers/promises";
import type { Tunnel } from "../client/index.ts";
import { DuplexityError } from "../protocol/errors.ts";
import { aborted, EXIT_INTERRUPTED, type Interrupts } from "./interrupts.ts";
import type { UpView } from "./output/up-view.ts";
import type { UpStatus } from "./runtime/messages.ts";
import { openUpSocket, type UpSocket } from "./runtime/up-socket.ts";

/** How long running requests may take after the first Ctrl-C. */
export const DRAIN_MS = 10_000;
/** A drain is worth a line when it takes longer than this. */
const TELL_DRAIN_MS = 300;

export interface UpRunOptions {
  readonly server: string;
  readonly view: UpView;
  readonly interrupts: Interrupts;
  /** Folder of the sockets. */
  readonly directory: string;
  /** When the command started, for "connected in …" (Unix ms). */
  readonly startedAt: number;
  /** Opens the tunnel. */
  readonly forward: (signal: AbortSignal) => Promise<Tunnel>;
  /** Adds what to do about it to why the tunnel ended by itself. */
  readonly explain?: (error: DuplexityError) => DuplexityError;
  /** Called once the pipes are up: `up -d` lets its parent go then. */
  readonly onReady?: (tunnel: Tunnel, elapsedMs: number) => void;
  /** Hands over what somebody types; returns the function that stops that. */
  readonly watchKeys?: (onKey: (key: string) => void) => () => void;
}

/**
 * Runs until the tunnel is closed. Answers the exit status: 0 drained, 130 told twice.
 *
 * @throws {DuplexityError} Why the tunnel never came up, or ended by itself.
 */
export async function runUp(options: UpRunOptions): Promise<number> {
  const run = new UpRun(options);
  try {
    return await run.run();
  } finally {
    await run.end();
  }
}

/** What ended the wait: the tunnel by itself, or somebody who asked. */
type Outcome = { readonly by: "tunnel"; readonly error: DuplexityError | null } | { readonly by: "request" };

class UpRun {
  readonly #options: UpRunOptions;
  readonly #upSince = new Date();
  readonly #closed = new AbortController();
  #tunnel: Tunnel | null = null;
  #awaySince: Date | null = null;
  /** The tunnel is closed on purpose. */
  #isEnding = false;
  #reason = "interrupted";
  #socket: UpSocket | null = null;
  #stopKeys: () => void = () => {};
  #finish: (outcome: Outcome) => void = () => {};

  constructor(options: UpRunOptions) {
    this.#options = options;
  }

  async run(): Promise<number> {
    const { view, interrupts, server, startedAt } = this.#options;
    const outcome = new Promise<Outcome>((resolve) => {
      this.#finish = resolve;
    });
    view.connecting(server);
    // Not the signal of the first interrupt itself: once the tunnel is up, that one means to drain.
    const dialling = new AbortController();
    const giveUp = () => dialling.abort();
    interrupts.first.addEventListener("abort", giveUp, { once: true });
    let tunnel: Tunnel;
    try {
      tunnel = await this.#options.forward(dialling.signal);
    } catch (error) {
      if (interrupts.first.aborted) return EXIT_INTERRUPTED;
      throw error;
    } finally {
      interrupts.first.removeEventListener("abort", giveUp);
    }
    this.#upSince.setTime(Date.now());
    this.#follow(tunnel);
    this.#socket = await openUpSocket(this.#options.directory, {
      status: () => this.#status(),
      down: (names) => this.#down(names),
    });
    const elapsedMs = Date.now() - startedAt;
    view.ready({ clientId: tunnel.clientId, server, elapsedMs, pipes: tunnel.pipes });
    this.#options.onReady?.(tunnel, elapsedMs);
    this.#stopKeys = this.#options.watchKeys?.((key) => this.#onKey(key)) ?? this.#stopKeys;
    void aborted(interrupts.first).then(() => this.#finish({ by: "request" }));
    return this.#conclude(await outcome);
  }

  /** Waits for answers to other terminals that are on their way, then lets go of everything. */
  async end(): Promise<void> {
    this.#closed.abort();
    this.#stopKeys();
    await this.#socket?.close();
    this.#options.view.end();
  }

  async #conclude(outcome: Outcome): Promise<number> {
    const { view, interrupts } = this.#options;
    const tunnel = this.#current();
    const names = tunnel.pipes.map((pipe) => pipe.name);
    if (outcome.by === "tunnel") {
      if (outcome.error === null) view.closed(names, null, "closed");
      else view.closed(names, outcome.error.code, outcome.error.message);
      if (outcome.error !== null) throw this.#options.explain?.(outcome.error) ?? outcome.error;
      return 0;
    }
    this.#isEnding = true;
    const closed = tunnel.close({ drainMs: DRAIN_MS });
    const second = aborted(interrupts.second);
    // Mostly nothing runs, and then there is nothing to tell.
    const isLong = await Promise.race([closed, second, delay(TELL_DRAIN_MS, true)]);
    if (isLong === true) view.draining(tunnel.statistics.openStreams);
    await Promise.race([closed, second]);
    if (interrupts.second.aborted) return EXIT_INTERRUPTED;
    view.closed(names, null, this.#reason);
    return 0;
  }

  #follow(tunnel: Tunnel): void {
    const { view } = this.#options;
    this.#tunnel = tunnel;
    tunnel.on("request", (report) => {
      if (!this.#isEnding) view.request(report);
    });
    tunnel.on("status", (status) => {
      if (this.#isEnding) return;
      if (status.state === "up") this.#awaySince = null;
      if (status.state !== "reconnecting") return;
      this.#awaySince ??= new Date();
      view.reconnecting(status.attempt, status.delayMs, status.code);
    });
    tunnel.on("pipe", ({ pipe, error }) => {
      if (!this.#isEnding) view.pipe(pipe, error);
    });
    tunnel.on("reconnect", ({ outageMs }) => {
      if (!this.#isEnding) view.resumed(outageMs);
    });
    tunnel.on("close", (error) => {
      if (!this.#isEnding) this.#finish({ by: "tunnel", error });
    });
  }

  #current(): Tunnel {
    if (this.#tunnel === null) throw new DuplexityError("DPX_INTERNAL", "The tunnel is used before it is up");
    return this.#tunnel;
  }

  #status(): UpStatus {
    const tunnel = this.#current();
    const { requests, openStreams, bytesIn, bytesOut, rttMs, lastByteAt } = tunnel.statistics;
    return {
      ...{ v: 1, type: "status", pid: process.pid, clientId: tunnel.clientId, server: this.#options.server },
      ...{ state: tunnel.status.state, requests, openStreams, bytesIn, bytesOut },
      // Microseconds are noise.
      rttMs: rttMs === null ? null : Math.round(rttMs * 100) / 100,
      upSince: this.#upSince.toISOString(),
      awaySince: this.#awaySince?.toISOString() ?? null,
      lastByteAt: lastByteAt?.toISOString() ?? null,
      pipes: tunnel.pipes.map(({ name, hostname, protocol, url, target }) => ({
        name,
        hostname,
        protocol,
        url,
        target,
      })),
    };
  }

  async #down(names: readonly string[] | null): Promise<readonly string[]> {
    const tunnel = this.#current();
    const all = tunnel.pipes.map((pipe) => pipe.name);
    const goes = names === null ? all : all.filter((name) => names.includes(name));
    if (goes.length === 0) return [];
    if (goes.length === all.length) {
      // Already draining: a second interrupt would cut that short.
      if (!this.#options.interrupts.first.aborted) {
        this.#reason = "down";
        this.#options.interrupts.interrupt();
      }
      await aborted(this.#closed.signal);
      return goes;
    }
    const closed = tunnel.closePipes(goes, { drainMs: DRAIN_MS });
    this.#options.view.changed(goes, tunnel.pipes);
    await closed;
    return goes;
  }

  #onKey(key: string): void {
    const { view, interrupts } = this.#options;
    if (key === "h" || key === "?") view.show("help", null);
    if (key === "u") view.show("urls", null);
    if (key === "c") view.show("clear", null);
    if (key === "q") interrupts.interrupt();
    if (key === "s") view.show("figures", { ...this.#current().statistics, upSince: this.#upSince });
  }
}
