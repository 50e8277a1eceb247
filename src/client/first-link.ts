// The link over which a tunnel's pipes are registered: makes it, makes another before its hub goes, and comes back to a
// server for ever when it is lost. What that means for the tunnel, and its end, are not its business: it tells.

import { asDuplexityError, DuplexityError } from "../protocol/index.ts";
import { isFinal } from "./dial-errors.ts";
import type { SealedPipe } from "./gate.ts";
import { HandOver } from "./hand-over.ts";
import { MissingPipes } from "./missing-pipes.ts";
import { type LostHub, MovePlan } from "./move-plan.ts";
import { Pause } from "./pause.ts";
import type { Registered, Registration } from "./registration.ts";
import { Retries } from "./retries.ts";
import type { SecondLink } from "./second-link.ts";
import { Servers } from "./servers.ts";
import type { PacedLink } from "./slow-links.ts";
import type { TunnelStatus } from "./tunnel.ts";
import { type TunnelUplinkOptions, Uplink } from "./uplink.ts";
import { ASK_LIMIT_MS, retryAfterMs } from "./waits.ts";

export interface FirstLinkOptions {
  /** The control socket's address as the user gave it. */
  readonly url: URL;
  readonly pipes: readonly SealedPipe[];
  readonly uplink: TunnelUplinkOptions;
  readonly second: Pick<SecondLink, "hasLink" | "url">;
  /** Aborts when the tunnel has ended: nothing is tried any more. */
  readonly signal: AbortSignal;
  onStatus(status: TunnelStatus): void;
  /** It is up. `registered` is null when only control was missing. */
  onUp(registered: readonly Registered[] | null): void;
  /** One of the pipes is refused, while others are registered, or is registered again (null). */
  onPipe(pipe: SealedPipe, error: DuplexityError | null): void;
  /** Something of it is gone. Before it is made anew, unless the tunnel ends in this call. */
  onLost(error: DuplexityError): void;
  /** It will not come back. */
  onRefused(error: DuplexityError): void;
}

interface Establishing {
  /** @default the present one */
  readonly uplink?: Uplink;
  /** Whether a hub that refuses some of the pipes is of use. @default once it was up */
  readonly isPartial?: boolean;
  /** As DialAim has it. */
  readonly dialTimeoutMs?: number;
}

/** A first connect that the server puts off is tried again within this. */
const FIRST_WAIT_MS = 15_000;
/**
 * So long the names of a client that only another link serves are its own for sure: its hub keeps them where the first one is
 * gone, that one where it is not while the client's session goes on.
 */
export const NAME_KEPT_MS = 60_000;

export class FirstLink {
  readonly #options: FirstLinkOptions;
  readonly #servers: Servers;
  readonly #handOver: HandOver;
  readonly #retries = new Retries();
  readonly #missing: MissingPipes;
  /** Before the next attempt. */
  readonly #pause: Pause;
  /** Of the loss that is being made good, or was last. */
  #plan = new MovePlan();
  #uplink: Uplink;
  /** Somebody is at it: `connect`, `#reconnect` or `#handOn`. */
  #isConnecting = true;
  /** It looks for a hub that takes all pipes, while this one serves. */
  #isSeeking = false;
  /** What it has once brought up it goes on serving where not all of it is taken. */
  #wasUp = false;
  /** It waits though there is no first link, since the second one serves. */
  #isLinkedWait = false;
  /** Its hub is asked for another control socket, since the link lives. */
  #isAsking = false;
  /** Ends the dials of the attempt that runs. */
  #attempt = new AbortController();
  /** Why the tunnel closes, once it does. */
  #goodbye: string | null = null;

