// A tunnel as its user sees it: its pipes, its events, its end. Its links come and go in first-link.ts and
// second-link.ts; it moves no bytes itself.

import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { asDuplexityError, DuplexityError, type RequestReport } from "../protocol/index.ts";
import type { Credential } from "./credential.ts";
import { isFinal } from "./dial-errors.ts";
import { drained } from "./drain.ts";
import { FirstLink } from "./first-link.ts";
import type { SealedPipe } from "./gate.ts";
import { type Registered, tunnelPipe } from "./registration.ts";
import { SecondLink } from "./second-link.ts";
import { SessionSet } from "./session-set.ts";
import { SlowLinks } from "./slow-links.ts";
import { TokenRenewal } from "./token-renewal.ts";
import type { Tunnel, TunnelEvents, TunnelPipe, TunnelStatistics, TunnelStatus } from "./tunnel.ts";
import { TunnelState } from "./tunnel-state.ts";
import type { TunnelUplinkOptions, Uplink } from "./uplink.ts";
import { WakeWatch } from "./wake-watch.ts";

export interface ClientTunnelOptions {
  readonly url: URL;
  readonly pipes: readonly SealedPipe[];
  readonly credential: Credential;
  readonly wantsReports: boolean;
  readonly connectTimeoutMs: number;
  /** How many hubs to hold a link to at once, where there are several: 1 or 2. */
  readonly maxLinks: number;
}

/** How long requests on pipes that are closed may go on. */
const CLOSE_PIPES_DRAIN_MS = 10_000;
const GOODBYE = "closed by its user";

export class ClientTunnel extends EventEmitter<TunnelEvents> implements Tunnel {
  readonly clientId = `c${randomBytes(10).toString("hex")}`;

