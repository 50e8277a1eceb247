// A tunnel that stays up: keeps the uplink, waits between attempts, and tells
// the truth about it in events. Moves no bytes itself.

import { randomBytes } from "node:crypto";
import { EventEmitter } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { asDuplexityError, DuplexityError, type RequestReport } from "../protocol/index.ts";
import { BACKOFF_HEALTHY_BYTES, BACKOFF_HEALTHY_MS, Backoff } from "./backoff.ts";
import type { Credential } from "./credential.ts";
import { isFinal, longestWaitAfter } from "./dial-errors.ts";
import { drained } from "./drain.ts";
import type { SealedPipe } from "./gate.ts";
import { HandOver } from "./hand-over.ts";
import { SecondLink } from "./second-link.ts";
import { Servers } from "./servers.ts";
import { SessionSet } from "./session-set.ts";
import { SlowLinks } from "./slow-links.ts";
import { TokenRenewal } from "./token-renewal.ts";
import type { Tunnel, TunnelEvents, TunnelPipe, TunnelStatistics, TunnelStatus } from "./tunnel.ts";
import { type Registered, Uplink, type UplinkOptions } from "./uplink.ts";
import { anyWithin, MOVE_SPREAD_LINKED_MS, MOVE_SPREAD_MS, retryAfterMs } from "./waits.ts";
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
/** A first connect that the server puts off is tried again within this. */
const FIRST_WAIT_MS = 15_000;
const GOODBYE = "closed by its user";

export class ClientTunnel extends EventEmitter<TunnelEvents> implements Tunnel {
  readonly clientId = `c${randomBytes(10).toString("hex")}`;

  readonly #options: ClientTunnelOptions;
  readonly #sessions: SessionSet;
  readonly #servers: Servers;
  readonly #shared: Pick<
    UplinkOptions,
    "clientId" | "wantsReports" | "sessions" | "credential" | "onForceDisconnect" | "onSessionEnd"
  >;
  readonly #second: SecondLink;
  readonly #handOver: HandOver;
  readonly #renewal: TokenRenewal;
  readonly #backoff = new Backoff();
  /** Ends every wait and dial of this tunnel. */
  readonly #life = new AbortController();
  #uplink: Uplink;
  #pipes: readonly TunnelPipe[] = [];
  #status: TunnelStatus = { state: "connecting", attempt: 1 };
  #connectedAt = new Date();
  #upAt = 0;
  #bytesWhenUp = 0;
  #linkLostAt: number | null = null;
  #reports = 0;
  /** Whether somebody is at it: `open`, `#reconnect` or `#moveOn`. */
  #isConnecting = true;
  /** Attempts that need not wait: the drop was announced, or only the link broke, or the machine slept. */
  #freeRetries = 0;
  /** Ends the dials of the attempt that runs. */
  #attempt = new AbortController();
  #wakeWatch: WakeWatch | null = null;
  #slowLinks: SlowLinks | null = null;
  /** It waits though there is no first link, since the second one serves. */
  #isLinkedWait = false;
  /** Cuts the wait before the next attempt short. */
  #hurry: AbortController | null = null;
  #closing: Promise<void> | null = null;
  #drain: AbortController | null = null;