  constructor(options: FirstLinkOptions) {
    this.#options = options;
    this.#servers = new Servers(options.url);
    this.#pause = new Pause({ signal: options.signal, ref: true });
    this.#uplink = this.#makeUplink(options.pipes);
    this.#handOver = new HandOver({
      servers: this.#servers,
      signal: options.signal,
      taken: () => options.second.url,
      make: () => this.#makeUplink(this.#uplink.pipes, this.#uplink.nodeId),
      establish: (uplink, isPartial) => this.#establish({ uplink, isPartial }),
    });
    this.#missing = new MissingPipes({
      onChange: (pipe, error) => options.onPipe(pipe, error),
      seek: () => this.#seekMissing(),
    });
  }

  /** Those that are not closed. */
  get pipes(): readonly SealedPipe[] {
    return this.#uplink.pipes;
  }

  /** Those of them that are registered, as far as it is known. */
  get registeredPipes(): readonly SealedPipe[] {
    return this.pipes.filter((pipe) => !this.#missing.has(pipe));
  }

  /** Addresses of other hubs, as far as they are known. */
  get alternatives(): readonly URL[] {
    return this.#servers.alternatives;
  }

  get hasLink(): boolean {
    return this.#uplink.hasLink;
  }

  get isConnecting(): boolean {
    return this.#isConnecting;
  }

  get isInCluster(): boolean {
    return this.#uplink.isInCluster;
  }

  get nodeId(): string | null {
    return this.#uplink.nodeId;
  }

  get pace(): PacedLink | null {
    return this.#uplink.pace;
  }

  get rttMs(): number | null {
    return this.#uplink.rttMs;
  }

  /**
   * For the first time: again only when the server says itself that it takes this client in a moment. What is lost until
   * `connected` is called is told, and not made anew.
   *
   * @throws {DuplexityError} As `Uplink.establish`.
   */
  async connect(): Promise<void> {
    const { signal, onStatus } = this.#options;
    const until = performance.now() + FIRST_WAIT_MS;
    for (let attempt = 2; ; attempt += 1) {
      try {
        return await this.#establish();
      } catch (error) {
        const waitMs = retryAfterMs(asDuplexityError(error));
        if (waitMs === 0 || performance.now() + waitMs > until || signal.aborted) throw error;
        onStatus({ state: "connecting", attempt });
        await this.#pause.wait(waitMs);
        if (signal.aborted) throw error;
      }
    }
  }

  /** Nobody is at it any more; what was lost meanwhile was passed over. */
  connected(): void {
    this.#isConnecting = false;
    if (this.#uplink.hasControl && this.#uplink.hasLink) return;
    this.lost(new DuplexityError("DPX_LINK_LOST", "Lost at once"));
  }

  /** Something of it is gone, or the second link is while this one is not there: comes back. */
  lost(error: DuplexityError): void {
    const { signal, onLost, onRefused } = this.#options;
    if (signal.aborted) return;
    onLost(error);
    if (!this.#isConnecting) this.#plan = new MovePlan();
    if (!this.#hasHub) this.#plan.gone();
    // To come back would take the names again.
    if (signal.aborted || this.#goodbye !== null) return;
    if (this.#isConnecting) {
      // What it looks for does not matter while there is nothing.
      if (this.#isSeeking && !this.#uplink.hasLink) this.#attempt.abort(error);
      if (!this.#hasAnyLink && this.#isLinkedWait) this.#pause.end();
      if (!this.#hasHub && this.#isAsking) this.#stopAsking(error);
      return;
    }
    this.#retries.lost(this.#movedBytes, this.#uplink.hasControl);
    this.#isConnecting = true;
    this.#reconnect(error).catch((cause: unknown) => onRefused(asDuplexityError(cause)));
  }

  /** Makes another one over another hub, if there may be one, and only then drops this one. */
  leave(error: DuplexityError): void {
    const before = this.#uplink;
    void this.#handOn().then(() => {
      if (this.#uplink !== before) before.abort(error);
    });
  }

  /** Drops all of its sockets, old ones too, without a word: they are believed to be dead. It comes back at once. */
  abort(error: DuplexityError): void {
    this.#retries.grant(1);
    this.#pause.end();
    this.#attempt.abort(error);
    this.#handOver.abort(error);
    this.#uplink.abort(error);
  }

  async closePipes(names: readonly string[]): Promise<void> {
    this.#missing.forget(names);
    await Promise.all([this.#uplink.closePipes(names), this.#handOver.closePipes(names)]);
  }

  /** Asks the hub anew which others there are. Never rejects. */
  refreshAlternatives(): Promise<void> {
    return this.#uplink.refreshAlternatives();
  }

  refreshToken(token: string): void {
    this.#uplink.refreshToken(token);
  }

  /** Says goodbye, so that the names are free at once. From now on it does not come back. */
  sayGoodbye(reason: string): void {
    this.#goodbye = reason;
    this.#missing.stop();
    this.#uplink.sayGoodbye(reason);
    this.#handOver.sayGoodbye(reason);
  }

  /** Closes it for good and resolves when that is done. */
  async close(error: DuplexityError): Promise<void> {
    this.#attempt.abort(error);
    this.#pause.end();
    this.#missing.stop();
    await Promise.all([this.#uplink.close(error), this.#handOver.close(error)]);
  }

  /** Whether visitors of all pipes are served meanwhile: TCP ports are open only where the pipes are registered. */
  get #isServedWhole(): boolean {
    return this.#hasAnyLink && this.#uplink.pipes.every(({ target }) => target.protocol !== "tcp");
  }

  /** Whether anything of the hub is there. */
  get #hasHub(): boolean {
    return this.#uplink.hasControl || this.#uplink.hasLink;
  }

  get #hasAnyLink(): boolean {
    return this.#uplink.hasLink || this.#options.second.hasLink;
  }

  get #movedBytes(): number {
    const { sessions } = this.#options.uplink;
    return sessions.bytesIn + sessions.bytesOut;
  }

  /** Before it is dialled. Once another one has taken its place nobody waits for it. */
  #makeUplink(pipes: readonly SealedPipe[], avoids: string | null = null): Uplink {
    const uplink: Uplink = new Uplink({
      ...this.#options.uplink,
      ...{ servers: this.#servers, pipes, avoids, isSecond: false },
      onLost: (error) => {
        if (uplink !== this.#uplink) return this.#handOver.lost(uplink);
        this.#handOver.hurry();
        return this.lost(error);
      },
      onDrain: () => {
        if (uplink === this.#uplink) this.#moveOn();
      },
    });
    return uplink;
  }

  /** There is nobody to ask any more. */
  #stopAsking(error: DuplexityError): void {
    this.#pause.end();
    this.#attempt.abort(error);
  }

  /** The hub will close the link: another one is made before that. */
  #moveOn(): void {
    // Control and link may go one after the other.
    this.#retries.grant(2);
    // It says where else there is a control socket to be had.
    if (this.#isAsking) this.#pause.end();
    if (this.#servers.alternatives.length > 0) this.#handOver.hurry();
    void this.#handOn();
  }

  /** Makes another one over another hub, if there may be one and nobody is at it already. */
  async #handOn(): Promise<void> {
    const { signal } = this.#options;
    const isBusy = this.#isConnecting || this.#goodbye !== null || signal.aborted;
    if (isBusy || !this.#uplink.isInCluster) return;
    this.#isConnecting = true;
    await this.#handOver.run();
    this.connected();
  }

  /** Some pipes were refused where it is: another hub may take all of them, or this one may by now. */
  async #seekMissing(): Promise<void> {
    const { signal } = this.#options;
    const before = this.#uplink;
    if (this.#isConnecting || signal.aborted || !before.hasControl || !before.hasLink) return;
    this.#isConnecting = true;
    this.#isSeeking = true;
    const isServing = (): boolean => before.hasLink && before.hasControl;
    const isFound = (await this.#handOver.seek()) || (isServing() && (await this.#dialAgain()));
    this.#isSeeking = false;
    if (isFound && this.#uplink !== before)
      before.abort(new DuplexityError("DPX_LINK_LOST", "Another hub takes all pipes"));
    this.connected();
  }

  async #dialAgain(): Promise<boolean> {
    this.#attempt = new AbortController();
    try {
      this.#isUp(await this.#uplink.dialAgain(this.#attempt.signal));
      return true;
    } catch {
      // What is there stays.
      return false;
    }
  }

  /** Tries for ever, until it is up, the tunnel ends, or the server does not want it any more. */
  async #reconnect(cause: DuplexityError): Promise<void> {
    const { second, signal, onStatus, onRefused } = this.#options;
    const plan = this.#plan;
    const lostAt = performance.now();
    let error = cause;
    for (let attempt = 1; !signal.aborted; attempt += 1) {
      const hub = this.#lostHub;
      const step = plan.next(error, hub);
      this.#isAsking = step === "ask";
      if (step === "move" && this.#isServedWhole) await this.#waitLinked();
      // What is left of its turn: while it waited the other link may have gone as well.
      const delayMs = this.#retries.next(error, plan.waitMs(step, hub.moveDelayMs));
      const isServed = this.#uplink.hasLink || (second.hasLink && performance.now() - lostAt < NAME_KEPT_MS);
      if (!isServed) onStatus({ state: "reconnecting", attempt, delayMs, code: error.code });
      if (delayMs > 0) await this.#pause.wait(delayMs);
      if (signal.aborted) return;
      // It was not one socket alone: the node may be gone, and where there are others its clients move to them spread in time.
      const isNews: boolean = (hub.hasControl || hub.hasLink) && !this.#hasHub;
      const isMoving: boolean = isNews && hub.isInCluster && !this.#retries.areFree && !plan.hasMoved;
      if (isMoving || (isNews && step === "ask")) continue;
      const isElsewhere: boolean = !hub.hasControl && (step === "move" || step === "retry");
      // Whatever became of the server there: another one may be well.
      if (isElsewhere) this.#servers.turn(second.url);
      const mayGoOn: boolean = isElsewhere && plan.hasMoved && this.#servers.hasUntried;
      const dialledAt = performance.now();
      try {
        if (step === "ask" || step === "look") this.#useOwn();
        await this.#establish(step === "look" || mayGoOn ? { dialTimeoutMs: ASK_LIMIT_MS } : {});
        if (this.#uplink.hasControl && this.#uplink.hasLink) break;
      } catch (failure) {
        error = asDuplexityError(failure);
        if (isFinal(error.code)) return onRefused(error);
        const tookMs = performance.now() - dialledAt;
        if (step === "look") plan.lookFailed(tookMs);
        // It has had its turn, and nothing was there: the next one may be. Where all are slow, haste makes them slower.
        const isNobody = error.code === "DPX_SERVER_UNREACHABLE" && tookMs < ASK_LIMIT_MS;
        if (mayGoOn && isNobody && !this.#retries.areFree) this.#retries.grant(1);
      }
    }
    this.#isAsking = false;
    this.#isConnecting = false;
  }

  get #lostHub(): LostHub {
    const { hasControl, hasLink, isInCluster, moveDelayMs, dataPlaneUri } = this.#uplink;
    const canBeAsked = dataPlaneUri !== null && this.#servers.isOwn(dataPlaneUri);
    return { hasControl, hasLink, isInCluster, canBeAsked, isFree: this.#retries.areFree, moveDelayMs };
  }

  /** The hub that it was at is next, not any behind the same balancer. */
  #useOwn(): void {
    const { dataPlaneUri } = this.#uplink;
    if (dataPlaneUri !== null) this.#servers.useOwnOf(dataPlaneUri);
  }

  async #establish({
    uplink = this.#uplink,
    isPartial = this.#wasUp,
    dialTimeoutMs,
  }: Establishing = {}): Promise<void> {
    const attempt = new AbortController();
    this.#attempt = attempt;
    const aim = { isPartial, first: this.#missing.pipes, ...(dialTimeoutMs === undefined ? {} : { dialTimeoutMs }) };
    const registration = await uplink.establish(attempt.signal, aim);
    if (uplink !== this.#uplink) this.#replaceUplink(uplink);
    // There may have been no way to say it before.
    if (this.#goodbye !== null) this.#uplink.sayGoodbye(this.#goodbye);
    this.#retries.up(this.#movedBytes);
    this.#isUp(registration);
  }

  #isUp(registration: Registration | null): void {
    this.#wasUp = true;
    this.#options.onUp(registration?.registered ?? null);
    if (registration !== null) this.#missing.set(registration.refused);
  }

  #replaceUplink(uplink: Uplink): void {
    const before = this.#uplink;
    this.#uplink = uplink;
    this.#handOver.leave(before);
    this.#retries.grant(0);
    // Pipes that were closed while it was dialled.
    const closed = uplink.pipes.filter((pipe) => !before.pipes.includes(pipe));
    if (closed.length > 0) void uplink.closePipes(closed.map(({ name }) => name));
  }

  /** Until it is this client's turn to move, or the other link is gone as well. */
  async #waitLinked(): Promise<void> {
    this.#isLinkedWait = true;
    await this.#pause.wait(this.#plan.linkedMs(this.#uplink.moveDelayMs));
    this.#isLinkedWait = false;
  }
}