  readonly #options: ClientTunnelOptions;
  readonly #sessions: SessionSet;
  readonly #first: FirstLink;
  readonly #second: SecondLink;
  readonly #renewal: TokenRenewal;
  readonly #state = new TunnelState({
    onStatus: (status) => this.emit("status", status),
    onReconnect: (outageMs) => this.emit("reconnect", { outageMs }),
  });
  /** Ends every wait and dial of this tunnel. */
  readonly #life = new AbortController();
  /** Ends the wait for what is open when it closes. */
  readonly #drain = new AbortController();
  #pipes: readonly TunnelPipe[] = [];
  #connectedAt = new Date();
  #reports = 0;
  #wakeWatch: WakeWatch | null = null;
  #slowLinks: SlowLinks | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: ClientTunnelOptions) {
    super();
    this.#options = options;
    this.#sessions = new SessionSet({
      connectTimeoutMs: options.connectTimeoutMs,
      onReport: (report) => this.#reported(report),
    });
    const uplink: TunnelUplinkOptions = {
      clientId: this.clientId,
      wantsReports: options.wantsReports,
      sessions: this.#sessions,
      credential: options.credential,
      onForceDisconnect: (error) => this.#finish(error),
      onSessionEnd: (ended, error) => this.#sessionEnded(ended, error),
    };
    this.#second = new SecondLink({
      uplink,
      pipes: () => this.#first.registeredPipes,
      others: () => this.#first.alternatives,
      refresh: () => this.#first.refreshAlternatives(),
      isOnlyWay: () => !this.#first.hasLink,
      onUp: () => this.#secondUp(),
      onLost: (error) => this.#secondLost(error),
    });
    this.#first = new FirstLink({
      url: options.url,
      pipes: options.pipes,
      uplink,
      second: this.#second,
      signal: this.#life.signal,
      onStatus: (status) => {
        // Also while there is a second link still, when its client may have lost the names.
        if (status.state === "reconnecting") this.#state.lost();
        this.#state.set(status);
      },
      onPipe: (pipe, error) => this.#pipeChanged(pipe, error),
      onUp: (registered) => this.#firstUp(registered),
      onLost: (error) => this.#lost(error),
      onRefused: (error) => this.#finish(error),
    });
    this.#renewal = new TokenRenewal({
      credential: options.credential,
      onToken: (token) => {
        this.#first.refreshToken(token);
        this.#second.refreshToken(token);
      },
      onRefused: (error) => this.#finish(error),
    });
  }

  get pipes(): readonly TunnelPipe[] {
    return this.#pipes;
  }

  get url(): string {
    return this.#pipes[0]?.url ?? "";
  }

  get status(): TunnelStatus {
    const { status } = this.#state;
    return status.state === "up" ? { ...status, rttMs: this.#rttMs } : status;
  }

  get statistics(): TunnelStatistics {
    const sessions = this.#sessions;
    const { lastByteAt } = sessions;
    return {
      connectedAt: this.#connectedAt,
      requests: this.#options.wantsReports ? this.#reports : sessions.openedStreams,
      openStreams: sessions.openStreams,
      bytesIn: sessions.bytesIn,
      bytesOut: sessions.bytesOut,
      rttMs: this.#rttMs,
      lastByteAt: lastByteAt === null ? null : new Date(lastByteAt),
    };
  }

  get #hasLink(): boolean {
    return this.#first.hasLink || this.#second.hasLink;
  }

  get #rttMs(): number | null {
    return this.#first.hasLink ? this.#first.rttMs : this.#second.rttMs;
  }

  /**
   * Connects for the first time.
   *
   * @throws {DuplexityError} The tunnel is then closed.
   */
  async open(): Promise<void> {
    try {
      await this.#first.connect();
      // In the turn in which it came up it may have been ended again: nothing is to be begun then.
      this.#life.signal.throwIfAborted();
    } catch (error) {
      const { status } = this.#state;
      const failure = status.state === "closed" ? (status.error ?? asDuplexityError(error)) : error;
      this.#finish(asDuplexityError(failure));
      throw failure;
    }
    this.#connectedAt = new Date();
    this.#wakeWatch = new WakeWatch(() => this.#woke());
    this.#slowLinks = new SlowLinks({
      first: () => this.#first.pace,
      second: () => this.#second.pace,
      onSlow: (which, latencyMs) => this.#leaveSlow(which, latencyMs),
    });
    this.#first.connected();
  }

  close(options: { readonly drainMs?: number } = {}): Promise<void> {
    const { drainMs = 0 } = options;
    // Asked again for less: whoever presses Ctrl+C twice does not want to wait.
    if (drainMs === 0) this.#drain.abort();
    this.#closing ??= this.#close(drainMs);
    return this.#closing;
  }

  async closePipes(names: readonly string[], options: { readonly drainMs?: number } = {}): Promise<void> {
    const { drainMs = CLOSE_PIPES_DRAIN_MS } = options;
    const unknown = names.find((name) => !this.#pipes.some((pipe) => pipe.name === name));
    if (unknown !== undefined) {
      const has = this.#pipes.map(({ name }) => name).join(", ");
      throw new DuplexityError("DPX_USAGE", `Cannot close "${unknown}": this tunnel has the pipes ${has}`);
    }
    const closed = this.#pipes.filter(({ name }) => names.includes(name));
    if (this.#closing !== null) return this.#closing;
    if (closed.length === this.#pipes.length) return this.close({ drainMs });
    this.#pipes = this.#pipes.filter((pipe) => !closed.includes(pipe));
    await Promise.all([this.#first.closePipes(names), this.#second.closePipes(names)]);
    const hostnames = new Set(closed.map(({ hostname }) => hostname));
    await drained(() => this.#sessions.countOpen(hostnames), drainMs, this.#life.signal);
    this.#sessions.closePipes(hostnames, "DPX_CANCELLED");
  }

  // ── Ups and downs ──────────────────────────────────────────────────────

  /** The other link is well: what runs over the slow one goes on there, or over a new one. */
  #leaveSlow(which: "first" | "second", latencyMs: number): void {
    const error = new DuplexityError("DPX_LINK_DEAD", `The link is slow: ${Math.round(latencyMs)} ms for a round trip`);
    if (which === "second") this.#second.abort(error);
    else this.#first.leave(error);
  }

  /** Something of the first link is gone, or the second one is while the first is made. */
  #lost(error: DuplexityError): void {
    if (this.#closing !== null) {
      // What was to finish has lost its way. The control socket is the hub's to close.
      if (!this.#hasLink) this.#drain.abort();
      return;
    }
    if (this.#isFinal(error)) {
      this.#finish(error);
      return;
    }
    if (this.#hasLink) return;
    this.#state.lost();
    // Until now only control was missed, which nobody had to be told.
    const isNews = this.#first.isConnecting && this.#state.status.state === "up";
    if (isNews) this.#state.set({ state: "reconnecting", attempt: 1, delayMs: 0, code: error.code });
  }

  /** A token may have ended while this machine slept: the next dial asks for another one, and only its refusal counts. */
  #isFinal({ code }: DuplexityError): boolean {
    if (code === "DPX_AUTH_INVALID" && this.#options.credential.canRenew) return false;
    return isFinal(code);
  }

  #firstUp(registered: readonly Registered[] | null): void {
    this.#second.firstIsUp(this.#first.nodeId);
    if (this.#options.maxLinks > 1 && this.#first.isInCluster) this.#second.start();
    this.#renewal.arm();
    if (registered === null || this.#life.signal.aborted) return;
    const before = this.#pipes;
    this.#pipes = this.#first.pipes.map((pipe) => {
      const isRefused = !registered.some(({ name }) => name === pipe.name);
      const known = before.find(({ name }) => name === pipe.name);
      return isRefused && known !== undefined ? known : tunnelPipe(pipe, registered);
    });
    this.#state.up();
  }

  /** It is no sign that visitors can come: their hub is the first link's, and that one may be gone. */
  #secondUp(): void {
    if (this.#closing !== null) this.#second.sayGoodbye(GOODBYE);
  }

  #pipeChanged({ name }: SealedPipe, error: DuplexityError | null): void {
    const pipe = this.#pipes.find((candidate) => candidate.name === name);
    if (pipe !== undefined && this.#closing === null) this.emit("pipe", { pipe, error });
  }

  #secondLost(error: DuplexityError): void {
    if (this.#isFinal(error)) this.#finish(error);
    else if (this.#first.isConnecting) this.#first.lost(error);
  }

  /** The link may live on without its session: only a new dial gets a new one. */
  #sessionEnded(uplink: Uplink, error: DuplexityError): void {
    if (this.#isFinal(error)) this.#finish(error);
    else uplink.abort(error);
  }

  /** After sleep the sockets look alive and are not. */
  #woke(): void {
    if (this.#life.signal.aborted) return;
    const error = new DuplexityError("DPX_LINK_DEAD", "This machine slept");
    // Before the first one, whose loss is an outage only when the second one is gone.
    this.#second.abort(error);
    this.#first.abort(error);
  }

  // ── Ends ───────────────────────────────────────────────────────────────

  async #close(drainMs: number): Promise<void> {
    if (this.#state.status.state === "closed") return;
    const isUp = this.#hasLink;
    this.#first.sayGoodbye(GOODBYE);
    this.#second.sayGoodbye(GOODBYE);
    if (drainMs > 0 && isUp) {
      this.#state.set({ state: "draining" });
      this.#sessions.drain();
      // After the goodbye the server keeps no stream for later.
      await drained(() => this.#sessions.openStreams, drainMs, this.#drain.signal);
    }
    await this.#end(null);
  }

  /** Ends for good because of `error`. */
  #finish(error: DuplexityError): void {
    this.#drain.abort();
    this.#end(error).catch(() => {});
  }

  async #end(error: DuplexityError | null): Promise<void> {
    if (this.#state.status.state === "closed") return;
    const reason = error ?? new DuplexityError("DPX_CANCELLED", "The client closed the tunnel");
    this.#life.abort(reason);
    this.#wakeWatch?.stop();
    this.#slowLinks?.stop();
    this.#renewal.stop();
    // First, so that nobody who is told of the end below finds it open.
    const status = this.#state.end(error);
    this.#sessions.close(reason.code, reason.message);
    await Promise.all([this.#first.close(reason), this.#second.close(reason)]);
    this.emit("status", status);
    this.emit("close", error);
  }

  #reported(report: RequestReport): void {
    this.#reports += 1;
    this.emit("request", report);
  }
}