  constructor(options: ClientTunnelOptions) {
    super();
    this.#options = options;
    this.#sessions = new SessionSet({
      connectTimeoutMs: options.connectTimeoutMs,
      onReport: (report) => this.#reported(report),
    });
    this.#servers = new Servers(options.url);
    this.#shared = {
      clientId: this.clientId,
      wantsReports: options.wantsReports,
      sessions: this.#sessions,
      credential: options.credential,
      onForceDisconnect: (error: DuplexityError) => this.#finish(error),
      onSessionEnd: (uplink: Uplink, error: DuplexityError) => this.#sessionEnded(uplink, error),
    };
    this.#uplink = this.#makeUplink(options.pipes);
    this.#second = new SecondLink({
      uplink: this.#shared,
      pipes: () => this.#uplink.pipes,
      others: () => this.#servers.alternatives,
      refresh: () => this.#uplink.refreshAlternatives(),
      onUp: () => this.#secondUp(),
      onLost: (error) => this.#secondLost(error),
    });
    this.#handOver = new HandOver({
      servers: this.#servers,
      taken: () => this.#second.url,
      make: () => this.#makeUplink(this.#uplink.pipes, this.#uplink.nodeId),
      establish: (uplink) => this.#establish(uplink),
    });
    this.#renewal = new TokenRenewal({
      credential: options.credential,
      onToken: (token) => {
        this.#uplink.refreshToken(token);
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
    return this.#status.state === "up" ? { ...this.#status, rttMs: this.#rttMs } : this.#status;
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
    return this.#uplink.hasLink || this.#second.hasLink;
  }

  get #rttMs(): number | null {
    return this.#uplink.hasLink ? this.#uplink.rttMs : this.#second.rttMs;
  }

  /**
   * Connects for the first time.
   *
   * @throws {DuplexityError} The tunnel is then closed.
   */
  async open(): Promise<void> {
    try {
      await this.#connect();
    } catch (error) {
      const failure = this.#status.state === "closed" ? (this.#status.error ?? asDuplexityError(error)) : error;
      this.#finish(asDuplexityError(failure));
      throw failure;
    }
    this.#connectedAt = new Date();
    this.#wakeWatch = new WakeWatch(() => this.#woke());
    this.#slowLinks = new SlowLinks({
      first: () => this.#uplink.pace,
      second: () => this.#second.pace,
      onSlow: (which, latencyMs) => this.#leaveSlow(which, latencyMs),
    });
    this.#connected();
  }

  close(options: { readonly drainMs?: number } = {}): Promise<void> {
    const { drainMs = 0 } = options;
    // Asked again for less: whoever presses Ctrl+C twice does not want to wait.
    if (drainMs === 0) this.#drain?.abort();
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
    await Promise.all([this.#uplink.closePipes(names), this.#second.closePipes(names)]);
    const hostnames = new Set(closed.map(({ hostname }) => hostname));
    await drained(() => this.#sessions.countOpen(hostnames), drainMs, this.#life.signal);
    this.#sessions.closePipes(hostnames, "DPX_CANCELLED");
  }

  // ── Ups and downs ──────────────────────────────────────────────────────

  /** A first link, before it is dialled. Once another one has taken its place nobody waits for it. */
  #makeUplink(pipes: readonly SealedPipe[], avoids: string | null = null): Uplink {
    const uplink: Uplink = new Uplink({
      ...this.#shared,
      ...{ servers: this.#servers, pipes, avoids, isSecond: false },
      onLost: (error) => {
        if (uplink !== this.#uplink) return this.#handOver.lost(uplink);
        this.#handOver.hurry();
        return this.#lost(error);
      },
      onDrain: () => {
        if (uplink === this.#uplink) this.#moveOn();
      },
    });
    return uplink;
  }

  /** The hub will close the first link: another one is made before that. */
  #moveOn(): void {
    // Control and link may go one after the other.
    this.#freeRetries = 2;
    if (this.#servers.alternatives.length > 0) this.#handOver.hurry();
    void this.#handOn();
  }

  /** Makes another first link over another hub, if there may be one and nobody is at it already. */
  async #handOn(): Promise<void> {
    const isBusy = this.#isConnecting || this.#closing !== null || this.#life.signal.aborted;
    if (isBusy || !this.#uplink.isInCluster) return;
    this.#isConnecting = true;
    await this.#handOver.run(this.#life.signal);
    this.#connected();
  }

  /** The other link is well: what runs over the slow one goes on there, or over a new one. */
  #leaveSlow(which: "first" | "second", latencyMs: number): void {
    const error = new DuplexityError("DPX_LINK_DEAD", `The link is slow: ${Math.round(latencyMs)} ms for a round trip`);
    if (which === "second") {
      this.#second.abort(error);
      return;
    }
    const slow = this.#uplink;
    void this.#handOn().then(() => {
      if (this.#uplink !== slow) slow.abort(error);
    });
  }

  /** Nobody is at it any more; what was lost meanwhile was passed over. */
  #connected(): void {
    this.#isConnecting = false;
    if (this.#uplink.hasControl && this.#uplink.hasLink) return;
    this.#lost(new DuplexityError("DPX_LINK_LOST", "Lost at once"));
  }

  #lost(error: DuplexityError): void {
    if (this.#life.signal.aborted) return;
    if (this.#closing !== null) {
      // What was to finish has lost its way; to come back would take the names again. The control socket is the hub's to close.
      if (!this.#hasLink) this.#drain?.abort();
      return;
    }
    if (this.#isFinal(error)) {
      this.#finish(error);
      return;
    }
    if (!this.#hasLink && this.#upAt > 0) this.#linkLostAt ??= performance.now();
    if (this.#isConnecting) {
      // Until now only control was missed, which nobody had to be told.
      const isNews = !this.#hasLink && this.#status.state === "up";
      if (isNews) this.#setStatus({ state: "reconnecting", attempt: 1, delayMs: 0, code: error.code });
      if (!this.#hasLink && this.#isLinkedWait) this.#hurry?.abort();
      return;
    }
    const wasHealthy = performance.now() - this.#upAt >= BACKOFF_HEALTHY_MS;
    if (wasHealthy || this.#movedBytes - this.#bytesWhenUp >= BACKOFF_HEALTHY_BYTES) this.#backoff.reset();
    // The server is there and answers: only the link broke.
    if (wasHealthy && this.#uplink.hasControl) this.#freeRetries = Math.max(this.#freeRetries, 1);
    this.#isConnecting = true;
    this.#reconnect(error).catch((cause: unknown) => this.#finish(asDuplexityError(cause)));
  }

  /** A token may have ended while this machine slept: the next dial asks for another one, and only its refusal counts. */
  #isFinal({ code }: DuplexityError): boolean {
    if (code === "DPX_AUTH_INVALID" && this.#options.credential.canRenew) return false;
    return isFinal(code);
  }

  /** For the first time: again only when the server says itself that it takes this client in a moment. */
  async #connect(): Promise<void> {
    const until = performance.now() + FIRST_WAIT_MS;
    for (let attempt = 2; ; attempt += 1) {
      try {
        return await this.#establish();
      } catch (error) {
        const waitMs = retryAfterMs(asDuplexityError(error));
        if (waitMs === 0 || performance.now() + waitMs > until || this.#life.signal.aborted) throw error;
        this.#setStatus({ state: "connecting", attempt });
        await this.#wait(waitMs);
        if (this.#life.signal.aborted) throw error;
      }
    }
  }

  /** Tries for ever, until it is up, closed, or told that it is not wanted any more. */
  async #reconnect(cause: DuplexityError): Promise<void> {
    let error = cause;
    let hasMoved = false;
    for (let attempt = 1; !this.#life.signal.aborted; attempt += 1) {
      const { hasControl } = this.#uplink;
      // Whatever became of the server there: another one may be well.
      if (!hasControl) this.#servers.turn(this.#second.url);
      // All clients of that node do the same now.
      const isMoving: boolean = this.#freeRetries === 0 && !hasMoved && !hasControl && this.#uplink.isInCluster;
      hasMoved ||= isMoving;
      if (isMoving && this.#hasLink) await this.#waitLinked();
      const ownMs = isMoving ? anyWithin(MOVE_SPREAD_MS) : this.#backoff.next(longestWaitAfter(error));
      const delayMs = Math.max(retryAfterMs(error), this.#freeRetries > 0 ? 0 : ownMs);
      this.#freeRetries = Math.max(0, this.#freeRetries - 1);
      if (!this.#hasLink) this.#setStatus({ state: "reconnecting", attempt, delayMs, code: error.code });
      if (delayMs > 0) await this.#wait(delayMs);
      if (this.#life.signal.aborted) return;
      // It was not the link alone: the node may be gone, and where there are others its clients move to them spread in time.
      const mustMove: boolean = hasControl && !this.#uplink.hasControl && this.#uplink.isInCluster && !hasMoved;
      if (mustMove && this.#freeRetries === 0) continue;
      try {
        await this.#establish();
        if (this.#uplink.hasControl && this.#uplink.hasLink) break;
      } catch (failure) {
        error = asDuplexityError(failure);
        if (isFinal(error.code)) {
          this.#finish(error);
          return;
        }
      }
    }
    this.#isConnecting = false;
  }

  async #establish(uplink = this.#uplink): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    const registered = await uplink.establish(attempt.signal);
    if (uplink !== this.#uplink) this.#replaceUplink(uplink);
    // There may have been no way to say it before.
    if (this.#closing !== null) this.#uplink.sayGoodbye(GOODBYE);
    if (this.#uplink.nodeId === this.#second.nodeId) this.#second.move();
    if (this.#options.maxLinks > 1 && this.#uplink.isInCluster) this.#second.start();
    this.#upAt = performance.now();
    this.#bytesWhenUp = this.#movedBytes;
    this.#renewal.arm();
    if (registered !== null) this.#registered(registered);
  }

  #replaceUplink(uplink: Uplink): void {
    const before = this.#uplink;
    this.#uplink = uplink;
    this.#handOver.leave(before);
    this.#freeRetries = 0;
    // Pipes that were closed while it was dialled.
    const closed = uplink.pipes.filter((pipe) => !before.pipes.includes(pipe));
    if (closed.length > 0) void uplink.closePipes(closed.map(({ name }) => name));
  }

  #secondUp(): void {
    if (this.#closing !== null) this.#second.sayGoodbye(GOODBYE);
    // All visitors came over the first link that is lost now: from here on they come over this one.
    if (this.#status.state === "reconnecting") this.#isUpAgain();
  }

  #secondLost(error: DuplexityError): void {
    if (this.#isFinal(error)) this.#finish(error);
    else if (this.#isConnecting) this.#lost(error);
  }

  get #movedBytes(): number {
    return this.#sessions.bytesIn + this.#sessions.bytesOut;
  }

  #registered(results: readonly Registered[]): void {
    if (this.#life.signal.aborted) return;
    this.#pipes = this.#uplink.pipes.map((pipe) => tunnelPipe(pipe, results));
    this.#isUpAgain();
  }

  #isUpAgain(): void {
    if (this.#status.state !== "up") this.#setStatus({ state: "up", since: new Date(), rttMs: null });
    if (this.#linkLostAt === null) return;
    const outageMs = Math.round(performance.now() - this.#linkLostAt);
    this.#linkLostAt = null;
    this.emit("reconnect", { outageMs });
  }

  /** The link may live on without its session: only a new dial gets a new one. */
  #sessionEnded(uplink: Uplink, error: DuplexityError): void {
    if (this.#isFinal(error)) this.#finish(error);
    else uplink.abort(error);
  }

  /** After sleep the sockets look alive and are not. */
  #woke(): void {
    if (this.#life.signal.aborted) return;
    this.#freeRetries = 1;
    const error = new DuplexityError("DPX_LINK_DEAD", "This machine slept");
    this.#hurry?.abort();
    this.#attempt.abort(error);
    this.#second.abort(error);
    this.#handOver.abort(error);
    this.#uplink.abort(error);
  }

  /** Until it is this client's turn to move, or the other link is gone as well. */
  async #waitLinked(): Promise<void> {
    this.#isLinkedWait = true;
    await this.#wait(anyWithin(MOVE_SPREAD_LINKED_MS));
    this.#isLinkedWait = false;
  }

  async #wait(ms: number): Promise<void> {
    const hurry = new AbortController();
    this.#hurry = hurry;
    await delay(ms, undefined, { signal: hurry.signal }).catch(() => {});
    this.#hurry = null;
  }

  // ── Ends ───────────────────────────────────────────────────────────────

  async #close(drainMs: number): Promise<void> {
    if (this.#status.state === "closed") return;
    const isUp = this.#hasLink;
    this.#uplink.sayGoodbye(GOODBYE);
    this.#second.sayGoodbye(GOODBYE);
    this.#handOver.sayGoodbye(GOODBYE);
    if (drainMs > 0 && isUp) {
      this.#setStatus({ state: "draining" });
      this.#sessions.drain();
      await this.#drained(drainMs);
    }
    await this.#end(null);
  }

  /** Until nothing is open any more, at most `drainMs`. After the goodbye the server keeps no stream for later. */
  async #drained(drainMs: number): Promise<void> {
    const drain = new AbortController();
    this.#drain = drain;
    await drained(() => this.#sessions.openStreams, drainMs, drain.signal);
    this.#drain = null;
  }

  /** Ends for good because of `error`. */
  #finish(error: DuplexityError): void {
    this.#drain?.abort();
    this.#end(error).catch(() => {});
  }

  async #end(error: DuplexityError | null): Promise<void> {
    if (this.#status.state === "closed") return;
    const reason = error ?? new DuplexityError("DPX_CANCELLED", "The client closed the tunnel");
    this.#life.abort(reason);
    this.#attempt.abort(reason);
    this.#hurry?.abort();
    this.#wakeWatch?.stop();
    this.#slowLinks?.stop();
    this.#renewal.stop();
    // First, so that nobody who is told of the end below finds it open.
    const status: TunnelStatus = { state: "closed", error };
    this.#status = status;
    this.#sessions.close(reason.code, reason.message);
    await Promise.all([this.#uplink.close(reason), this.#second.close(reason), this.#handOver.close(reason)]);
    this.emit("status", status);
    this.emit("close", error);
  }

  #setStatus(status: TunnelStatus): void {
    const { state } = this.#status;
    if (state === "closed" || (state === "draining" && status.state !== "draining")) return;
    this.#status = status;
    this.emit("status", status);
  }

  #reported(report: RequestReport): void {
    this.#reports += 1;
    this.emit("request", report);
  }
}

function tunnelPipe(pipe: SealedPipe, results: readonly Registered[]): TunnelPipe {
  const result = results.find(({ name }) => name === pipe.name);
  return {
    name: pipe.name,
    hostname: result?.hostname ?? pipe.name,
    protocol: pipe.target.protocol,
    url: result?.url ?? "",
    target: pipe.target.text,
  };
}
