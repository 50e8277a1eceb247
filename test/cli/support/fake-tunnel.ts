// A tunnel without a server: what `up` does with its events can be tested turn by turn.

import { EventEmitter } from "node:events";
import type { Tunnel, TunnelEvents, TunnelPipe, TunnelStatistics, TunnelStatus } from "../../../src/client/index.ts";
import type { DuplexityError } from "../../../src/protocol/errors.ts";

export class FakeTunnel extends EventEmitter<TunnelEvents> implements Tunnel {
  readonly clientId = "client-1";
  pipes: readonly TunnelPipe[];
  status: TunnelStatus = { state: "up", since: new Date(0), rttMs: 1.5 };
  statistics: TunnelStatistics = {
    connectedAt: new Date(0),
    requests: 3,
    openStreams: 0,
    bytesIn: 10,
    bytesOut: 20,
    rttMs: 1.5,
    lastByteAt: new Date(1_000),
  };
  /** What `close()` was called with. */
  readonly closeCalls: ({ readonly drainMs?: number } | undefined)[] = [];
  /** Settle it to let `close()` finish. */
  closing: Promise<void> = Promise.resolve();

  constructor(names: readonly string[]) {
    super();
    this.pipes = names.map((name) => ({
      name,
      hostname: `${name}.localhost`,
      protocol: "http",
      url: `http://${name}.localhost:8080`,
      target: "http://localhost:9090",
    }));
  }

  get url(): string {
    return this.pipes[0]?.url ?? "";
  }

  change(status: TunnelStatus): void {
    this.status = status;
    this.emit("status", status);
  }

  fail(error: DuplexityError): void {
    this.status = { state: "closed", error };
    this.emit("close", error);
  }

  /** What `closePipes()` was called with. */
  readonly closedPipes: (readonly [readonly string[], { readonly drainMs?: number } | undefined])[] = [];

  closePipes(names: readonly string[], options?: { readonly drainMs?: number }): Promise<void> {
    this.closedPipes.push([names, options]);
    this.pipes = this.pipes.filter(({ name }) => !names.includes(name));
    return this.closing;
  }

  close(options?: { readonly drainMs?: number }): Promise<void> {
    this.closeCalls.push(options);
    return this.closing;
  }
}
