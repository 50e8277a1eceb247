// A TCP proxy that misbehaves on command: stands between client and server and cuts, swallows, delays, throttles or
// refuses. Passes bytes unchanged otherwise, half-close included.

import { connect, createServer, type Server, type Socket } from "node:net";
import { DelayLine } from "./delay-line.ts";
import { listen } from "./sockets.ts";

import type { Stage } from "./stage.ts";

/** What may wait in a socket before its source is paused. */
const MAX_QUEUED_BYTES = 1_048_576;
/** What is kept of a request. */
const MAX_ASKED_BYTES = 64;

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
  isSwallowing: boolean;
  /** The beginning of what came last from the near end. */
  lastAsked: string;
}

export class FaultProxy {
  /** Where connections go on to. May change, and may be set after the start. */
  targetPort: number;
  /** Connections accepted so far. */
  accepted = 0;
  /** Connections cut so far. */
  cuts = 0;
  /** Bytes that passed, both directions. */
  passedBytes = 0;
  /** Added to each direction. */
  delayMs = 0;
  /** Bytes per second in each direction of each connection; 0: as fast as it goes. */
  bytesPerSecond = 0;
  /** New connections are reset at once. */
  isRefusing = false;
  /** New connections are accepted and swallowed. */
  isSwallowingNew = false;
  readonly #server: Server;
  readonly #pairs = new Set<Pair>();
  #port = 0;

  constructor(targetPort: number) {
    this.targetPort = targetPort;
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => this.#onConnection(socket));
  }

  static async start(stage: Stage, targetPort = 0): Promise<FaultProxy> {
    const proxy = new FaultProxy(targetPort);
    proxy.#port = await listen(proxy.#server);
    stage.defer(() => proxy.close());
    return proxy;
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get open(): number {
    return this.#pairs.size;
  }

  /**
   * Resets every connection, both ends. Answers how many.
   *
   * @param asking Only those whose last request begins so. @default all
   */
  cutAll(asking = ""): number {
    const meant = [...this.#pairs].filter(({ lastAsked }) => lastAsked.startsWith(asking));
    for (const pair of meant) {
      pair.near.resetAndDestroy();
      pair.far.resetAndDestroy();
      this.#pairs.delete(pair);
    }
    this.cuts += meant.length;
    return meant.length;
  }

  /** Cuts as `cutAll` does each `everyMs` until the returned function is called. */
  cutEvery(everyMs: number, asking = ""): () => void {
    const timer = setInterval(() => this.cutAll(asking), everyMs);
    return () => clearInterval(timer);
  }

  /**
   * From now on the connections that are open take everything and pass nothing, and neither end hears of the other's
   * close. New ones pass unless `newOnesToo`.
   */
  blackhole(newOnesToo = false): void {
    for (const pair of this.#pairs) pair.isSwallowing = true;
    this.isSwallowingNew = newOnesToo;
  }

  /** Resets the near ends that are open alone: the far ones hear nothing of it until `cutAll`. */
  cutNear(): void {
    this.blackhole();
    for (const { near } of this.#pairs) near.resetAndDestroy();
  }

  /** New connections pass again; swallowed ones stay swallowed, as in a network whose NAT forgot them. */
  heal(): void {
    this.isSwallowingNew = false;
    this.isRefusing = false;
  }

  async close(): Promise<void> {
    this.cutAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #onConnection(near: Socket): void {
    this.accepted += 1;
    if (this.isRefusing) {
      near.on("error", () => {});
      near.resetAndDestroy();
      return;
    }
    const far = connect({ host: "127.0.0.1", port: this.targetPort, allowHalfOpen: true, noDelay: true });
    const pair: Pair = { near, far, isSwallowing: this.isSwallowingNew, lastAsked: "" };
    this.#pairs.add(pair);
    this.#pass(pair, near, far);
    this.#pass(pair, far, near);
  }

  #pass(pair: Pair, from: Socket, to: Socket): void {
    const settle = () => {
      if (!line.isFull && to.writableLength < MAX_QUEUED_BYTES && from.isPaused()) from.resume();
    };
    const line = new DelayLine(settle);
    from.on("data", (chunk: Buffer) => {
      if (from === pair.near) pair.lastAsked = chunk.subarray(0, MAX_ASKED_BYTES).toString("latin1");
      if (pair.isSwallowing) return;
      const forward = () => {
        if (pair.isSwallowing || to.destroyed) return;
        this.passedBytes += chunk.length;
        if (!to.write(chunk)) from.pause();
      };
      line.push(forward, chunk.length, this.delayMs, this.bytesPerSecond);
      if (line.isFull) from.pause();
    });
    to.on("drain", settle);
    from.on("end", () => {
      const forward = () => {
        if (!pair.isSwallowing && !to.destroyed) to.end();
      };
      line.push(forward, 0, this.delayMs, this.bytesPerSecond);
    });
    from.on("error", () => {
      line.stop();
      if (!pair.isSwallowing) to.resetAndDestroy();
    });
    from.on("close", () => {
      if (!pair.isSwallowing && to.destroyed) this.#pairs.delete(pair);
    });
  }
}
